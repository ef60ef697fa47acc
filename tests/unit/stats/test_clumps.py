"""The breaker, where bad requests come in clumps: a client's batch is no broken version."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from serin.stats import Dispersion, Look, RateConfig, Rule, State, Verdict, clumps, judge, start, update

CONFIG = RateConfig(0.05, 0.1, None, None, 100, (21600.0,), Dispersion(0.05, 24))
HALF = Look(30.0, 1425, 4, 75, 40)


def after(control: list[int], *, total: int = 1425) -> State:
    """A run in which control had so many bad requests look by look, and the canary none."""
    state = start(CONFIG)
    for bad in control:
        state = update(CONFIG, state, Look(30.0, total, bad, 75, 0))
    return state


@given(st.integers(1, 400), st.integers(1, 400), st.integers(500, 2000), st.integers(500, 2000))
def test_each_pair_of_looks_adds_a_chi_square(one: int, two: int, n_one: int, n_two: int) -> None:
    """The index of one pair of looks is scipy's chi-square of the two, for rare bad requests."""
    sums = np.zeros((1, clumps.CLUMPS))
    for bad, total in ((one, n_one * 1000), (two, n_two * 1000)):
        sums = clumps.counted(sums, np.array([bad * 1.0]), np.array([total * 1.0]))
    table = [[one, n_one * 1000 - one], [two, n_two * 1000 - two]]
    expected = stats.chi2_contingency(table, correction=False).statistic
    assert sums[0, clumps.SQUARES] / sums[0, clumps.SEEN] == pytest.approx(expected, rel=0.01, abs=1e-9)


@pytest.mark.parametrize("control", [[], [4, 5, 3, 4, 6] * 40, [0] * 200])
def test_half_of_a_look_trips_at_once(control: list[int]) -> None:
    """Nothing known of control, ordinary chance, no errors at all: the breaker decides on one look."""
    evidence = judge(CONFIG, update(CONFIG, after(control), HALF))
    assert (evidence.verdict, evidence.rule) == (Verdict.FAILING, Rule.BREAKER)


def test_a_batch_does_not_trip_where_control_has_such_batches() -> None:
    """Control had looks of 60 bad ones between looks of none. A look of 40 is one more, and is waited out."""
    state = update(CONFIG, after([0, 0, 60, 0, 0, 0, 45, 0] * 25), HALF)
    assert judge(CONFIG, state).verdict is not Verdict.FAILING
    for _ in range(20):
        state = update(CONFIG, state, Look(30.0, 1425, 4, 75, 0))
    assert judge(CONFIG, state).verdict is not Verdict.FAILING


def test_a_broken_version_is_found_there_too() -> None:
    """All requests fail beside such a control: the breaker waits, the bets need three looks."""
    state = after([0, 0, 60, 0, 0, 0, 45, 0] * 25)
    for _ in range(3):
        state = update(CONFIG, state, Look(30.0, 1425, 4, 75, 75))
    assert judge(CONFIG, state).verdict is Verdict.FAILING


def test_an_outage_of_control_is_no_clump() -> None:
    """Control failed for ten minutes, and earlier swung by a factor of two: the breaker is as quick as ever."""
    outage = [4] * 60 + [900] * 20 + [4] * 60
    swing = np.repeat([4, 8, 4, 8], 60).tolist()
    for control in (outage, swing):
        evidence = judge(CONFIG, update(CONFIG, after(control), HALF))
        assert evidence.rule is Rule.BREAKER


def test_the_size_of_clumps() -> None:
    """Chance has an index near 1, which counts as none; clumps of ten are found to be about ten."""
    rng = np.random.default_rng(1)
    sums = np.zeros((2, clumps.CLUMPS))
    for _ in range(2000):
        bad = np.array([rng.poisson(4), 10 * rng.poisson(0.4)], dtype=float)
        sums = clumps.counted(sums, bad, np.array([1425.0, 1425.0]))
    assert clumps.size(sums)[0] == 1
    assert clumps.size(sums)[1] == pytest.approx(10, rel=0.1)
