"""tau^2 from history and from the run itself, against the truth that the data was made with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import optimize

from serin.stats import Dispersion, Look, RateConfig, from_arms, from_pods, refine, start, update
from serin.stats.config import ASSUMED_TAU2_ERRORS
from serin.stats.history import Batches, paule_mandel, windows

SECONDS, BATCH = 30.0, 40
OFFSETS = (1 + 0.625 + 0.5 + 0.625) / 4
"""Variance of a 20-minute mean of pieces of 20 minutes, over the four offsets at which batches begin."""


def arms(seed: int, hours: float, tau2: float, rate: float = 900.0, share: float = 0.01) -> list[Any]:
    """Two arms whose log ratio of shares is normal with variance tau2, anew every 20 minutes."""
    rng = np.random.default_rng(seed)
    looks = int(hours * 120)
    z = np.repeat(rng.normal(0, np.sqrt(tau2), looks // BATCH + 1), BATCH)[:looks]
    totals = [rng.poisson(rate, looks) for _ in range(2)]
    bads = [rng.binomial(totals[0], share), rng.binomial(totals[1], np.minimum(1, share * np.exp(z - tau2 / 2)))]
    return [totals[0], bads[0], totals[1], bads[1]]


def test_paule_mandel_solves_its_equation() -> None:
    """The root is scipy's, column by column; 0 where chance alone explains the batches."""
    rng = np.random.default_rng(1)
    variance = rng.uniform(5, 50, (60, 3))
    score = rng.normal(0, np.sqrt(variance + np.array([0.0, 0.1, 1.0]) * variance**2))
    found = paule_mandel(Batches(score, variance, variance))

    def excess(tau2: float, column: int) -> float:
        s, v = score[:, column], variance[:, column]
        return float((s**2 / (v + tau2 * v**2)).sum() - 60)

    for column in (1, 2):
        assert found[column] == pytest.approx(optimize.brentq(lambda t: excess(t, column), 0, 19), rel=1e-6)  # noqa: B023
    calm = paule_mandel(Batches(score[:, :1] / 2, variance[:, :1], variance[:, :1]))
    assert calm[0] == 0


def test_a_day_finds_what_is_there() -> None:
    """From 24 h the mean of 40 estimates is the true variance over 20 minutes within a sixth, and near 0 if it is 0."""
    for tau2 in (0.02, 0.1):
        found = [from_arms(*arms(seed, 24, tau2), seconds=SECONDS) for seed in range(40)]
        assert np.mean([each.tau2 for each in found]) == pytest.approx(OFFSETS * tau2, rel=0.17)  # type: ignore[union-attr]
        assert all(each.hours == pytest.approx(24) for each in found)  # type: ignore[union-attr]
    calm = [from_arms(*arms(seed, 24, 0.0), seconds=SECONDS).tau2 for seed in range(40)]  # type: ignore[union-attr]
    assert np.mean(calm) < 0.003


def test_little_history_is_drawn_to_the_cautious_default() -> None:
    """Of a calm service, an hour leaves more caution than six, six more than a day; no history is the default."""
    found = [from_arms(*arms(3, hours, 0.0, rate=100), seconds=SECONDS) for hours in (1, 6, 24)]
    values = [each.tau2 for each in found]  # type: ignore[union-attr]
    assert ASSUMED_TAU2_ERRORS > values[0] > values[1] > values[2]
    assert found[0].hours == pytest.approx(1)  # type: ignore[union-attr]
    short = from_arms(*arms(3, 0.3, 0.0), seconds=SECONDS)
    assert short == Dispersion()
    assert short.assumed


def test_no_bad_request_says_nothing_about_an_edge() -> None:
    """An edge that no request exceeded keeps the default, the others have their own estimate."""
    control_total, bad, canary_total, other = arms(4, 24, 0.05)
    nothing = np.zeros_like(bad)
    found = from_arms(
        control_total,
        np.column_stack([bad, nothing]),
        canary_total,
        np.column_stack([other, nothing]),
        seconds=SECONDS,
        latency=True,
    )
    assert isinstance(found, tuple)
    assert found[0].tau2 == pytest.approx(OFFSETS * 0.05, rel=0.5)
    assert found[1].tau2 == 0.03


