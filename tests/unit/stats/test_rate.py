"""The error guardrail over whole runs, as the engine feeds it."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from serin.stats import Dispersion, Evidence, Look, RateConfig, Rule, State, Verdict, explained, judge, start, update

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CONFIG = RateConfig(
    alpha=0.0125,
    worse_than_control=0.1,
    max_share=0.01,
    warn_share=0.005,
    min_requests=100,
    stages=(60.0, 60.0, 60.0),
)


def traffic(
    seed: int,
    *,
    control: float,
    canary: float,
    rates: tuple[float, float] = (45.0, 5.0),
    seconds: float = 5.0,
) -> Iterator[Look]:
    """Endless looks: Poisson arrivals at `rates` (control, canary) a second, binomial errors."""
    rng = np.random.default_rng(seed)
    while True:
        control_total, canary_total = (int(rng.poisson(rate * seconds)) for rate in rates)
        bad = int(rng.binomial(control_total, control)), int(rng.binomial(canary_total, canary))
        yield Look(seconds, control_total, bad[0], canary_total, bad[1])


def run(config: RateConfig, looks: Iterable[Look], state: State | None = None) -> tuple[State, Evidence, float]:
    """Feed looks until they end or fail: the state, the evidence, the seconds that passed."""
    state, seconds = state or start(config), 0.0
    for look in looks:
        state = update(config, state, look)
        seconds += look.seconds
        if judge(config, state).verdict is Verdict.FAILING:
            break
    return state, judge(config, state), seconds


def test_errors_are_found_in_about_a_minute() -> None:
    """5 % against 0.2 % at 45 and 5 requests a second: a minute or less in the median, three at the worst."""
    found = []
    for seed in range(20):
        looks = itertools.islice(traffic(seed, control=0.002, canary=0.05), 60)
        _, evidence, seconds = run(CONFIG, looks)
        assert evidence.verdict is Verdict.FAILING
        found.append(seconds)
    assert np.median(found) <= 60
    assert max(found) <= 180


def test_failing_explains_itself() -> None:
    """A rejection carries its rule, counts, ratio, interval, evidence and a sentence with them."""
    _, evidence, _ = run(CONFIG, traffic(1, control=0.002, canary=0.05))
    assert evidence.rule in {Rule.WORSE_THAN_CONTROL, Rule.MAX}
    assert evidence.evidence >= 1
    assert evidence.ratio is not None
    assert evidence.ratio_low < evidence.ratio < evidence.ratio_high
    assert evidence.canary_value == evidence.canary_bad / evidence.canary_total
    assert f"({evidence.canary_bad:,} of {evidence.canary_total:,})" in explained(evidence)
    assert explained(evidence).startswith("canary fails ")


def test_a_shared_outage_is_not_rolled_back() -> None:
    """4 % in both is above max 1 %: a warning that says so, and no rollback in an hour."""
    looks = itertools.islice(traffic(2, control=0.04, canary=0.04), 720)
    _, evidence, _ = run(CONFIG, looks)
    assert evidence.verdict is Verdict.WARNING
    assert evidence.rule is Rule.MAX
    assert "nothing is rolled back" in explained(evidence)


def test_a_healthy_canary_stays_healthy() -> None:
    """0.2 % in both over an hour, in twenty runs: never rolled back, and Healthy at the end."""
    for seed in range(20):
        looks = itertools.islice(traffic(seed, control=0.002, canary=0.002, seconds=30.0), 120)
        assert run(CONFIG, looks)[1].verdict is Verdict.HEALTHY


def test_max_alone_needs_control_to_be_better() -> None:
    """With only a max, a canary above it fails when control is fine, and only warns when control is as bad."""
    config = dataclasses.replace(CONFIG, worse_than_control=None)
    _, evidence, _ = run(config, itertools.islice(traffic(3, control=0.002, canary=0.05), 60))
    assert (evidence.verdict, evidence.rule) == (Verdict.FAILING, Rule.MAX)
    _, evidence, _ = run(config, itertools.islice(traffic(3, control=0.05, canary=0.05), 200))
    assert (evidence.verdict, evidence.rule) == (Verdict.WARNING, Rule.MAX)


def test_warning_comes_and_goes() -> None:
    """0.8 % in both is above warn: Warning; an hour at 0.1 % afterwards: Healthy again."""
    config = dataclasses.replace(CONFIG, max_share=None)
    state, evidence, _ = run(config, itertools.islice(traffic(4, control=0.012, canary=0.012), 300))
    assert (evidence.verdict, evidence.rule) == (Verdict.WARNING, Rule.WARN)
    _, evidence, _ = run(config, itertools.islice(traffic(5, control=0.001, canary=0.001), 720), state)
    assert evidence.verdict is Verdict.HEALTHY


@pytest.mark.parametrize(
    ("total", "bad", "trips"), [(20, 10, True), (19, 19, False), (40, 19, False), (1000, 500, True)]
)
def test_breaker(total: int, bad: int, trips: bool) -> None:
    """20 or more canary requests of one look, at least half of them bad: Failing at once, min_requests or not."""
    config = dataclasses.replace(CONFIG, min_requests=10_000)
    evidence = judge(config, update(config, start(config), Look(5.0, 300, 1, total, bad)))
    assert (evidence.verdict is Verdict.FAILING) is trips
    if trips:
        assert evidence.rule is Rule.BREAKER
        assert f"{bad:,} of {total:,} canary requests of one look fail" in explained(evidence)
    else:
        assert evidence.verdict is Verdict.INSUFFICIENT


def test_few_requests_are_insufficient() -> None:
    """Below min_requests there is neither promotion nor rollback, however strong the evidence looks."""
    config = dataclasses.replace(CONFIG, min_requests=1000, dispersion=Dispersion(0.0, 24))
    state = start(config)
    for _ in range(15):
        state = update(config, state, Look(5.0, 500, 1, 60, 20))
    assert judge(config, state).verdict is Verdict.INSUFFICIENT
    assert "900 canary requests so far, 1,000 are needed" in explained(judge(config, state))
    for _ in range(2):
        state = update(config, state, Look(5.0, 500, 1, 60, 20))
    assert judge(config, state).verdict is Verdict.FAILING


def test_a_rejection_is_final_within_the_run() -> None:
    """Good looks after a rejection do not take it back, whatever the e-value does then."""
    state, evidence, _ = run(CONFIG, traffic(6, control=0.002, canary=0.05))
    for look in itertools.islice(traffic(7, control=0.002, canary=0.0), 500):
        state = update(CONFIG, state, look)
    assert judge(CONFIG, state).verdict is Verdict.FAILING
    assert judge(CONFIG, state).rule is evidence.rule
    assert judge(CONFIG, state).evidence >= 1


def test_late_onset_is_found() -> None:
    """Errors that begin after six healthy hours of a day's stage are found within minutes, thanks to the restarts."""
    config = dataclasses.replace(CONFIG, stages=(86400.0, 86400.0), dispersion=Dispersion(0.0, 24))
    healthy = itertools.islice(traffic(8, control=0.003, canary=0.003, rates=(47.5, 2.5), seconds=30), 720)
    state, evidence, _ = run(config, healthy)
    assert evidence.verdict is Verdict.HEALTHY
    _, evidence, seconds = run(config, traffic(9, control=0.003, canary=0.03, rates=(47.5, 2.5), seconds=30), state)
    assert evidence.verdict is Verdict.FAILING
    assert seconds <= 600


