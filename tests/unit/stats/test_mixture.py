"""The arithmetic of the e-process, against independent oracles and by exhaustive sums."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from serin.stats import mixture

COLUMNS = mixture.columns(14, 4, 8, 6)


def increment(
    bad: float, trials: float, share: float, *, null: float = 1.0, tau2: float = 0.0, rate: float = 0.0
) -> Any:
    """Log likelihood ratios of one look and one row, shape (columns,)."""
    tau = np.array([tau2])
    return mixture.log_increment(
        COLUMNS,
        bad=np.array([bad]),
        trials=np.array([trials]),
        share=np.array([share]),
        null_ratio=np.array([null]),
        tau2=tau,
        excess_dispersion=mixture.dispersion(tau, np.array([rate])),
        most=mixture.largest_gain(np.array(3.0), mixture.dispersion(tau, np.array([rate])), np.array(30.0)),
    )[0]


def test_prior_is_a_distribution() -> None:
    """The mixture bets exactly the stake that it is given, at the start and at the restarts together."""
    for cols in (COLUMNS, mixture.columns(6, 1, 3, 3)):
        assert cols.prior.sum() == pytest.approx(1.0)
        np.testing.assert_array_equal(cols.prior, cols.start + cols.wide + cols.close)


@given(st.integers(0, 60), st.integers(0, 60), st.floats(0.01, 0.99), st.floats(1.0, 3.0))
def test_increment_is_the_binomial_likelihood_ratio(bad: int, other: int, share: float, null: float) -> None:
    """Each column is scipy's binomial likelihood of the split at psi over that at psi0."""
    trials = bad + other

    def split(psi: float) -> float:
        return float(stats.binom.logpmf(bad, trials, share * psi / (1 - share + share * psi)))

    found = increment(bad, trials, share, null=null)
    expected = [split(null * np.exp(log_ratio)) - split(null) for log_ratio in COLUMNS.log_ratio]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("null", [1.0, 1.1, 2.0])
@pytest.mark.parametrize("control_share", [0.001, 0.05, 0.3, 0.49])
@pytest.mark.parametrize(("control_total", "canary_total"), [(12, 4), (6, 6), (3, 15)])
@pytest.mark.parametrize("tau2", [0.0, 0.1])
def test_mean_is_at_most_one_for_rare_and_for_common(
    null: float, control_share: float, control_total: int, canary_total: int, tau2: float
) -> None:
    """Summed over all outcomes of two independent binomials on the edge of the null, E has mean <= 1.

    This is stronger than the rare-event limit: slow requests at a low edge are not rare.
    """
    canary_share = null * control_share
    mean = np.zeros(len(COLUMNS.excess))
    for bad, other in itertools.product(range(canary_total + 1), range(control_total + 1)):
        weight = stats.binom.pmf(bad, canary_total, canary_share) * stats.binom.pmf(other, control_total, control_share)
        share = canary_total / (canary_total + control_total)
        rate = (bad + other) * share * (1 - share) / 30
        mean += weight * np.exp(increment(bad, bad + other, share, null=null, tau2=tau2, rate=rate))
    assert mean.max() <= 1 + 1e-9


@given(st.integers(1, 200), st.data(), st.floats(0.02, 0.98), st.sampled_from([0.0, 0.03, 0.3]))
def test_evidence_rises_with_each_bad_request_that_moves_to_the_canary(
    trials: int, data: st.DataObject, share: float, tau2: float
) -> None:
    """With the same total of bad requests, one more of them in the canary raises every column."""
    bad = data.draw(st.integers(0, trials - 1))
    less = increment(bad, trials, share, tau2=tau2, rate=0.1)
    more = increment(bad + 1, trials, share, tau2=tau2, rate=0.1)
    assert (more >= less).all()
    if tau2 == 0:
        assert (more > less).all()


