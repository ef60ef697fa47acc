"""What a reader sees of a verdict: the edge that decided, and no number that says nothing."""

from math import inf

import pytest

from serin.api.status import Phase
from serin.engine import wording
from serin.engine.world import Fault, World
from tests.unit.engine.worlds import run, spec


def test_latency_evidence_names_the_edge_that_decided() -> None:
    """Slower far below and far above `max`: the counts beside the verdict are of an edge where the canary is slower."""
    limits = {"latencyP95": {"max": "500ms", "worseThanControl": "5%"}}
    world = World(spec(guardrails=limits), faults=(Fault(latency=0.06),))
    status = run(world)
    assert status.phase is Phase.ROLLED_BACK
    (failing, *_) = [g for each in status.services for g in each.guardrails if g.verdict == "Failing"]
    assert failing.name == "latencyP95"
    assert "slower than 500ms" not in failing.summary
    assert "(0 of" not in failing.summary.partition(", control")[0], failing.summary
    assert "of canary requests take over" in status.summary, status.summary


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (24.0, 11.0, 51.0, "24x [11, 51]"),
        (inf, 2.7, inf, "at least 2.7x"),
        (inf, 0.0, inf, ""),
        (None, 0.0, inf, ""),
        (1.3, 0.0, inf, "1.3x"),
    ],
)
def test_ratio_without_infinities(value: float | None, low: float, high: float, text: str) -> None:
    """Where control has none of it there is a lower bound or nothing, never `inf`."""
    assert wording.ratio(value, low, high) == text


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("short enough", "short enough"),
        (
            f"the first clause says nearly all; {'and more ' * 20}",
            "the first clause says nearly all",
        ),
        (f"{'word ' * 40}", f"{'word ' * 17}".strip() + "..."),
    ],
)
def test_brief_ends_with_a_clause_or_a_word(text: str, short: str) -> None:
    """A column never ends within a word."""
    assert wording.brief(text) == short
    assert len(wording.brief(text)) <= 90


def test_which_guardrail_waits_for_traffic_is_said() -> None:
    """A stage that is over without enough requests names the guardrails that have too few."""
    world = World(spec(analysis={"interval": "10s", "minRequests": 100_000}))
    status = run(world, 600)
    assert status.reason == "InsufficientTraffic"
    assert "recommendation: errorRate on " in status.message
