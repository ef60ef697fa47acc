"""Blocks of time and weekdays: against statsmodels, in any cut, and in the situations that they are for."""

from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from serin.stats.goals import BlockSums, Moments, paired_blocks, reweighted, welch
from serin.stats.goals.blocks import LAGS

series = st.lists(st.integers(-500, 500).map(lambda whole: whole / 16), min_size=4, max_size=60).filter(
    lambda values: float(np.var(values)) > 1e-3
)


@given(series, st.integers(0, 3))
def test_newey_west_is_statsmodels(differences: list[float], lags: int) -> None:
    """The sums that are kept give the HAC error that statsmodels computes from all blocks."""
    ours = paired_blocks(differences, lags)
    fitted = sm.OLS(np.array(differences), np.ones(len(differences))).fit(
        cov_type="HAC", cov_kwds={"maxlags": lags, "use_correction": True}, use_t=True
    )
    if ours is None:
        assert not fitted.bse[0] > 1e-9
        return
    assert ours.difference == pytest.approx(fitted.params[0], abs=1e-9)
    assert ours.error == pytest.approx(fitted.bse[0], rel=1e-6, abs=1e-9)
    assert ours.p == pytest.approx(fitted.pvalues[0], rel=1e-5, abs=1e-12)


@given(series)
def test_without_lags_it_is_the_paired_t_test(differences: list[float]) -> None:
    """Blocks that have nothing to do with each other: scipy's one-sample t-test."""
    ours, theirs = paired_blocks(differences, 0), scipy_stats.ttest_1samp(differences, 0.0)
    assert ours is not None
    assert ours.p == pytest.approx(theirs.pvalue, rel=1e-5, abs=1e-12)
    interval = theirs.confidence_interval()
    assert ours.confidence() == pytest.approx((interval.low, interval.high), rel=1e-6, abs=1e-8)


def test_far_from_zero() -> None:
    """A difference of a million with a spread of one keeps its digits."""
    random = np.random.default_rng(1)
    values = 1e6 + random.normal(size=300)
    ours = paired_blocks(values)
    assert ours is not None
    assert ours.lags == 5
    near = paired_blocks(values - 1e6)
    assert near is not None
    assert ours.error == pytest.approx(near.error, rel=1e-6)


def test_dependent_blocks_keep_their_level() -> None:
    """Neighbours that are alike fool the plain t-test three times as often as Newey and West's."""
    random = np.random.default_rng(6)
    wrong = {0: 0, 4: 0}
    for _ in range(400):
        noise = random.normal(size=312)
        values = np.empty(312)
        values[0] = noise[0]
        for block in range(1, 312):
            values[block] = 0.5 * values[block - 1] + noise[block]
        for lags in wrong:
            found = paired_blocks(values, lags)
            assert found is not None
            wrong[lags] += found.p < 0.05
    assert wrong[0] / 400 > 0.2
    assert wrong[4] / 400 < 0.12


def test_too_little_to_test() -> None:
    """Two blocks, or blocks that are all the same, give no test; what is not a number is refused."""
    assert paired_blocks([1.0, 2.0]) is None
    assert paired_blocks([1.0] * 9) is None
    with pytest.raises(ValueError, match="leave out a block"):
        BlockSums().add(math.nan)
    with pytest.raises(ValueError, match=f"0 to {LAGS}"):
        paired_blocks([1.0, 2.0, 3.0], LAGS + 1)


def users(random: np.random.Generator, mean: float, count: int) -> Moments:
    """Return the sums of normal users."""
    values = random.normal(mean, 1.0, count)
    return Moments(count, float(values.sum()), float((values**2).sum()))


def test_weekdays_get_their_due() -> None:
    """Saturdays are happier and came twice, and the canary got fewer of them: only reweighting sees no difference."""
    random = np.random.default_rng(8)
    counts = [400] * 5 + [800, 400]
    control = [users(random, 5.0 if day == 5 else 3.0, counts[day]) for day in range(7)]
    canary = [users(random, 5.0 if day == 5 else 3.0, counts[day] // (4 if day == 5 else 1)) for day in range(7)]
    naive = welch(sum(control[1:], control[0]), sum(canary[1:], canary[0]))
    found = reweighted(control, canary)
    assert naive is not None
    assert found is not None
    assert naive.p < 1e-6
    assert found[3] > 0.05
    assert found[0] == pytest.approx(0.0, abs=3 * found[1])


def test_reweighting_is_a_weighted_mean_of_days() -> None:
    """By hand: the days' differences with the shares of a week, and the error that belongs to them."""
    random = np.random.default_rng(10)
    control = [users(random, 3.0, 50 + day) for day in range(7)]
    canary = [users(random, 3.2, 60 + day) for day in range(7)]
    shares = [1.0, 1, 1, 1, 2, 3, 3]
    days = [welch(old, new) for old, new in zip(control, canary, strict=True)]
    whole = sum(shares)
    mean = sum(share / whole * day.difference for share, day in zip(shares, days, strict=True) if day)
    error = math.sqrt(sum((share / whole * day.error) ** 2 for share, day in zip(shares, days, strict=True) if day))
    found = reweighted(control, canary, shares)
    assert found is not None
    assert found[:2] == pytest.approx((mean, error))
    assert min(day.df for day in days if day) <= found[2] <= sum(day.df for day in days if day)


def test_missing_weekdays() -> None:
    """A weekday without users is left out; without any there is no answer; six weekdays are a mistake."""
    random = np.random.default_rng(3)
    nobody = Moments(0, 0, 0)
    days = [users(random, 3.0, 80) for _ in range(6)]
    found = reweighted([*days, nobody], [*days[::-1], nobody])
    assert found is not None
    assert reweighted([nobody] * 7, [nobody] * 7) is None
    with pytest.raises(ValueError, match="seven"):
        reweighted(days, days)
    with pytest.raises(ValueError, match="not all 0"):
        reweighted([nobody] * 7, [nobody] * 7, [0.0] * 7)
