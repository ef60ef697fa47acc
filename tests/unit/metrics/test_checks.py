"""What a look at the settings alone can refuse."""

import pytest

from serin.api.spec import Metrics
from serin.metrics.checks import unsupported


@pytest.mark.parametrize("name", ['http_requests_total{code="5', "a b", "", "1x", "sum(x)"])
def test_a_selector_is_no_name(name: str) -> None:
    """Only a metric's name can be put into a query; anything else gets a sentence that names the field."""
    problem = unsupported(Metrics(requests=name))
    assert problem is not None
    assert problem.reason == "InvalidPromQL"
    assert "metrics.requests" in problem.message


def test_names_and_defaults_pass() -> None:
    """A name of one's own is fine, and so are the defaults."""
    assert unsupported(Metrics()) is None
    assert unsupported(Metrics(requests="my:requests_total", latency="my_seconds")) is None
