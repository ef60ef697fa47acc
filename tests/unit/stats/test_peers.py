"""The peers' rules of the bench are what their sources say: a comparison with a caricature would prove nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats
from statsmodels.stats.proportion import proportions_ztest

from tests.bench.statistics import peers
from tests.bench.statistics.streams import WEIGHT, Stream


def stream(canary: np.ndarray, control: int = 4, control_total: int = 1425, canary_total: int = 75) -> Stream:
    """One run with these canary errors, everything else constant."""
    column = canary.reshape(-1, 1)
    return Stream(
        np.full_like(column, control_total),
        np.full_like(column, control),
        np.full_like(column, canary_total),
        column,
    )


def first_by(oracle: list[bool]) -> float:
    """The look of the first hit."""
    return oracle.index(True) + 1 if any(oracle) else math.inf


@pytest.mark.parametrize("seed", range(5))
def test_z_test_is_that_of_statsmodels(seed: int) -> None:
    """It stops at the first look at which statsmodels' two-sided p is below 5 % with the canary worse."""
    errors = np.random.default_rng(seed).poisson(0.35, 60)
    oracle = []
    for look in range(1, 61):
        bad, total = [int(errors[:look].sum()), 4 * look], [75 * look, 1425 * look]
        z, p = proportions_ztest(bad, total)
        oracle.append(bool(p < 0.05 and z > 0))
    assert peers.z_test(stream(errors))[0] == first_by(oracle)


@pytest.mark.parametrize("seed", range(5))
def test_welch_is_that_of_scipy(seed: int) -> None:
    """It stops at the first look from the tenth at which scipy's p of the looks' rates is below 5 %."""
    rng = np.random.default_rng(seed)
    errors, control = rng.poisson(0.4, 60), rng.poisson(4, 60)
    data = Stream(
        np.full((60, 1), 1425), control.reshape(-1, 1), np.full((60, 1), 75), np.minimum(errors, 75).reshape(-1, 1)
    )
    oracle = [False] * 9
    for look in range(10, 61):
        found = stats.ttest_ind(errors[:look] / 75, control[:look] / 1425, equal_var=False)
        oracle.append(bool(found.pvalue < 0.05 and found.statistic > 0))
    assert peers.welch(data)[0] == first_by(oracle)


def test_flagger_counts_minutes_and_argo_five_of_them() -> None:
    """2 % in every look: Flagger's tenth minute is the 20th look, Argo's fourth failure the 40th; 1 % is no failure."""
    bad = stream(np.full(60, 2), canary_total=100)
    assert peers.flagger(bad)[0] == 20
    assert peers.argo(bad)[0] == 40
    good = stream(np.full(60, 1), canary_total=100)
    assert math.isinf(peers.flagger(good)[0])
    assert math.isinf(peers.argo(good)[0])


def test_no_traffic_fails_flaggers_check_and_not_argos() -> None:
    """Nothing measured: Flagger rolls back after ten minutes, Argo's NaN is no failure."""
    empty = stream(np.zeros(60, dtype=np.int64), canary_total=0)
    assert peers.flagger(empty)[0] == 20
    assert math.isinf(peers.argo(empty)[0])


def test_lindon_malek_is_the_integral_over_a_uniform_prior() -> None:
    """It stops at the first look at which the Bayes factor, by numerical integration, is 20 with the canary worse."""
    errors = np.array([0, 1, 2, 2, 1, 3, 2, 2])
    oracle = []
    for look in range(1, 9):
        x, m = int(errors[:look].sum()), int(errors[:look].sum()) + 4 * look

        def ratio(p: float, x: int = x, m: int = m) -> float:
            return (p / WEIGHT) ** x * ((1 - p) / (1 - WEIGHT)) ** (m - x)

        oracle.append(integrate.quad(ratio, 0, 1, points=[x / m])[0] >= 20)
    assert any(oracle)
    assert peers.lindon_malek(stream(errors))[0] == first_by(oracle)


def test_kayenta_needs_a_clear_shift() -> None:
    """Minutes that are all far worse are found after the first hour, equal ones never."""
    rng = np.random.default_rng(1)
    worse = stream(rng.integers(3, 6, 240))
    assert peers.kayenta(worse)[0] == 120
    equal = Stream(*(np.tile(each, (1, 1)) for each in (worse.canary_total, worse.canary_bad) * 2))
    assert math.isinf(peers.kayenta(equal)[0])
