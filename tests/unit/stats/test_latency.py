"""The latency guardrail over whole runs, from histogram buckets."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from serin.stats import (
    Dispersion,
    Evidence,
    LatencyConfig,
    LatencyLook,
    Rule,
    State,
    Verdict,
    explained,
    judge,
    start,
    update,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

EDGES = (0.01, 0.025, 0.05, 0.075, 0.085, 0.095, 0.105, 0.12, 0.135, 0.145, 0.15, 0.165, 0.2, 0.3, 0.5, 1.0, 2.5)
CONFIG = LatencyConfig(
    alpha=0.0125,
    worse_than_control=0.05,
    max_seconds=0.15,
    edges=EDGES,
    min_requests=100,
    stages=(60.0, 60.0, 60.0),
)
SIGMA = math.log(0.11 / 0.045) / 1.645


def counts(rng: np.random.Generator, total: int, added: float, scale: float) -> tuple[int, ...]:
    """Cumulative counts of a log-normal service with P50 45 ms and P95 110 ms, times `scale`, plus `added` seconds."""
    seconds = np.sort(0.045 * scale * np.exp(SIGMA * rng.normal(size=total)) + added)
    return tuple(int(count) for count in np.searchsorted(seconds, EDGES, side="right"))


def traffic(
    seed: int,
    *,
    added: float = 0.0,
    scale: tuple[float, float] = (1.0, 1.0),
    rates: tuple[float, float] = (45.0, 5.0),
    seconds: float = 10.0,
) -> Iterator[LatencyLook]:
    """Endless looks; only the canary is slower by `added`."""
    rng = np.random.default_rng(seed)
    while True:
        totals = [int(rng.poisson(rate * seconds)) for rate in rates]
        control, canary = counts(rng, totals[0], 0.0, scale[0]), counts(rng, totals[1], added, scale[1])
        yield LatencyLook(seconds, EDGES, control, canary, totals[0], totals[1])


def run(
    config: LatencyConfig, looks: Iterable[LatencyLook], state: State | None = None
) -> tuple[State, Evidence, float]:
    """Feed looks until they end or fail: the state, the evidence, the seconds that passed."""
    state, seconds = state or start(config), 0.0
    for look in looks:
        state = update(config, state, look)
        seconds += look.seconds
        if judge(config, state).verdict is Verdict.FAILING:
            break
    return state, judge(config, state), seconds


@pytest.mark.parametrize("rates", [(45.0, 5.0), (25.0, 25.0), (18.0, 2.0)])
@pytest.mark.parametrize("seconds", [5.0, 10.0, 30.0])
def test_sixty_milliseconds_are_found_within_two_minutes(rates: tuple[float, float], seconds: float) -> None:
    """60 ms more on a P95 of 110 ms, begun a minute into the run, without history."""
    state, evidence, _ = run(CONFIG, itertools.islice(traffic(1, rates=rates, seconds=seconds), int(60 / seconds)))
    assert evidence.verdict is not Verdict.FAILING
    _, evidence, waited = run(CONFIG, itertools.islice(traffic(2, added=0.06, rates=rates, seconds=seconds), 50), state)
    assert evidence.verdict is Verdict.FAILING
    assert waited <= 120


def test_failing_explains_itself() -> None:
    """A rejection names both P95, and the edge that decided with its shares and their ratio."""
    state, evidence, _ = run(CONFIG, traffic(3, added=0.06))
    assert evidence.edge == EDGES[state.parts.decided]
    assert evidence.canary_bad / evidence.canary_total > 2 * evidence.control_bad / evidence.control_total
    assert evidence.ratio is not None
    assert evidence.ratio_low < evidence.ratio < evidence.ratio_high
    assert evidence.canary_p95 == evidence.canary_value
    assert evidence.control_p95 == pytest.approx(0.11, abs=0.01)
    assert explained(evidence).startswith("canary's P95 is 1")
    assert f"slower than {1000 * EDGES[state.parts.decided]:g} ms" in explained(evidence)
    assert "above max 150 ms" in explained(evidence)


def test_the_edge_that_decided_is_the_one_that_is_named() -> None:
    """Slow only beyond 500 ms: the verdict names an edge there, not the one at max where both are equal."""
    state = start(CONFIG)
    for _ in range(400):
        fast = (900,) * 10 + (950, 960, 970, 990, 997, 1000, 1000)
        slow = (900,) * 10 + (950, 955, 960, 965, 970, 1000, 1000)
        state = update(CONFIG, state, LatencyLook(10.0, EDGES, fast, slow, 1000, 1000))
    evidence = judge(CONFIG, state)
    assert evidence.rule is Rule.WORSE_THAN_CONTROL
    assert evidence.edge is not None
    assert evidence.edge >= 0.2
    assert evidence.canary_bad > 2 * evidence.control_bad
    assert f"slower than {1000 * evidence.edge:g} ms" in explained(evidence)
    assert f"at {1000 * evidence.edge:g} ms, the histogram's edge that shows it best" in explained(evidence)
    assert evidence.ratio is not None
    assert evidence.ratio_low > 1


def test_a_healthy_canary_stays_healthy() -> None:
    """Ten runs of two hours with the same latency: none is rolled back."""
    config = dataclasses.replace(CONFIG, stages=(3600.0, 3600.0))
    for seed in range(10):
        assert run(config, itertools.islice(traffic(seed, seconds=30.0), 240))[1].verdict is Verdict.HEALTHY


def test_a_shared_slowness_is_not_rolled_back() -> None:
    """Both twice as slow, far above max: a warning, no rollback."""
    _, evidence, _ = run(CONFIG, itertools.islice(traffic(4, scale=(2.0, 2.0)), 120))
    assert (evidence.verdict, evidence.rule) == (Verdict.WARNING, Rule.MAX)
    assert "max 150 ms" in explained(evidence)


def test_max_alone_needs_control_to_be_better() -> None:
    """With only a max, a canary beyond it fails beside a fast control."""
    config = dataclasses.replace(CONFIG, worse_than_control=None)
    _, evidence, _ = run(config, itertools.islice(traffic(5, added=0.06), 60))
    assert (evidence.verdict, evidence.rule) == (Verdict.FAILING, Rule.MAX)
    _, evidence, _ = run(config, itertools.islice(traffic(5, scale=(2.0, 2.0)), 60))
    assert (evidence.verdict, evidence.rule) == (Verdict.WARNING, Rule.MAX)


def test_a_small_change_is_found_with_history() -> None:
    """A quarter slower at 2.5 canary requests a second, with a history of no overdispersion: within 10 minutes."""
    config = dataclasses.replace(CONFIG, stages=(21600.0,), dispersion=Dispersion(0.0, 24))
    found = [
        run(config, itertools.islice(traffic(s, scale=(1, 1.25), rates=(47.5, 2.5), seconds=30), 60))[2]
        for s in range(10)
    ]
    assert max(found) <= 600


def test_without_max_the_edge_is_that_of_controls_quantile() -> None:
    """Without a max the reported edge is the one nearest to control's P95."""
    config = dataclasses.replace(CONFIG, max_seconds=None)
    state = start(config)
    assert judge(config, state).edge is None
    for look in itertools.islice(traffic(6), 10):
        state = update(config, state, look)
    assert judge(config, state).edge == 0.105


