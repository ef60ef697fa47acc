"""Which looks can be counted and when: without gaps or overlaps, spread, and few queries after a long gap."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serin.controller.looks import due_look, following, offset, set_back, windows
from serin.engine.observation import Unmeasured

UIDS = st.uuids().map(str)
INTERVALS = st.sampled_from([1.0, 5.0, 7.0, 15.0, 30.0, 60.0, 3600.0])


@pytest.mark.parametrize(
    ("now", "seconds"),
    [(0.0, 15.0), (14.0, 1.0), (15.0, 30.0), (16.0, 29.0), (44.0, 1.0), (1_000_000_000.0, 5.0)],
)
def test_look_is_due_half_an_interval_after_its_end(now: float, seconds: float) -> None:
    """A look of 30 s that ends at a multiple of 30 is due 15 s later."""
    assert due_look(now, 30.0) == pytest.approx(seconds)


@given(st.floats(0, 2e9), INTERVALS, UIDS)
def test_next_look_is_within_one_interval_and_in_its_slot(now: float, interval: float, uid: str) -> None:
    """Whenever it is asked, the next look comes within an interval, and its end is in the experiment's slot."""
    wait = due_look(now, interval, offset(uid, interval))
    assert 0 < wait <= interval * (1 + 1e-6)
    end = (now + wait - interval / 2 - offset(uid, interval)) / interval
    assert end == pytest.approx(round(end), abs=1e-5)


@given(UIDS, INTERVALS)
def test_slots_are_whole_seconds_within_the_interval(uid: str, interval: float) -> None:
    """A status keeps whole seconds, and a look that ends in its interval is of that interval."""
    assert offset(uid, interval) == int(offset(uid, interval))
    assert 0 <= offset(uid, interval) < interval
    assert offset(uid, interval) == offset(uid, interval)


def test_experiments_are_spread_evenly() -> None:
    """Of 1,000 experiments with a look every 30 s about 200 are in each of five slots; those of 5 s have one slot."""
    found = Counter(offset(f"{number:032x}", 30.0) for number in range(1000))
    assert sorted(found) == [0, 6, 12, 18, 24]
    assert all(150 < count < 250 for count in found.values())
    assert {offset(f"{number:032x}", 5.0) for number in range(100)} == {0}


def test_look_counts_when_prometheus_has_scraped() -> None:
    """The look from 0 to 30 is there at 45 and not at 44; in the slot of 10 s it is ten seconds later."""
    assert windows(0.0, 44.0, 30.0) == []
    assert windows(0.0, 45.0, 30.0) == [(30.0, 30.0)]
    assert windows(10.0, 54.0, 30.0, 10.0) == []
    assert windows(10.0, 55.0, 30.0, 10.0) == [(40.0, 30.0)]


def test_the_first_look_reaches_to_the_slot() -> None:
    """Counting that begins at a multiple of the interval: the first look is longer, and never shorter."""
    assert windows(0.0, 54.0, 30.0, 10.0) == []
    assert windows(0.0, 55.0, 30.0, 10.0) == [(40.0, 40.0)]
    assert windows(0.0, 85.0, 30.0, 10.0) == [(40.0, 40.0), (70.0, 30.0)]


def test_missed_looks_come_one_by_one_oldest_first() -> None:
    """After a short outage each look is its own, so that evidence is as if nothing had been missed."""
    assert windows(0.0, 105.0, 30.0) == [(30.0, 30.0), (60.0, 30.0), (90.0, 30.0)]


def test_counting_that_begins_later_waits() -> None:
    """A start of counting that is still to come gives no look."""
    assert windows(300.0, 100.0, 30.0) == []


def test_long_gap_is_one_longer_look_and_the_rest_single() -> None:
    """Of 30 missed looks the oldest 25 are one, and none is lost."""
    found = windows(0.0, 915.0, 30.0)
    assert found[0] == (750.0, 750.0)
    assert found[1:] == [(780.0 + 30 * index, 30.0) for index in range(5)]


def test_thousands_catch_up_by_one_look() -> None:
    """Six at a time for each of five thousand would take longer than six more take to become due."""
    assert windows(0.0, 915.0, 30.0, experiments=5000) == [(900.0, 900.0)]
    assert windows(0.0, 75.0, 30.0, experiments=5000) == [(60.0, 60.0)]
    assert windows(0.0, 45.0, 30.0, experiments=5000) == [(30.0, 30.0)]


def test_looks_longer_than_an_hour_are_not_cut() -> None:
    """An interval of three hours has looks of three hours."""
    assert windows(0.0, 16_200.0, 10_800.0) == [(10_800.0, 10_800.0)]


@given(st.integers(0, 2000), st.sampled_from([5.0, 30.0, 60.0]), st.floats(0.0, 0.99), UIDS)
def test_looks_adjoin_and_end_at_the_newest(missed: int, interval: float, part: float, uid: str) -> None:
    """Each look begins where the one before ended, at most 6 of them, and none but the oldest is merged."""
    shifted = offset(uid, interval)
    start = 1_700_000_100.0 // interval * interval + shifted
    now = start + (missed + 0.5 + part) * interval
    found = windows(start, now, interval, shifted)
    assert len(found) == min(missed, 6)
    for (before, _), (end, seconds) in pairwise(found):
        assert end - seconds == before
        assert seconds == interval
    for end, seconds in found:
        assert (end - shifted) % interval == 0
        assert seconds <= 3600
    if found:
        assert found[-1][0] == start + missed * interval
        first_end, first_seconds = found[0]
        assert first_end - first_seconds == start or first_seconds == 3600


@given(st.floats(0.0, 300.0), st.sampled_from([5.0, 30.0, 60.0]), UIDS)
def test_what_follows_is_the_next_look_that_there_is(past: float, interval: float, uid: str) -> None:
    """At the moment that it says a look is due, and not before."""
    shifted = offset(uid, interval)
    until = 1_700_000_100.0 + past
    end = following(until, interval, shifted)
    found = windows(until, end + interval / 2, interval, shifted)
    assert [each for each, _ in found] == [end]
    assert found[0][1] >= interval - 1e-4
    assert windows(until, end + interval / 2 - 0.01, interval, shifted) == []


def test_a_clock_that_is_set_back_is_said() -> None:
    """Counted until a time that is yet to come: a look without data that says so, where a step's beginning is none."""
    now = 1_700_000_000.0
    assert set_back(now + 25, now, 10.0, ["a"]) is None
    look = set_back(now + 3600, now, 10.0, ["a", "b"])
    assert look is not None
    assert sorted(look.services) == ["a", "b"]
    lost = look.services["a"]
    assert isinstance(lost, Unmeasured)
    assert lost.failure.passes
    assert "was set back: looks were counted until 23:13:20 UTC, and it is 22:13:20 UTC now" in lost.message
