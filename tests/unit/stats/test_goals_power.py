"""Planning: the reference case, statsmodels' exact power, and simulated experiments."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.power import TTestIndPower

from serin.stats.goals import days_needed, inflation, power_of, sample_size, smallest_effect

THIRTEEN = tuple(look / 13 for look in range(1, 14))


def test_the_reference_case() -> None:
    """3,500 users of each variant, 14 days at 250 a day, are what 0.067 standard deviations need."""
    assert smallest_effect(3500) == pytest.approx(0.067, abs=5e-5)
    assert sample_size(0.06698) == 3500
    assert smallest_effect(3500, power=0.9) == pytest.approx(0.0775, abs=5e-5)
    assert sample_size(0.0775, power=0.9) == 3500
    assert days_needed(3500, 250) == 14
    assert days_needed(3501, 250) == 15


@given(
    st.floats(0.05, 0.9),
    st.sampled_from([0.01, 0.05, 0.1]),
    st.sampled_from([0.7, 0.8, 0.9]),
    st.sampled_from([1.0, 0.25, 1 / 19, 3.0]),
)
def test_the_same_as_statsmodels(effect: float, alpha: float, power: float, ratio: float) -> None:
    """Within two users, or a thousandth, of the number that the noncentral t-distribution gives."""
    exact = TTestIndPower().solve_power(effect, alpha=alpha, power=power, ratio=ratio)
    assert sample_size(effect, alpha, power, ratio) == pytest.approx(exact, rel=2e-3, abs=2)


@given(st.floats(0.02, 0.8), st.sampled_from([0.8, 0.9]), st.sampled_from([1.0, 0.2, 5.0]))
def test_the_three_questions_agree(effect: float, power: float, ratio: float) -> None:
    """The effect that n users find needs n users, and is found by them with that power."""
    users = sample_size(effect, power=power, ratio=ratio)
    assert smallest_effect(users, power=power, ratio=ratio) <= effect * (1 + 1e-9)
    assert smallest_effect(users - 1, power=power, ratio=ratio) > effect
    assert power_of(effect, users, ratio=ratio) >= power - 1e-9


def test_simulated_power() -> None:
    """The promised share of simulated experiments finds the effect."""
    users = sample_size(0.3)
    random = np.random.default_rng(4)
    means = random.normal(0.3, math.sqrt(2 / users), 40_000)
    sds = np.sqrt(random.chisquare(2 * users - 2, 40_000) / (2 * users - 2))
    found = np.abs(means / (sds * math.sqrt(2 / users))) > 1.9728
    assert found.mean() == pytest.approx(0.8, abs=0.01)


def test_looks_cost_little() -> None:
    """Thirteen looks need five per cent more users than one; a single look needs none."""
    assert inflation((1.0,)) == pytest.approx(1.0, abs=1e-4)
    assert inflation(THIRTEEN) == pytest.approx(1.049, abs=2e-3)
    assert 1 < inflation((0.5, 1.0)) < inflation(THIRTEEN)


def test_simulated_inflation() -> None:
    """With that many more users, thirteen looks have the power that one look has."""
    drift = (1.959964 + 0.841621) * math.sqrt(inflation(THIRTEEN))
    random = np.random.default_rng(9)
    scores = np.cumsum(random.normal(size=(60_000, 13)) / math.sqrt(13) + drift / 13, axis=1)
    from serin.stats.goals import bounds  # noqa: PLC0415 - beside its only use

    crossed = scores / np.sqrt(THIRTEEN) >= np.array(bounds(THIRTEEN))
    assert crossed.any(axis=1).mean() == pytest.approx(0.8, abs=0.008)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((0.0,), "other than 0"),
        ((0.1, 0.0), "alpha must"),
        ((0.1, 0.05, 1.0), "power"),
        ((0.1, 0.05, 0.8, 0.0), "ratio"),
    ],
)
def test_questions_without_an_answer(arguments: tuple[float, ...], words: str) -> None:
    """Each is refused with a sentence."""
    with pytest.raises(ValueError, match=words):
        sample_size(*arguments)


def test_too_few_users_find_nothing() -> None:
    """One user of each variant finds no effect of any size; without traffic the days have no end."""
    assert math.isinf(smallest_effect(0.5))
    assert math.isinf(days_needed(10, 0.0))
    assert power_of(0.5, 0.1) == pytest.approx(0.025)
