"""The bounds of repeated looks: published values, exact spending, and simulations with fixed seeds."""

from __future__ import annotations

import itertools
import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serin.stats.goals import bounds, crossing, repeated_p_value, sequential, spent
from serin.stats.goals.sequential import limits_of

THIRTEEN = tuple(look / 13 for look in range(1, 14))
fractions = st.lists(st.integers(1, 40), min_size=1, max_size=8).map(
    lambda steps: tuple(float(value) for value in np.cumsum(steps) / sum(steps))
)


def test_thirteen_daily_looks() -> None:
    """The stage of thirteen days: from 4.24 on the first day to 2.11 on the last."""
    found = bounds(THIRTEEN)
    assert [round(found[0], 2), round(found[-1], 2)] == [4.24, 2.11]
    assert all(early > late for early, late in itertools.pairwise(found))


@pytest.mark.parametrize(
    ("spending", "published"),
    [
        (
            [4 * NormalDist().cdf(-2.241403 / math.sqrt(look / 5)) for look in range(1, 6)],
            (4.8769, 3.3569, 2.6803, 2.2898, 2.0310),
        ),
        (
            [0.05 * math.log(1 + (math.e - 1) * look / 5) for look in range(1, 6)],
            (2.4380, 2.4268, 2.4101, 2.3966, 2.3859),
        ),
    ],
    ids=["O'Brien and Fleming", "Pocock"],
)
def test_published_bounds(spending: list[float], published: tuple[float, ...]) -> None:
    """Five looks, two-sided 5 %, with the spending functions that everybody tabulates (Reboussin and others 2000)."""
    equal = tuple(float(look) for look in range(1, 6))
    assert limits_of(tuple(spending), equal, 2) == pytest.approx(published, abs=2e-4)


@pytest.mark.parametrize(
    ("limits", "alpha"),
    [
        ([2.413] * 5, 0.05),
        ([2.040 * math.sqrt(5 / look) for look in range(1, 6)], 0.05),
        ([2.555] * 10, 0.05),
        ([2.576] * 1, 0.01),
    ],
)
def test_published_constants(limits: list[float], alpha: float) -> None:
    """The constants of Pocock and of O'Brien and Fleming spend their level (Jennison and Turnbull 2000, ch. 2)."""
    upper, lower = crossing(limits, range(1, len(limits) + 1))
    assert float((upper + lower).sum()) == pytest.approx(alpha, abs=1e-4)


def test_one_look_is_the_ordinary_test() -> None:
    """All of alpha at one look: 1.96 on two sides, 1.645 on one."""
    assert bounds((1.0,)) == pytest.approx((1.959964,), abs=1e-6)
    assert bounds((1.0,), sides=1) == pytest.approx((1.644854,), abs=1e-6)


@settings(deadline=None, max_examples=30)
@given(fractions, st.sampled_from([0.001, 0.01, 0.05, 0.2]), st.sampled_from([1, 2]))
def test_exactly_alpha_is_spent(looks: tuple[float, ...], alpha: float, sides: int) -> None:
    """At each look as much as planned, and all of alpha in the end, whatever the spacing."""
    upper, lower = crossing(bounds(looks, alpha, sides=sides), looks, sides=sides)
    planned = [spent(look, alpha) for look in looks]
    assert np.cumsum(upper + lower) == pytest.approx(planned, abs=2e-9)
    if sides == 2:
        assert upper == pytest.approx(lower, abs=1e-9)


@pytest.mark.parametrize(
    ("looks", "information"),
    [
        (THIRTEEN, THIRTEEN),
        ((0.2, 0.3, 0.9, 1.0), (0.2, 0.3, 0.9, 1.0)),
        (THIRTEEN[1::3], THIRTEEN[1::3]),
        ((0.25, 0.5, 0.75, 1.0), (1000.0, 1100.0, 2500.0, 7000.0)),
    ],
    ids=["daily", "uneven", "missed looks", "information apart from time"],
)
def test_simulated_level(looks: tuple[float, ...], information: tuple[float, ...]) -> None:
    """100,000 experiments without a difference: as many cross as was spent, for every spacing of looks."""
    limits = np.array(bounds(looks, 0.05, information=information))
    grown = np.array(information)
    steps = np.diff(grown, prepend=0.0)
    random = np.random.default_rng(11)
    scores = np.cumsum(random.normal(size=(100_000, len(looks))) * np.sqrt(steps), axis=1) / np.sqrt(grown)
    crossed = np.abs(scores) >= limits
    assert crossed.any(axis=1).mean() == pytest.approx(spent(looks[-1], 0.05), abs=4 * math.sqrt(0.05 / 100_000))