def bake(seed: int, share: float, seconds: float = 10.0) -> Iterator[Look]:
    """Looks of the bake: the new version serves 50 requests a second alone."""
    for look in traffic(seed, control=0.0, canary=share, rates=(0.0, 50.0), seconds=seconds):
        yield dataclasses.replace(look, baking=True)


def test_bake_is_judged_against_the_run() -> None:
    """After promotion, 0.2 % as before is Healthy; 5 % fails against control's 0.2 % of the run and says so."""
    state, _, _ = run(CONFIG, itertools.islice(traffic(10, control=0.002, canary=0.002, seconds=10), 60))
    _, evidence, _ = run(CONFIG, itertools.islice(bake(11, 0.002), 360), state)
    assert evidence.verdict is Verdict.HEALTHY
    assert "while baking" in explained(evidence)
    _, evidence, seconds = run(CONFIG, itertools.islice(bake(11, 0.05), 360), state)
    assert (evidence.verdict, evidence.rule) == (Verdict.FAILING, Rule.BASELINE)
    assert seconds <= 120


def test_bake_outlasts_an_incident() -> None:
    """2.2 % is above max 1 %: twenty minutes of it are an incident, half an hour of it is a fault."""
    state, _, _ = run(CONFIG, itertools.islice(traffic(10, control=0.002, canary=0.002, seconds=10), 60))
    during, evidence, _ = run(CONFIG, itertools.islice(bake(21, 0.022), 120), state)
    assert evidence.verdict is not Verdict.FAILING
    assert run(CONFIG, itertools.islice(bake(22, 0.002), 240), during)[1].verdict is not Verdict.FAILING
    _, evidence, seconds = run(CONFIG, itertools.islice(bake(23, 0.022), 240), state)
    assert (evidence.verdict, evidence.rule) == (Verdict.FAILING, Rule.BASELINE)
    assert 1200 < seconds <= 2100


