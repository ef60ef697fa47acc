"""What Kopf is told."""

import kopf

from serin.controller.handlers import configured


def test_kopf_reads_pages_and_keeps_no_object() -> None:
    """A list of all Deployments at once, or a worker that waits with each, takes more memory than all of Serin."""
    settings = kopf.OperatorSettings()
    before = settings.queueing.idle_timeout
    configured(settings)
    assert settings.watching.chunk_size is not None
    assert settings.watching.chunk_size < 500
    # Never 0: a worker that does not wait at all gets no event.
    assert 0 < settings.queueing.idle_timeout < before / 10
    assert not settings.posting.enabled
