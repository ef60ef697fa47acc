"""Interval, baseline bound and displayed quantile, against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import interpolate, stats

from serin.stats import ratio
from serin.stats.bounds import interpolated_quantile, upper_share


def test_spline_is_scipys_natural_spline() -> None:
    """The matrix evaluates the natural cubic spline through the knots."""
    values = np.sin(ratio.LOG_RATIO)
    fine = np.linspace(-ratio.REACH, ratio.REACH, ratio.FINE)
    oracle = interpolate.CubicSpline(ratio.LOG_RATIO, values, bc_type="natural")(fine)
    np.testing.assert_allclose(ratio._spline() @ values, oracle, atol=1e-12)


@pytest.mark.parametrize(
    ("bad", "other", "share"), [(58, 47, 0.05), (3, 100, 0.05), (5000, 95000, 0.05), (40, 40, 0.5)]
)
def test_ratio_is_the_maximum_of_the_likelihood(bad: int, other: int, share: float) -> None:
    """With one split the maximum is (bad/other) / (share/(1-share)), and it lies inside its interval."""
    best, low, high = ratio.interval(ratio.log_likelihood(bad, bad + other, share))
    assert best == pytest.approx(bad / other * (1 - share) / share, rel=0.01)
    assert low < best < high


def whole(profile: np.ndarray) -> tuple[float, float, float]:
    """The interval from every point of the grid."""
    grid = np.linspace(-ratio.REACH, ratio.REACH, ratio.FINE)
    fine = ratio._spline() @ (profile - profile.max())
    mixture = np.log(np.mean(np.exp(fine - fine.max())))
    inside = np.flatnonzero(mixture - (fine - fine.max()) < -np.log(ratio.LEVEL))
    low = 0.0 if inside[0] == 0 else np.exp(grid[inside[0] - 1])
    return np.exp(grid[fine.argmax()]), low, np.inf if inside[-1] == ratio.FINE - 1 else np.exp(grid[inside[-1] + 1])


@given(
    st.lists(st.tuples(st.integers(0, 100_000), st.floats(0.01, 0.99)), min_size=1, max_size=5),
    st.floats(-5.0, 5.0),
    st.integers(0, 2**32 - 1),
)
def test_what_is_far_from_the_maximum_changes_nothing(looks: list[tuple[int, float]], log: float, seed: int) -> None:
    """Few or many bad requests, any split, a ratio on the grid or beyond it: as if every ratio had been looked at."""
    rng, profile = np.random.default_rng(seed), np.zeros(ratio.KNOTS)
    for bad, share in looks:
        chance = share * np.exp(log) / (1 - share + share * np.exp(log))
        profile += ratio.log_likelihood(rng.binomial(bad, chance), bad, share)
    assert ratio.interval(profile) == pytest.approx(whole(profile), rel=1e-12)


def test_interval_covers_at_all_looks_at_once() -> None:
    """At most 5 % of runs ever exclude the true ratio at any of their looks, within Monte-Carlo error."""
    rng = np.random.default_rng(3)
    missed = 0
    for _ in range(400):
        profile = np.zeros(ratio.KNOTS)
        outside = False
        for look in range(1, 201):
            share = 0.05 if look < 100 else 0.5
            bad, other = rng.poisson(6 * share * 2.0), rng.poisson(6 * (1 - share))
            profile = profile + ratio.log_likelihood(bad, bad + other, share)
            if look % 5 == 0:
                _, low, high = ratio.interval(profile)
                outside |= not low <= 2.0 <= high
        missed += outside
    assert missed <= 400 * 0.05 + 3 * np.sqrt(400 * 0.05 * 0.95)


def test_interval_is_open_where_nothing_limits_it() -> None:
    """Errors in the canary alone have a lower bound and no upper one; without errors there is neither."""
    _, low, high = ratio.interval(ratio.log_likelihood(40, 40, 0.1))
    assert low > 1
    assert high == np.inf
    assert ratio.interval(np.zeros(ratio.KNOTS))[1:] == (0.0, np.inf)


@given(st.integers(1, 10**7), st.data())
def test_upper_share_is_above_the_exact_bound(total: int, data: st.DataObject) -> None:
    """Chernoff's bound is never below Clopper and Pearson's exact one at the same level, and never below the share."""
    bad = data.draw(st.integers(0, total))
    bound = upper_share(bad, total, -np.log(0.01))
    exact = 1.0 if bad == total else float(stats.beta.ppf(0.99, bad + 1, total - bad))
    assert bound >= exact - 1e-9
    assert bad / total <= bound <= 1


def test_upper_share_without_requests_knows_nothing() -> None:
    """No request gives no bound below 1, and a billion gives one near the share."""
    assert upper_share(0, 0, 5.0) == 1.0
    assert upper_share(2_000_000, 10**9, 5.0) == pytest.approx(0.002, rel=0.01)


def test_quantile_is_that_of_prometheus() -> None:
    """Linear within its bucket, the last edge beyond it, unknown without requests."""
    edges = (0.1, 0.2, 0.5)
    assert interpolated_quantile(edges, (50, 90, 100), 100, 0.95) == pytest.approx(0.35)
    assert interpolated_quantile(edges, (50, 80, 90), 100, 0.95) == 0.5
    assert interpolated_quantile(edges, (100, 100, 100), 100, 0.5) == pytest.approx(0.05)
    assert interpolated_quantile(edges, (0, 0, 0), 0, 0.5) is None