def test_bake_allows_what_a_day_does() -> None:
    """Without control beside it, half as many errors again is no reason to roll back, with and without a max."""
    for max_share in (None, 0.01):
        config = dataclasses.replace(CONFIG, max_share=max_share, warn_share=None)
        state, _, _ = run(config, itertools.islice(traffic(12, control=0.003, canary=0.003, seconds=10), 60))
        assert run(config, itertools.islice(bake(13, 0.0045), 360), state)[1].verdict is Verdict.HEALTHY


def test_bake_waits_for_enough_requests() -> None:
    """The run's requests do not count for the bake: it begins Insufficient."""
    state, _, _ = run(CONFIG, itertools.islice(traffic(14, control=0.002, canary=0.002), 60))
    state = update(CONFIG, state, Look(5.0, 0, 0, 50, 0, baking=True))
    assert judge(CONFIG, state).verdict is Verdict.INSUFFICIENT


def test_a_lull_in_control_says_nothing() -> None:
    """A look without control's requests moves no evidence against control, and neither does an empty one."""
    config = dataclasses.replace(CONFIG, max_share=None, warn_share=None, stages=(3600.0,))
    state = start(config)
    for look in (Look(5.0, 0, 0, 60, 20), Look(5.0, 60, 20, 0, 0), Look(5.0, 0, 0, 0, 0)):
        state = update(config, state, look)
    np.testing.assert_array_equal(state.parts.wealth, start(config).parts.wealth)


@pytest.mark.parametrize(
    "look",
    [
        Look(5.0, 10**9, 0, 10**9, 0),
        Look(5.0, 10**9, 10**9, 10**8, 10**7),
        Look(5.0, 0, 0, 10**9, 10**6),
        Look(5.0, 10**9, 3, 1, 1),
        Look(1e-3, 5, 5, 5, 2),
        Look(1e7, 10**9, 10**6, 10**9, 10**6),
        Look(5.0, 0, 0, 10**9, 10**6, baking=True),
    ],
)
def test_extremes_stay_finite(look: Look) -> None:
    """Empty, all bad, a billion requests, a millisecond, four months: finite numbers, no warning, a verdict."""
    for tau2 in (0.0, None, 50.0):
        config = dataclasses.replace(CONFIG, dispersion=Dispersion(tau2))
        state = start(config)
        for _ in range(50):
            state = update(config, state, look)
            evidence = judge(config, state)
        assert np.isfinite(state.parts.wealth).all()
        assert np.isfinite(state.parts.profile).all()
        assert math.isfinite(evidence.evidence)
        assert not math.isnan(evidence.ratio_low + evidence.ratio_high)


