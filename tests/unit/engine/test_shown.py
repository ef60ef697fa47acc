"""What a reader sees of a verdict: the edge that decided, and no number that says nothing."""

from math import inf
from typing import Any

import pytest

from serin.api.spec import Goal, Spec
from serin.api.status import Phase
from serin.engine import wording
from serin.engine.configs import latency_config
from serin.engine.generated import Fault
from serin.engine.goals.schedule import rule_of, schedule
from serin.engine.goals.wording import Look, judged
from serin.engine.shown import effect, reason, shown
from serin.engine.world import World
from serin.stats import Dispersion, Evidence, Rule, Verdict, explained
from serin.stats.goals import Moments, judge_goal, welch
from tests.unit.engine.test_machine import significant_digits
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
    assert " is the edge of the histogram that shows it best; P95: " in status.message


_SLOWER: dict[str, Any] = {
    "canary_bad": 78, "canary_total": 580, "control_bad": 0, "control_total": 580, "ratio": inf, "ratio_low": 6.7,
    "ratio_high": inf, "canary_p95": 0.181, "control_p95": 0.095,
}  # fmt: skip
_SLOW = "13.4% of the canary's requests (78 of 580) and 0% of control's (0 of 580) take over"
_BAKED = "13.4% of the new version's requests (78 of 580) and 1.03% of control's before (6 of 580) take over"
_P95 = "; P95: 181ms, control's 95ms"
_MAX = f"5% may, or control's share if that is more; 150ms is guardrails.latencyP95.max{_P95}"
_EDGE = f"1.05x is allowed; 100ms is the edge of the histogram that shows it best{_P95}"
_P95 = "canary's P95 is 181 ms (above max 150 ms), control's 95 ms"
_NOBODY = "slower than 100 ms are 13% (78 of 580), control unknown (0 of 0), at least 6.7 times as many (95% interval)"
_WORSE = "; shown to be worse than control by more than 5% of it"
_BEST = "the histogram's edge that shows it best"
_BEFORE = {"ratio": 13.0, "ratio_low": 0.0, "control_bad": 6}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"rule": Rule.WORSE_THAN_CONTROL, "edge": 0.1}, f"{_SLOW} 100ms: at least 6.7x; {_EDGE}"),
        ({"rule": Rule.MAX, "edge": 0.15}, f"{_SLOW} 150ms: at least 6.7x; {_MAX}"),
        ({"rule": Rule.BASELINE, "edge": 0.15, **_BEFORE}, f"{_BAKED} 150ms: 13x; {_MAX}"),
        ({"rule": Rule.MAX, "edge": 0.15, "ratio": None}, f"{_SLOW} 150ms; {_MAX}"),
        ({"edge": None}, f"{_P95}{_WORSE}"),
        ({"edge": 0.1, "control_total": 0}, f"{_P95}; {_NOBODY}{_WORSE} at 100 ms, {_BEST}"),
    ],
)
def test_which_share_may_be_slower_than_which_edge(changes: dict[str, Any], says: str) -> None:
    """One plain sentence: how many are slower than what, how many may be, and why it is that edge."""
    evidence = _evidence(**{**_SLOWER, **changes})
    assert reason("latencyP95", evidence, spec().guardrails.latency_p95) == says
    assert reason("errorRate", evidence, spec().guardrails.latency_p95) == explained(evidence)


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (24.0, 11.0, 51.0, "24x [11, 51]"),
        (inf, 2.7, inf, "at least 2.7x"),
        (inf, 0.0, inf, ""),
        (None, 0.0, inf, ""),
        (1.3, 0.0, inf, "1.3x"),
        (120.0, 31.0, 1400.0, "120x [31, 1400]"),
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
        (
            f"max is 120ms and that is the point, but {'word ' * 20}",
            f"max is 120ms and that is the point, but {'word ' * 9}".strip() + "...",
        ),
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


def _evidence(**changes: Any) -> Evidence:
    """58 of 1,184 canary requests bad, 47 of control's 22,511."""
    counts = {"control_bad": 47, "control_total": 22_511, "canary_bad": 58, "canary_total": 1_184}
    values: dict[str, Any] = {"control_value": 0.0021, "canary_value": 0.049, "ratio": 24.0, "ratio_low": 11.0}
    values |= {"verdict": Verdict.FAILING, "rule": Rule.WORSE_THAN_CONTROL, "ratio_high": 51.0, "evidence": 31.0}
    values |= {
        "config": latency_config(spec(), (0.15,), Dispersion()),
        "control_p95": None,
        "canary_p95": None,
        "edge": None,
        "phi": 1.0,
    }
    return Evidence(**{**values, **counts, **changes})


@pytest.mark.parametrize(
    ("name", "changes", "text"),
    [
        ("errorRate", {}, "+4.7 points [3.6, 6.1], h +0.35"),
        ("checkout", {"canary_bad": 0, "control_bad": 1000}, "-4.4 points [-4.7, -4], h -0.42"),
        ("errorRate", {"canary_bad": 0, "control_bad": 0}, "+0 points [-0.017, 0.32], h +0"),
        ("errorRate", {"canary_bad": 0, "canary_total": 0}, ""),
        (
            "latencyP95",
            {"control_p95": 0.12, "canary_p95": 0.131, "edge": 0.15},
            "P95 +11ms; +4.7 points [3.6, 6.1], h +0.35",
        ),
        ("latencyP95", {"control_p95": 0.12, "canary_p95": 0.1195}, "P95 -0.5ms"),
        ("latencyP95", {}, ""),
        ("errorRate", {"canary_bad": 1184, "control_bad": 0}, "+100 points [100, 100], h +3.1"),
    ],
)
def test_effect_sizes(name: str, changes: dict[str, Any], text: str) -> None:
    """The risk difference with Newcombe's interval and Cohen's h, in a few words; nothing where nothing was served."""
    assert effect(name, _evidence(**changes)) == text
    assert significant_digits(text) <= 4
    assert shown(name, _evidence(**changes)).effect == text


def test_effect_sizes_reach_the_status() -> None:
    """Every guardrail that was judged on both versions has them, healthy ones too."""
    status = run(World(spec(stages=[{"name": "canary", "weight": 10, "duration": "2m"}])))
    for service in status.services:
        for each in service.guardrails:
            assert "points [" in each.effect
            assert ", h " in each.effect
            assert len(each.effect) < 70


def test_the_effect_of_a_goal_that_is_a_share() -> None:
    """Values of 0 and 1 have Cohen's h beside d; others have d alone."""
    plan = schedule(parse_goals())
    assert plan is not None
    for squares, has in ((400.0, True), (500.0, False)):
        comparison = welch(Moments(1000, 400.0, 400.0), Moments(1000, 460.0, squares + 60))
        assert comparison is not None
        judgement = judge_goal(rule_of(plan_goal()), comparison, 2.0, 2.0)
        shown_goal = judged(plan_goal(), plan, comparison, judgement, Look(1, 2.0))
        assert (", h +0.12;" in shown_goal.effect) == has
        assert shown_goal.effect.startswith("d +0.1")


def parse_goals() -> Spec:
    """One goal in the second stage."""
    return spec(goals=[{"name": "done", "service": "conversation", "minimumEffect": 0.1}])


def plan_goal() -> Goal:
    """That goal."""
    return parse_goals().goals[0]
