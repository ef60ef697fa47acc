"""The bets on slow requests, which are common: fair for every share, and those of the literature where it has them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from serin.stats.common import log_ratio_of_shares

EXCESS = np.array([0.15, 0.5, 3.0, 19.0])


def log_ratio(
    counts: tuple[int, int], totals: tuple[int, int], guess: float, *, null: float = 1.0, excess: np.ndarray = EXCESS
) -> np.ndarray:
    """Log L of one look with `counts` slow ones of `totals` (control, canary), shape (alternatives,)."""
    served = float(sum(totals))
    one = {
        "bad": counts[1],
        "trials": sum(counts),
        "served": served,
        "share": totals[1] / served,
        "null_ratio": null,
        "guess": guess,
    }
    return log_ratio_of_shares(excess, **{name: np.array([float(value)]) for name, value in one.items()})[0]


@pytest.mark.parametrize("null", [1.0, 1.05, 1.5])
@pytest.mark.parametrize("guess", [0.001, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.66])
@pytest.mark.parametrize("totals", [(12, 4), (6, 6), (2, 12)])
def test_mean_is_at_most_one_whatever_is_guessed(
    null: float, guess: float, share: float, totals: tuple[int, int]
) -> None:
    """Summed over all outcomes, on the edge of the null and inside of it, for right and for wrong guesses."""
    for ratio in (null, (1 + null) / 2, 0.7):
        canary = min(1.0, ratio * share)
        mean = np.zeros(len(EXCESS))
        for bad, other in itertools.product(range(totals[1] + 1), range(totals[0] + 1)):
            weight = stats.binom.pmf(bad, totals[1], canary) * stats.binom.pmf(other, totals[0], share)
            mean += weight * np.exp(log_ratio((other, bad), totals, guess, null=null))
        assert mean.max() <= 1 + 1e-9


@given(st.integers(1, 60), st.integers(1, 60), st.floats(0.01, 0.9), st.data())
def test_without_margin_it_is_the_two_sample_e_value(n_c: int, n_t: int, guess: float, data: st.DataObject) -> None:
    """Turner, Ly and Gruenwald: the likelihood of the two shares over that of their mean, weighted by requests."""
    control, canary = data.draw(st.integers(0, n_c)), data.draw(st.integers(0, n_t))
    odds = 1.5 * guess / (1 - guess)
    slower = odds / (1 + odds)
    mean = (n_c * guess + n_t * slower) / (n_c + n_t)
    expected = sum(
        float(stats.binom.logpmf(bad, n, share) - stats.binom.logpmf(bad, n, mean))
        for bad, n, share in ((control, n_c, guess), (canary, n_t, slower))
    )
    found = log_ratio((control, canary), (n_c, n_t), guess, excess=np.array([0.5]))
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-8)


@settings(max_examples=50)
@given(st.floats(0.02, 0.6), st.floats(1.0, 1.5), st.floats(0.05, 0.95))
def test_the_null_is_the_one_that_is_hardest_to_tell_apart(guess: float, null: float, weight: float) -> None:
    """With a margin: the null point has the least divergence from the alternative, as scipy's minimizer finds it.

    The expected gain under the alternative, per request, is then that least divergence.
    """
    excess = 0.5
    odds = (1 + excess) * null * guess / (1 - null * guess)
    slower = odds / (1 + odds)

    def divergence(share: float) -> float:
        pairs = ((weight, slower, null * share), (1 - weight, guess, share))
        return sum(w * (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))) for w, p, q in pairs)

    least = optimize.minimize_scalar(
        divergence, bounds=(1e-6, (1 - 1e-9) / null), method="bounded", options={"xatol": 1e-12}
    )
    served = 1e6
    one = {"bad": served * weight * slower, "served": served, "share": weight, "null_ratio": null, "guess": guess}
    one["trials"] = one["bad"] + served * (1 - weight) * guess
    found = log_ratio_of_shares(np.array([excess]), **{name: np.array([value]) for name, value in one.items()})
    np.testing.assert_allclose(found[0] / served, least.fun, rtol=1e-4, atol=1e-9)


@given(st.integers(0, 40), st.integers(0, 200), st.floats(1.0, 3.0), st.sampled_from([1e-7, 1e-6]))
def test_rare_requests_give_the_bet_on_their_split(bad: int, other: int, null: float, guess: float) -> None:
    """Where nearly nothing is slow the two kinds of bets are one, whatever was guessed."""
    due = 0.05 * null / (0.95 + 0.05 * null)
    expected = bad * np.log1p(EXCESS) - (bad + other) * np.log1p(due * EXCESS)
    np.testing.assert_allclose(log_ratio((other, bad), (950, 50), guess, null=null), expected, rtol=1e-3, atol=0.05)


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.sampled_from([0.0, 1e-9, 0.5, 1.0]))
def test_no_input_overflows(control: int, canary: int, guess: float) -> None:
    """A billion requests, none or all slow, any guess: finite numbers, no warning."""
    for null in (1.0, 1.05, 50.0):
        assert np.isfinite(log_ratio((control, canary), (10**9, 10**9), guess, null=null)).all()