def test_simulated_power() -> None:
    """The recursion's power under a difference is that of simulated experiments, look by look."""
    limits = bounds(THIRTEEN)
    upper, lower = crossing(limits, THIRTEEN, 2.9)
    random = np.random.default_rng(12)
    times = np.array(THIRTEEN)
    steps = random.normal(size=(100_000, 13)) * math.sqrt(1 / 13) + 2.9 / 13
    scores = np.cumsum(steps, axis=1) / np.sqrt(times)
    crossed = np.abs(scores) >= np.array(limits)
    first = np.where(crossed.any(axis=1), crossed.argmax(axis=1), -1)
    simulated = [(first == look).mean() for look in range(13)]
    assert upper + lower == pytest.approx(simulated, abs=0.005)


def test_missed_looks_are_not_paid_for() -> None:
    """What a missed look did not spend goes to the next: the last bound is lower with fewer looks."""
    assert bounds((0.5, 1.0))[-1] < bounds(THIRTEEN)[-1]
    assert bounds((1.0,))[-1] < bounds((0.5, 1.0))[-1]


def test_an_early_look_spends_nothing_worth_mentioning() -> None:
    """A look after a ten-thousandth of the stage can't reject, and later looks lose nothing by it."""
    found = bounds((1e-5, 0.5, 1.0))
    assert math.isinf(found[0])
    assert found[1:] == pytest.approx(bounds((0.5, 1.0)), abs=1e-6)


def test_later_looks_do_not_change_earlier_bounds() -> None:
    """Each bound follows from the looks before it: nobody needs to know how often will be looked."""
    assert bounds(THIRTEEN[:4]) == pytest.approx(bounds(THIRTEEN)[:4], abs=1e-9)


@given(st.sampled_from([0.1, 1.0, 1e6]))
def test_unit_of_information(scale: float) -> None:
    """Information in any unit gives the same bounds."""
    grown = tuple(scale * value for value in (1.0, 3.0, 4.0))
    assert bounds((0.3, 0.6, 1.0), information=grown) == pytest.approx(
        bounds((0.3, 0.6, 1.0), information=(1.0, 3.0, 4.0)), abs=1e-7
    )


def test_after_the_end_nothing_is_left() -> None:
    """A look after all of alpha was spent can't reject."""
    assert math.isinf(bounds((0.5, 1.0, 1.1), information=(1, 2, 3))[-1])


def test_repeated_p_value() -> None:
    """One look: the ordinary p. Several: the level at which a bound is met exactly, and never below one look's p."""
    assert repeated_p_value([2.1], [1.0]) == pytest.approx(2 * 0.017864, rel=6e-3)
    limits = bounds(THIRTEEN, 0.01)
    assert repeated_p_value([0.0] * 12 + [limits[-1]], THIRTEEN) == pytest.approx(0.01, rel=6e-3)
    assert repeated_p_value([0.0] * 3, THIRTEEN[:3]) == pytest.approx(1.0, abs=2e-3)
    assert repeated_p_value([9.0], [1.0]) == pytest.approx(1e-12, rel=1e-2)


@pytest.mark.parametrize(
    "arguments",
    [((0.5, 0.5),), ((0.0, 1.0),), ((1.0, 0.5),), ((1.0,), 0.0), ((1.0,), 1.0)],
)
def test_impossible_looks(arguments: tuple[object, ...]) -> None:
    """Looks that do not ascend, and levels that are none, are refused."""
    with pytest.raises(ValueError, match=r"looks need|a level"):
        bounds(*arguments)  # type: ignore[arg-type]


def test_information_must_rise() -> None:
    """A look that brought nothing new is refused: it must not be taken."""
    with pytest.raises(ValueError, match="rise from look to look"):
        bounds((0.5, 1.0), information=(5.0, 5.0))


@settings(deadline=None, max_examples=30)
@given(fractions, st.sampled_from([1e-6, 0.001, 0.05, 0.5]), st.sampled_from([1, 2]))
def test_newton_finds_what_bisection_finds(looks: tuple[float, ...], alpha: float, sides: int) -> None:
    """The quick way to a bound and the slow one meet."""
    quick = bounds(looks, alpha, sides=sides)
    sequential.limits_of.cache_clear()
    newton, sequential._limit = sequential._limit, sequential._limit_by_halves
    try:
        assert quick == pytest.approx(bounds(looks, alpha, sides=sides), abs=1e-7)
    finally:
        sequential._limit = newton
        sequential.limits_of.cache_clear()
