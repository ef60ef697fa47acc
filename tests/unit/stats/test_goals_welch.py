"""Two variants compared: against scipy and statsmodels on the users themselves, and what must not change the answer."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_effectsize
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from serin.stats.goals import Comparison, Moments, cohen_h, common_language, risk_difference, welch

values = st.lists(st.integers(-1000, 1000).map(lambda whole: whole / 8), min_size=3, max_size=40)
"""Users' values that binary fractions hold exactly, so that equal things are equal."""


def moments(users: list[float]) -> Moments:
    """Return the three sums of users' values."""
    array = np.array(users)
    return Moments(len(users), float(array.sum()), float((array**2).sum()))


def compared(control: list[float], canary: list[float]) -> Comparison:
    """Return the comparison of users that can be compared."""
    found = welch(moments(control), moments(canary))
    assert found is not None
    return found


def varied(users: list[float]) -> bool:
    """Whether the values differ enough for a variance."""
    return float(np.var(users)) > 1e-3


@given(values.filter(varied), values.filter(varied))
def test_the_same_as_scipy_on_the_users(control: list[float], canary: list[float]) -> None:
    """p, df and the interval of three sums are those that scipy computes from every user's value."""
    ours, theirs = compared(control, canary), scipy_stats.ttest_ind(canary, control, equal_var=False)
    assert ours.statistic == pytest.approx(theirs.statistic, rel=1e-6, abs=1e-9)
    assert ours.df == pytest.approx(theirs.df, rel=1e-6)
    assert ours.p == pytest.approx(theirs.pvalue, rel=1e-5, abs=1e-12)
    interval = theirs.confidence_interval(0.9)
    assert ours.confidence(0.9) == pytest.approx((interval.low, interval.high), rel=1e-6, abs=1e-8)


def test_the_same_as_statsmodels() -> None:
    """A second, independent implementation agrees on unequal sizes and variances."""
    random = np.random.default_rng(1)
    control, canary = random.normal(3.4, 1.2, 900), random.normal(3.5, 0.7, 200)
    ours = compared(list(control), list(canary))
    theirs = CompareMeans(DescrStatsW(canary), DescrStatsW(control))
    statistic, p, df = theirs.ttest_ind(usevar="unequal")
    assert (ours.statistic, ours.p, ours.df) == pytest.approx((statistic, p, df))
    assert ours.confidence() == pytest.approx(theirs.tconfint_diff(usevar="unequal"))


@given(values.filter(varied), values.filter(varied))
def test_z_is_as_improbable_as_t(control: list[float], canary: list[float]) -> None:
    """What bounds are compared with has the p-value of the t-test, and its sign."""
    found = compared(control, canary)
    if found.p > 1e-300:
        assert 2 * scipy_stats.norm.sf(abs(found.z)) == pytest.approx(found.p, rel=1e-6)
    assert math.copysign(1, found.z) == math.copysign(1, found.statistic) or found.z == 0


def test_z_far_out() -> None:
    """Evidence beyond any table stays a number."""
    found = welch(Moments(1e6, 0.0, 1e6), Moments(1e6, 1e6, 2e6))
    assert found is not None
    assert found.p == 0.0
    assert found.z == found.statistic > 100


def test_cohens_d_against_its_definition() -> None:
    """The difference in pooled standard deviations of users, not of means."""
    control, canary = [1.0, 2.0, 3.0, 4.0], [2.0, 4.0, 6.0]
    pooled = math.sqrt((3 * np.var(control, ddof=1) + 2 * np.var(canary, ddof=1)) / 5)
    assert compared(control, canary).cohen_d == pytest.approx((4.0 - 2.5) / pooled)


@given(values.filter(varied), values.filter(varied), st.sampled_from([0.25, 2.0, 1024.0]), st.integers(-64, 64))
def test_unit_and_origin_do_not_matter(control: list[float], canary: list[float], scale: float, shift: int) -> None:
    """Seconds or minutes, from 0 or from 5: the same p and the same d, and a difference in the new unit."""
    one = compared(control, canary)
    two = compared([x * scale + shift for x in control], [x * scale + shift for x in canary])
    assert two.difference == pytest.approx(one.difference * scale, rel=1e-6, abs=1e-6)
    assert two.p == pytest.approx(one.p, rel=1e-4, abs=1e-9)
    assert two.cohen_d == pytest.approx(one.cohen_d, rel=1e-4, abs=1e-7)


@given(values.filter(varied), values.filter(varied))
def test_names_may_be_exchanged(control: list[float], canary: list[float]) -> None:
    """Which of the two is called canary turns the sign, and nothing else."""
    one, two = compared(control, canary), compared(canary, control)
    assert one.difference == pytest.approx(-two.difference)
    assert (one.p, one.df, one.error) == pytest.approx((two.p, two.df, two.error))


