"""tau^2 from history: right for a known noise, cautious without telling data, and never from impossible counts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serin.stats import Dispersion, dispersion_of
from serin.stats.config import ASSUMED_TAU2_ERRORS

DAY = 72


def batches(tau: float, requests: int, share: float, *, seed: int, count: int = DAY) -> tuple[np.ndarray, np.ndarray]:
    """Two halves of one version whose log ratio of the bad shares has the standard deviation `tau`."""
    random = np.random.default_rng(seed)
    totals = random.poisson(requests, (count, 2))
    ratio = np.exp(random.normal(0, tau, count))
    shares = np.stack([np.full(count, share), share * ratio], axis=1).clip(0, 1)
    return totals, random.binomial(totals, shares)


@pytest.mark.parametrize("tau", [0.1, 0.2, 0.4])
def test_finds_the_noise_that_is_there(tau: float) -> None:
    """With a day of much traffic the estimate is that of the process, within 15 % in the mean of 30 days."""
    found = [dispersion_of(*batches(tau, 600_000, 0.003, seed=seed), hours=24).tau2 or 0.0 for seed in range(30)]
    assert float(np.mean(found)) == pytest.approx(tau**2, rel=0.15)


def test_no_noise_gives_little() -> None:
    """Binomial halves have a hundredth of the cautious default or less."""
    found = [dispersion_of(*batches(0.0, 600_000, 0.003, seed=seed), hours=24).tau2 or 0.0 for seed in range(30)]
    assert float(np.median(found)) < ASSUMED_TAU2_ERRORS / 100


def test_common_requests_differ_less_by_chance() -> None:
    """Where half of the requests are slow, chance alone is less than for rare ones, and noise is still seen."""
    totals, bad = batches(0.1, 60_000, 0.5, seed=1)
    assert dispersion_of(totals, bad, hours=24, latency=True).tau2 == pytest.approx(0.01, rel=0.4)


def test_little_history_stays_cautious() -> None:
    """One batch that happens to agree does not take the caution away; six hours of them take most of it."""
    one = dispersion_of([[600_000, 600_000]], [[1800, 1800]], hours=1 / 3)
    more = dispersion_of([[600_000, 600_000]] * 18, [[1800, 1800]] * 18, hours=6)
    assert one.tau2 is not None
    assert more.tau2 is not None
    assert one.tau2 > ASSUMED_TAU2_ERRORS * 0.8
    assert 0 < more.tau2 < ASSUMED_TAU2_ERRORS * 0.3


@pytest.mark.parametrize(
    ("totals", "bad"),
    [([[100, 0]], [[5, 0]]), ([[100, 100]], [[0, 0]]), ([[100, 100]], [[100, 100]]), (np.zeros((0, 2)),) * 2],
)
def test_nothing_told_is_the_default(totals: list[list[int]], bad: list[list[int]]) -> None:
    """Half without requests, nothing bad, all bad, no batch: not known, instead of a variance of 0."""
    assert dispersion_of(totals, bad, hours=1) == Dispersion()


@pytest.mark.parametrize(
    ("totals", "bad", "says"),
    [([[1, 1]], [[1, 2]], "between 0 and totals"), ([[1, 1]], [[1]], "shapes"), ([1, 1], [1, 1], "batches, 2")],
)
def test_impossible_counts(totals: list[object], bad: list[object], says: str) -> None:
    """A sentence."""
    with pytest.raises(ValueError, match=says):
        dispersion_of(totals, bad, hours=1)


@given(
    st.lists(
        st.tuples(st.integers(0, 10**6), st.integers(0, 10**6), st.floats(0, 1), st.floats(0, 1)),
        min_size=1,
        max_size=80,
    )
)
def test_halves_have_no_names(rows: list[tuple[int, int, float, float]]) -> None:
    """Which half is called which does not matter, and the answer is a finite variance or unknown."""
    totals = np.array([[a, b] for a, b, _, _ in rows])
    bad = np.array([[int(a * p), int(b * q)] for a, b, p, q in rows])
    one, other = (dispersion_of(totals[:, ::step], bad[:, ::step], hours=1).tau2 for step in (1, -1))
    assert (one is None) == (other is None)
    if one is not None:
        assert np.isfinite(one)
        assert one >= 0
        assert one == pytest.approx(other, rel=1e-6, abs=1e-12)
