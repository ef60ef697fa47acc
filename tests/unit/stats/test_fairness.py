"""A guardrail is a fair bet: E has mean at most 1 for a canary that is not worse, whenever one stops."""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serin.stats import Dispersion, Look, RateConfig, start, update
from serin.stats.advance import advance
from serin.stats.evidence import log_multiples
from serin.stats.fleet import Looks, constants_of, started
from serin.stats.looks import Rule
from serin.stats.plan import planned

if TYPE_CHECKING:
    from collections.abc import Callable

RUNS, LOOKS, SECONDS = 3000, 60, 120.0
CONFIG = RateConfig(0.05, 0.1, None, None, 0, (LOOKS * SECONDS,), Dispersion(0.0, 24))


def courses(tau2: float, ratio: float, seed: int) -> np.ndarray:
    """E of the rule "worse than control" after each look, shape (looks, runs); shares and weights change by look."""
    rng = np.random.default_rng(seed)
    plan = planned(dataclasses.replace(CONFIG, dispersion=Dispersion(tau2, 24)))
    constants, fleet = constants_of((plan,) * RUNS), started([plan] * RUNS)
    found = np.empty((LOOKS, RUNS))
    for i in range(LOOKS):
        share = 0.01 * np.exp(np.sin(i / 7))
        totals = rng.poisson((950, 50) if i < LOOKS // 2 else (500, 500), (RUNS, 2))
        bads = rng.binomial(totals, (share, ratio * share))
        looks = Looks(
            np.full(RUNS, SECONDS),
            np.zeros(RUNS, dtype=bool),
            np.column_stack([bads[:, 0], totals[:, 0]]),
            np.column_stack([bads[:, 1], totals[:, 1]]),
        )
        fleet = advance(constants, fleet, looks)
        found[i] = np.exp(log_multiples(constants, fleet)[Rule.WORSE_THAN_CONTROL] + constants.limit)
    return found


def at_the_end(e: np.ndarray) -> np.ndarray:
    """Never stop before the end."""
    return e[-1]


def at_a_threshold(e: np.ndarray) -> np.ndarray:
    """Stop as soon as E is 2."""
    hit = (e >= 2).any(axis=0)
    return np.where(hit, e[(e >= 2).argmax(axis=0), np.arange(e.shape[1])], e[-1])


def after_a_rise(e: np.ndarray) -> np.ndarray:
    """Stop after the first rise by half, or at look 40."""
    rises = np.vstack([np.zeros((1, e.shape[1]), dtype=bool), e[1:] > 1.5 * e[:-1]])[:40]
    at = np.where(rises.any(axis=0), rises.argmax(axis=0), 39)
    return e[at, np.arange(e.shape[1])]


def when_it_looks_bad(e: np.ndarray) -> np.ndarray:
    """Stop when E fell below a half: those who give up early gain nothing either."""
    hit = (e < 0.5).any(axis=0)
    return np.where(hit, e[(e < 0.5).argmax(axis=0), np.arange(e.shape[1])], e[-1])


@pytest.mark.parametrize("tau2", [0.0, 0.05])
@pytest.mark.parametrize("ratio", [1.0, 1.1])
@pytest.mark.parametrize("stop", [at_the_end, at_a_threshold, after_a_rise, when_it_looks_bad])
def test_mean_is_at_most_one_whenever_one_stops(
    tau2: float, ratio: float, stop: Callable[[np.ndarray], np.ndarray]
) -> None:
    """At the edge of the margin and inside of it, for four stopping rules: mean of E <= 1 within its error."""
    stopped = stop(courses(tau2, ratio, 1))
    assert stopped.mean() <= 1 + 3 * stopped.std() / np.sqrt(RUNS)


@settings(max_examples=200, deadline=None)
@given(st.floats(0.01, 1.0), st.floats(1.0, 30.0), st.integers(1, LOOKS), st.integers(0, LOOKS), st.booleans())
def test_mean_is_at_most_one_for_any_stopping_rule(low: float, high: float, last: int, least: int, rise: bool) -> None:
    """Rules drawn at random: stop below a bound, above another, at a rise, not before one look, not after another."""
    e = known_courses()
    hit = (e <= low) | (e >= high)
    if rise:
        hit[1:] |= e[1:] > 1.3 * e[:-1]
    hit[:least] = False
    hit[max(last, least) - 1 :] = True
    stopped = e[hit.argmax(axis=0), np.arange(RUNS)]
    # so many rules of one sample are tried that the least likely of them has to fit
    assert stopped.mean() <= 1 + 4.5 * stopped.std() / np.sqrt(RUNS)


@lru_cache(maxsize=1)
def known_courses() -> np.ndarray:
    """Courses at the edge of the margin, drawn once."""
    return courses(0.05, 1.1, 3)


def test_false_rollbacks_at_the_edge_of_the_margin_are_at_most_alpha() -> None:
    """Exactly 10 % worse, the worst healthy canary: E reaches 20 in at most 5 % of the runs."""
    reached = (courses(0.0, 1.1, 2).max(axis=0) >= 20).mean()
    assert reached <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / RUNS)


looks = st.lists(
    st.tuples(st.integers(0, 5000), st.integers(0, 60), st.integers(0, 500), st.integers(0, 60)),
    min_size=1,
    max_size=12,
)


def evidence(counts: list[tuple[int, int, int, int]], tau2: float = 0.05) -> float:
    """The log of E after some looks of (control, its bad, canary, its bad)."""
    config = dataclasses.replace(CONFIG, dispersion=Dispersion(tau2, 24))
    state = start(config)
    for control, control_bad, canary, canary_bad in counts:
        look = Look(30.0, control, min(control_bad, control), canary, min(canary_bad, canary))
        state = update(config, state, look)
    plan = planned(config)
    cells = state.parts.wealth[: plan.compared].astype(float)
    return float(np.log(np.exp(cells - cells.max()).sum()) + cells.max())


@settings(max_examples=60, deadline=None)
@given(looks, st.data())
def test_evidence_is_monotone(counts: list[tuple[int, int, int, int]], data: st.DataObject) -> None:
    """In the last look, a bad request of control that is the canary's instead never lowers E."""
    control, control_bad, canary, canary_bad = counts[-1]
    control_bad, canary_bad = min(control_bad, control), min(canary_bad, canary)
    moved = data.draw(st.integers(0, max(0, min(control_bad, canary - canary_bad))))
    more = [*counts[:-1], (control, control_bad - moved, canary, canary_bad + moved)]
    assert evidence(more) >= evidence([*counts[:-1], (control, control_bad, canary, canary_bad)]) - 1e-4


@settings(max_examples=60, deadline=None)
@given(looks, st.integers(2, 50))
def test_only_the_proportion_of_the_totals_matters(counts: list[tuple[int, int, int, int]], times: int) -> None:
    """The same bad requests among many times the requests of both arms are the same evidence."""
    usable = [(c, min(a, c), t, min(b, t)) for c, a, t, b in counts]
    scaled = [(c * times, a, t * times, b) for c, a, t, b in usable]
    assert evidence(scaled) == pytest.approx(evidence(usable), abs=1e-4)


@settings(max_examples=40, deadline=None)
@given(looks)
def test_empty_looks_change_no_evidence(counts: list[tuple[int, int, int, int]]) -> None:
    """A look without requests between any two others, in a run without overdispersion, says nothing.

    Time does: a restart begins after five minutes. So these are few enough to end before.
    """
    few = counts[:4]
    spread = [each for look in few for each in (look, (0, 0, 0, 0))]
    assert evidence(spread, 0.0) == pytest.approx(evidence(few, 0.0), abs=1e-4)
