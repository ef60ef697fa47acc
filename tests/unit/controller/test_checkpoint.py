"""How often counts are written: soon enough for who watches, and bounded however many experiments there are."""

from typing import Any

import pytest

from serin.api.spec import parse_spec
from serin.api.status import Status
from serin.controller.memory import Memory, digest
from serin.controller.reconcile import checkpoint


@pytest.mark.parametrize(
    ("interval", "experiments", "seconds"),
    [
        ("5s", 1, 15.0),
        ("14s", 7, 15.0),
        ("15s", 1, 60.0),
        ("30s", 30, 60.0),
        ("5s", 100, 200.0),
        ("30s", 800, 1600.0),
        ("30s", 5000, 1800.0),
    ],
)
def test_counts_are_written_at_most_once_in(interval: str, experiments: int, seconds: float) -> None:
    """A minute, or a quarter of one for short intervals; for many two seconds each, up to half an hour."""
    service = {"name": "a", "control": {"deployment": "a"}, "canary": {"deployment": "b"}}
    spec = parse_spec({"services": [service], "analysis": {"interval": interval}})
    assert checkpoint(spec, experiments) == seconds


def test_unreadable_spec_is_written_as_seldom_as_most() -> None:
    """Without a spec there is no interval, and the usual minute holds."""
    assert checkpoint(None, 1) == 60.0


def test_memory_is_of_one_written_status() -> None:
    """Another version of the object with the same status is fine (its spec was edited); another status is not."""

    def made(version: str, reason: str) -> dict[str, Any]:
        return {"metadata": {"resourceVersion": version}, "status": {"reason": reason, "phase": "Pending"}}

    memory = Memory(digest(made("5", "a")["status"]), Status(), 0.0, "5")
    assert memory.fits(made("5", "a"))
    assert memory.fits(made("6", "a"))
    assert not memory.fits(made("6", "b"))
    assert not memory.fits({"metadata": {"resourceVersion": "6"}})
