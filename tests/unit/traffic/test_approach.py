"""No write asks a proxy for a backend that it does not have: backends come and go with a trace of the traffic."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serin.traffic.approach import Numbers, following, waits
from serin.traffic.presets import HTTP_ROUTE, PRESETS
from serin.traffic.splits import FULL, Backend, Pair, Split

FINEST = HTTP_ROUTE.finest
TRACE = 0.001
"""Percent; more than a trace has, and far less than any weight."""


def rule(canary: int | None, control: int | None, *others: int) -> Pair:
    """Return a rule with these weights."""
    both = Backend("next", "/c", canary), Backend("stable", "/k", control)
    more = tuple(Backend(f"other{at}", f"/{at}", weight) for at, weight in enumerate(others))
    return Pair(Split("", "/rule", (*both, *more)), both[1], both[0])


def way(start: tuple[int, ...], weight: int, *, finest: int = FINEST, urgent: bool = False) -> list[Numbers]:
    """Return the numbers of canary and control at the start and after each write, until the weight is reached."""
    canary, control, *others = start
    found = [Numbers(canary, control)]
    while not (now := rule(*found[-1], *others)).written(weight):
        found.append(following(now, weight, finest, urgent=urgent))
        assert len(found) < 6, found
    return found


WEIGHTS = st.integers(0, 100)
NUMBERS = st.one_of(WEIGHTS.map(lambda w: (w, FULL - w)), st.tuples(st.integers(0, FINEST), st.integers(0, FINEST)))


@given(numbers=NUMBERS, weight=WEIGHTS)
def test_a_backend_comes_and_goes_with_a_trace(numbers: tuple[int, int], weight: int) -> None:
    """Whatever is written, also half a way that a crash left: who gets a share was known, who loses it stays known."""
    if not any(numbers):
        return  # nobody is served, so there is nothing to lose
    for before, after in pairwise(way(numbers, weight)):
        for old, new in zip(before, after, strict=True):
            if old == 0:
                assert 100 * new / sum(after) < TRACE, "a backend that no proxy knows gets a share"
            if new == 0:
                assert 100 * old / sum(before) < TRACE, "a backend is taken away while it has a share"


@given(numbers=NUMBERS)
def test_a_rollback_takes_the_share_with_its_first_write(numbers: tuple[int, int]) -> None:
    """Urgent, nobody but a trace is left at the canary after one write, whatever was there before."""
    steps = way(numbers, 0, urgent=True)
    assert all(100 * each.canary / sum(each) < TRACE for each in steps[1:])
    assert steps[-1] == (0, 100)


@given(numbers=NUMBERS, weight=WEIGHTS)
def test_the_canary_never_gets_more_than_before_and_after(numbers: tuple[int, int], weight: int) -> None:
    """On the way no share is beyond both ends, so a stage's weight is never exceeded."""
    if not any(numbers):
        return
    shares = [100 * each.canary / sum(each) for each in way(numbers, weight)]
    low, high = min(shares[0], weight), max(shares[0], weight)
    assert all(low - TRACE <= each <= high + TRACE for each in shares)


def test_the_usual_ways() -> None:
    """0 -> 5 -> 50 -> 100 -> 0, and back at once from 100: these are the numbers that are seen in a route."""
    to_canary, to_control = (1, 999_999), (999_999, 1)
    assert way((0, 100), 5) == [(0, 100), to_canary, (5, 95)]
    assert way((5, 95), 50) == [(5, 95), (50, 50)]
    assert way((50, 50), 100) == [(50, 50), to_control, (100, 0)]
    assert way((100, 0), 0) == [(100, 0), to_control, to_canary, (0, 100)]
    assert way((100, 0), 0, urgent=True) == [(100, 0), to_canary, (0, 100)]
    assert way((50, 50), 0, urgent=True) == [(50, 50), to_canary, (0, 100)]


def test_what_waits_is_a_trace() -> None:
    """What comes after a trace waits for the proxies; a rollback does not wait for control to be known."""
    assert waits(rule(1, 999_999), FINEST, urgent=True)
    assert waits(rule(999_999, 1), FINEST, urgent=False)
    assert not waits(rule(999_999, 1), FINEST, urgent=True)
    assert not waits(rule(5, 95), FINEST, urgent=False)
    assert not waits(rule(1, 99), FULL, urgent=False)


@pytest.mark.parametrize("weight", [5, 100, 0])
def test_where_a_trace_has_no_room(weight: int) -> None:
    """A resource whose numbers are percents, or a rule with a third backend in use, gets the numbers at once."""
    assert way((50, 50), weight, finest=FULL) == [(50, 50), (weight, FULL - weight)]
    assert way((50, 50, 11), weight) == [(50, 50), (weight, FULL - weight)]
    assert len(way((50, 50, 0), weight)) == (2 if weight == 5 else 3), "a third backend without a share is no matter"


def test_only_the_gateway_apis_weights_are_that_fine() -> None:
    """A trace's sum is the most that the Gateway API's schema accepts; other resources keep to 100."""
    assert {name for name, preset in PRESETS.items() if preset.finest > FULL} == {"Linkerd"}
    assert FINEST % FULL == 0, "a trace's user has to be one of the lowest bucket of a hundred"