@given(values, values)
def test_sums_add_up(one: list[float], two: list[float]) -> None:
    """Pods and segments can be added: the sums of all users are the sum of the sums."""
    assert moments(one) + moments(two) == moments([*one, *two])


def test_fieller_covers_the_true_ratio() -> None:
    """The interval of the relative difference contains the truth 95 times in 100, also where control is near zero."""
    random = np.random.default_rng(7)
    for mean, runs in ((2.0, 1000), (0.3, 1000)):
        inside = 0
        for _ in range(runs):
            old, new = random.normal(mean, 1, 120), random.normal(mean * 1.5, 1, 150)
            found = compared(list(old), list(new)).relative_interval(1.96)
            # Where control's mean can't be told from 0, no ratio is ruled out.
            inside += found is None or found[0] <= 0.5 <= found[1]
        assert inside / runs == pytest.approx(0.95, abs=0.02)


def test_relative_difference_of_a_negative_mean() -> None:
    """Relative to the size of control's mean: from -2 to -1 is a gain of a half, inside its interval."""
    random = np.random.default_rng(3)
    found = compared(list(random.normal(-2, 0.1, 500)), list(random.normal(-1, 0.1, 500)))
    interval = found.relative_interval(1.96)
    assert found.relative == pytest.approx(0.5, abs=0.02)
    assert interval is not None
    assert interval[0] < found.relative < interval[1]


def test_control_near_zero_has_no_relative_difference() -> None:
    """A ratio to something that may be 0 has no interval, and none is invented."""
    assert compared([-1.0, 1.0, -1.0, 1.1], [1.0, 2.0, 3.0]).relative_interval(1.96) is None


@pytest.mark.parametrize(
    ("control", "canary"),
    [([], [1.0, 2.0]), ([1.0], [1.0, 2.0]), ([1.0, 2.0], [3.0]), ([1.0, 1.0, 1.0], [1.0, 1.0])],
)
def test_nothing_to_compare(control: list[float], canary: list[float]) -> None:
    """Too few users, or users who are all alike, give no comparison rather than a certain one."""
    assert welch(moments(control), moments(canary)) is None


@pytest.mark.parametrize(
    ("sums", "words"),
    [
        ((-1, 0, 0), "whole number"),
        ((1.5, 1, 1), "whole number"),
        ((2, 10, 10), "50 at least"),
        ((0, 1, 1), "at least"),
        ((1, math.nan, 1), "must be numbers"),
        ((math.inf, 1, 1), "must be numbers"),
    ],
)
def test_impossible_sums(sums: tuple[float, float, float], words: str) -> None:
    """What no users can have is refused with a sentence."""
    with pytest.raises(ValueError, match=words):
        Moments(*sums)


def test_variance_that_rounding_ate() -> None:
    """Values around a million that differ by a millionth have no variance that sums could tell."""
    assert Moments(1000, 1e9, 1e15).variance == 0.0


@given(st.floats(0, 1), st.floats(0, 1))
def test_cohens_h_is_statsmodels(control: float, canary: float) -> None:
    """Cohen's h against its other implementation."""
    assert cohen_h(control, canary) == pytest.approx(proportion_effectsize(canary, control), abs=1e-9)


@given(st.integers(1, 400), st.integers(1, 400), st.floats(0, 1), st.floats(0, 1))
def test_risk_difference_is_newcombes(old: int, new: int, old_share: float, new_share: float) -> None:
    """Newcombe's interval against statsmodels, whatever the shares, 0 and 1 included."""
    bad, worse = round(old * old_share), round(new * new_share)
    ours = risk_difference(bad, old, worse, new)
    low, high = confint_proportions_2indep(worse, new, bad, old, method="newcomb")
    assert (ours.low, ours.high) == pytest.approx((low, high), abs=1e-9)
    assert ours.low - 1e-12 <= ours.difference <= ours.high + 1e-12


def test_common_language_is_a_share_of_pairs() -> None:
    """Of all pairs of a canary's and a control's user, the share in which the canary's is higher."""
    random = np.random.default_rng(5)
    old, new = random.normal(3, 1, 3000), random.normal(3.4, 1.5, 3000)
    pairs = float((new[:, None] > old[None, :]).mean())
    assert common_language(old.mean(), old.var(), new.mean(), new.var()) == pytest.approx(pairs, abs=0.005)


def test_impossible_effects() -> None:
    """Shares above 1, counts that contradict each other."""
    with pytest.raises(ValueError, match="between 0 and 1"):
        cohen_h(0.5, 1.5)
    with pytest.raises(ValueError, match="0 <= bad <= total"):
        risk_difference(3, 2, 0, 1)