def test_a_hundred_thousand_looks() -> None:
    """Nothing grows, drifts or overflows over a month of looks."""
    state = start(CONFIG)
    look = Look(30.0, 10**6, 2000, 10**5, 200)
    for _ in range(20_000):
        state = update(CONFIG, state, look)
    assert judge(CONFIG, state).verdict is Verdict.HEALTHY
    assert judge(CONFIG, state).ratio == pytest.approx(1.0, rel=0.01)
    assert state.parts.wealth.nbytes == start(CONFIG).parts.wealth.nbytes


def test_merged_looks_decide_alike() -> None:
    """Looks of 5 s and the same traffic in looks of 30 s find the same fault within three such looks of each other."""
    for seed in range(10):
        looks = list(itertools.islice(traffic(seed, control=0.002, canary=0.05), 60))
        merged = [
            Look(
                30.0,
                *(sum(getattr(look, name) for look in part) for name in ("control_total", "control_bad")),
                *(sum(getattr(look, name) for look in part) for name in ("canary_total", "canary_bad")),
            )
            for part in (looks[i : i + 6] for i in range(0, 60, 6))
        ]
        assert abs(run(CONFIG, looks)[2] - run(CONFIG, merged)[2]) <= 90


def test_false_rollback_is_bounded_under_any_stopping() -> None:
    """With equal versions, E at the worst of its looks exceeds 1/alpha in at most a part alpha of the runs.

    This is Ville's inequality, which holds for every stopping rule at once. Rates vary by look, weights by stage.
    """
    config = dataclasses.replace(
        CONFIG,
        alpha=0.1,
        worse_than_control=0.0,
        max_share=None,
        warn_share=None,
        min_requests=0,
        stages=(3000.0, 3000.0),
        dispersion=Dispersion(0.0, 24),
    )
    rng = np.random.default_rng(15)
    failed = 0
    for _ in range(200):
        state = start(config)
        for look in range(100):
            share = 0.02 * np.exp(np.sin(look / 9))
            totals = rng.poisson((950, 50) if look < 50 else (500, 500))
            bad = rng.binomial(totals, share)
            state = update(config, state, Look(60.0, int(totals[0]), int(bad[0]), int(totals[1]), int(bad[1])))
        failed += state.failed > 0
    assert failed <= 200 * 0.1 + 3 * np.sqrt(200 * 0.1 * 0.9)


@pytest.mark.parametrize(
    ("looks", "sentence"),
    [
        ([Look(5.0, 0, 0, 0, 0)], "0 canary requests so far, 100 are needed"),
        (
            [Look(5.0, 22_511, 47, 1184, 58)],
            (
                "canary fails 4.9% of requests (58 of 1,184), control 0.21% (47 of 22,511),"
                " 23 times as many (95% interval: 5.4 to 103)"
            ),
        ),
        ([Look(5.0, 9000, 0, 1000, 0)], "canary fails 0% of requests (0 of 1,000), control 0% (0 of 9,000)"),
        (
            [Look(5.0, 9000, 0, 1000, 60)],
            (
                "canary fails 6% of requests (60 of 1,000), control 0% (0 of 9,000),"
                " at least 12 times as many (95% interval)"
            ),
        ),
        (
            [Look(5.0, 300, 2, 40, 30)],
            "30 of 40 canary requests of one look fail, control 2 of 300; half of them is enough",
        ),
    ],
)
def test_sentences(looks: list[Look], sentence: str) -> None:
    """What a person reads, word for word."""
    config = dataclasses.replace(CONFIG, max_share=None, warn_share=None)
    assert explained(run(config, looks)[1]) == sentence