def test_a_batch_never_spans_a_gap() -> None:
    """Looks on both sides of a gap make no common batch, and a piece of less than 20 minutes makes none."""
    totals, bads = [np.full((100, 1), 100.0)] * 2, [np.full((100, 1), 1.0)] * 2
    whole = windows(totals, bads, seconds=SECONDS, blocks=np.zeros(100))
    cut = windows(totals, bads, seconds=SECONDS, blocks=np.arange(100) >= 70)
    assert (len(whole[0].score), whole[1]) == (7, 3000)
    assert (len(cut[0].score), cut[1]) == (4, 2100)


def test_a_pod_of_its_own_differs_more_than_ten_from_ten() -> None:
    """Pods whose own log shares vary by 0.3: one against nineteen has ten times the tau^2 of ten against ten."""
    rng = np.random.default_rng(5)
    looks, pods = 24 * 120, 20
    z = np.repeat(rng.normal(0, 0.3, (looks // BATCH, pods)), BATCH, axis=0)
    total = rng.poisson(200, (looks, pods))
    bad = rng.binomial(total, 0.02 * np.exp(z - 0.045))
    one = from_pods(total, bad, seconds=SECONDS, control_pods=19, canary_pods=1)
    half = from_pods(total, bad, seconds=SECONDS, control_pods=10, canary_pods=10)
    assert one.tau2 == pytest.approx(OFFSETS * 0.09 * (1 + 1 / 19), rel=0.3)  # type: ignore[union-attr]
    assert half.tau2 == pytest.approx(OFFSETS * 0.09 * 0.2, rel=0.3)  # type: ignore[union-attr]
    # two stable pods tell of ten against ten by scaling
    two = from_pods(total[:, :2], bad[:, :2], seconds=SECONDS, control_pods=10, canary_pods=10)
    assert two.tau2 == pytest.approx(OFFSETS * 0.018, rel=0.5)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("total", "bad", "pods", "sentence"),
    [
        (np.ones((50, 1)), np.ones((50, 1)), 1, "two pods"),
        (np.ones((50, 2)), np.ones((50, 2)), 0, "two pods"),
        (np.ones((50, 2)), np.ones((50, 3)), 1, "shape"),
        (np.ones((50, 2)), 2 * np.ones((50, 2)), 1, "bad <= total"),
    ],
)
def test_bad_histories(total: Any, bad: Any, pods: int, sentence: str) -> None:
    """Each is refused with a sentence."""
    with pytest.raises(ValueError, match=sentence):
        from_pods(total, bad, seconds=SECONDS, control_pods=1, canary_pods=pods)


def factor_after(hours: float, tau2: float, *, ratio: float = 1.0, onset: int = 0, known: Dispersion) -> float:
    """The factor on tau^2 that a run has learnt."""
    config = RateConfig(0.05, 0.1, None, None, 10**9, (86400.0,), known)
    state = start(config)
    rng = np.random.default_rng(6)
    control_total, control_bad, canary_total, canary_bad = arms(7, hours, tau2)
    for i, (a, b, c, d) in enumerate(zip(control_total, control_bad, canary_total, canary_bad, strict=True)):
        more = int(rng.poisson(d * (ratio - 1))) if i >= onset else 0
        state = update(config, state, Look(SECONDS, int(a), int(b), int(c), min(int(c), int(d) + more)))
    return float(state.parts.noise[refine.FACTOR])


def test_a_run_learns_that_its_pods_are_calm() -> None:
    """Without history, twelve calm hours take most of the default away; 0 that was given stays 0 whatever comes."""
    assert factor_after(12, 0.0, known=Dispersion()) < 0.35
    assert factor_after(12, 0.5, known=Dispersion(0.0, 24)) == 1.0


def test_a_run_learns_that_its_pods_differ() -> None:
    """A history of calm pods is overruled by a run of restless ones, slowly."""
    assert factor_after(24, 0.1, known=Dispersion(0.02, 6)) > 1.5


def test_constant_harm_is_not_taken_for_noise() -> None:
    """Three times the errors from the start change the factor no more than health does, and a late onset little."""
    healthy = factor_after(12, 0.02, known=Dispersion(0.02, 24))
    harmful = factor_after(12, 0.02, ratio=3.0, known=Dispersion(0.02, 24))
    late = factor_after(12, 0.02, ratio=3.0, onset=700, known=Dispersion(0.02, 24))
    assert harmful == pytest.approx(healthy, abs=0.6)
    assert late < 1.6