def test_bake_is_judged_against_the_run() -> None:
    """While baking, the same latency is Healthy, 200 ms more fail at once, and 60 ms more when they have lasted."""
    state, _, _ = run(CONFIG, itertools.islice(traffic(7), 18))

    def bake(added: float, looks: int) -> Iterator[LatencyLook]:
        for look in itertools.islice(traffic(8, added=added, rates=(0.0, 50.0)), looks):
            yield dataclasses.replace(look, baking=True)

    assert run(CONFIG, bake(0.0, 60), state)[1].verdict is Verdict.HEALTHY
    for added, least, most in ((0.2, 0, 120), (0.06, 1200, 2100)):
        _, evidence, seconds = run(CONFIG, bake(added, 240), state)
        assert (evidence.verdict, evidence.rule) == (Verdict.FAILING, Rule.BASELINE)
        assert least < seconds <= most


@pytest.mark.parametrize("total", [0, 1, 10**9])
def test_extremes_stay_finite(total: int) -> None:
    """No requests, one, or a billion, all fast or all slow: finite numbers, no warning."""
    for fast in (0, total):
        config = dataclasses.replace(CONFIG, max_seconds=None) if fast else CONFIG
        state = start(config)
        for _ in range(30):
            look = LatencyLook(10.0, EDGES, (fast,) * len(EDGES), (fast,) * len(EDGES), total, total)
            state = update(config, state, look)
            evidence = judge(config, state)
        assert np.isfinite(state.parts.wealth).all()
        assert math.isfinite(evidence.evidence)


def test_dispersion_may_differ_by_edge() -> None:
    """An edge with a large tau^2 of its own loses its say, the others keep theirs."""
    quiet, noisy = Dispersion(0.0, 24), Dispersion(10.0, 24)
    shared = dataclasses.replace(CONFIG, max_seconds=None, dispersion=quiet)
    mixed = dataclasses.replace(shared, dispersion=tuple(noisy if e > 0.1 else quiet for e in EDGES))
    looks = list(itertools.islice(traffic(9, scale=(1.0, 1.1)), 30))
    calm, loud = start(shared), start(mixed)
    for look in looks:
        calm, loud = update(shared, calm, look), update(mixed, loud, look)
    np.testing.assert_array_equal(calm.parts.wealth[:6], loud.parts.wealth[:6])
    assert judge(mixed, loud).evidence < judge(shared, calm).evidence