@settings(max_examples=300)
@given(
    st.integers(0, 200),
    st.integers(0, 200),
    st.floats(0.01, 0.99),
    st.floats(1.0, 5.0),
    st.sampled_from([0.0, 0.01, 0.08, 0.5]),
)
def test_a_margin_only_takes_evidence_away(bad: int, other: int, share: float, null: float, tau2: float) -> None:
    """No column gains more against a null with margin than against "no worse": so two rules share one alpha."""
    margin = increment(bad, bad + other, share, null=null, tau2=tau2, rate=0.5)
    level = increment(bad, bad + other, share, tau2=tau2, rate=0.5)
    assert (margin <= level + 1e-9).all()


@given(st.integers(0, 100), st.integers(0, 100), st.integers(0, 100), st.integers(0, 100), st.floats(0.02, 0.98))
def test_looks_of_equal_split_merge_exactly(a: int, b: int, c: int, d: int, share: float) -> None:
    """Two looks with the same split carry the same evidence as one look with their sums."""
    apart = increment(a, a + b, share) + increment(c, c + d, share)
    np.testing.assert_allclose(apart, increment(a + c, a + b + c + d, share), atol=1e-9)


def test_running_sum_equals_the_sum_over_restarts() -> None:
    """One running sum per column is the mixture over all starts, computed start by start."""
    rng = np.random.default_rng(1)
    looks, starts = 40, {0: 0.5, 7: 0.2, 20: 0.2, 33: 0.1}
    steps = rng.normal(-0.1, 0.5, (looks, 1, len(COLUMNS.excess)))
    wealth = (np.log(starts[0]) + np.log(COLUMNS.prior))[None].astype(np.float32)
    for i in range(looks):
        begin = (starts[i] * COLUMNS.prior)[None] if i in starts and i else None
        wealth = mixture.grow(wealth, begin, steps[i], np.array([[80.0]]))
    expected = sum(
        mass * (COLUMNS.prior * np.exp(steps[start:].sum(axis=(0, 1)))).sum() for start, mass in starts.items()
    )
    assert float(mixture.log_evidence(wealth, np.zeros(()))) == pytest.approx(float(np.log(expected)), abs=1e-4)


@settings(max_examples=200)
@given(
    st.integers(0, 10**9),
    st.integers(0, 10**9),
    st.sampled_from([0.0, 1e-9, 0.05, 0.5, 1 - 1e-9, 1.0]),
    st.sampled_from([0.0, 0.1, 100.0]),
)
def test_no_input_overflows(bad: int, other: int, share: float, tau2: float) -> None:
    """Up to a billion requests a look, any split and any dispersion give finite numbers and no warning."""
    bad, other = (0 if share == 0 else bad), (0 if share == 1 else other)
    found = increment(bad, bad + other, share, tau2=tau2, rate=1e7)
    assert np.isfinite(found).all()
    grown = mixture.grow(
        np.zeros((1, len(found)), np.float32), np.full((1, len(found)), 0.1), found, np.array([[80.0]])
    )
    assert np.isfinite(grown).all()


def test_many_guardrails_update_in_one_call() -> None:
    """A leading axis gives the same numbers as one guardrail after the other."""
    rng = np.random.default_rng(2)
    trials = rng.integers(0, 50, (5, 3)).astype(float)
    bad = np.floor(trials * rng.random((5, 3)))
    share, tau2 = rng.random((5, 3)), np.full((5, 3), 0.05)
    excess = mixture.dispersion(tau2, trials / 30)
    null = np.full((5, 3), 1.1)
    names = ("bad", "trials", "share", "null_ratio", "tau2", "excess_dispersion", "most")
    values = (bad, trials, share, null, tau2, excess, mixture.largest_gain(np.full(5, 3.0), excess, np.full(5, 30.0)))
    together = mixture.log_increment(COLUMNS, **dict(zip(names, values, strict=True)))
    for i in range(5):
        alone = mixture.log_increment(COLUMNS, **{name: value[i] for name, value in zip(names, values, strict=True)})
        np.testing.assert_array_equal(together[i], alone)
