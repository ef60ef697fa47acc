"""Which looks can be counted now: aligned, without gaps or overlaps, and not more queries than a turn can ask."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from serin.controller.observe import windows


def test_look_counts_when_prometheus_has_scraped() -> None:
    """The look from 0 to 30 is there at 45 and not at 44."""
    assert windows(0.0, 44.0, 30.0) == []
    assert windows(0.0, 45.0, 30.0) == [(30.0, 30.0)]


def test_missed_looks_come_one_by_one_oldest_first() -> None:
    """After a short outage each look is its own, so that evidence is as if nothing had been missed."""
    assert windows(0.0, 105.0, 30.0) == [(30.0, 30.0), (60.0, 30.0), (90.0, 30.0)]


def test_counting_that_begins_later_waits() -> None:
    """A start of counting that is still to come gives no look."""
    assert windows(300.0, 100.0, 30.0) == []


def test_long_gap_is_one_longer_look_and_the_rest_single() -> None:
    """Of 30 missed looks the oldest 11 are one, and none is lost."""
    found = windows(0.0, 915.0, 30.0)
    assert found[0] == (330.0, 330.0)
    assert found[1:] == [(360.0 + 30 * index, 30.0) for index in range(19)]


@given(st.integers(0, 2000), st.sampled_from([5.0, 30.0, 60.0]), st.floats(0.0, 0.99))
def test_looks_adjoin_and_end_at_the_newest(missed: int, interval: float, part: float) -> None:
    """Each look begins where the one before ended, at most 20 of them, and no look is longer than an hour."""
    start = 1_700_000_100.0 // interval * interval
    now = start + (missed + 0.5 + part) * interval
    found = windows(start, now, interval)
    assert len(found) == min(missed, 20)
    for (before, _), (end, seconds) in pairwise(found):
        assert end - seconds == before
    for end, seconds in found:
        assert end % interval == 0
        assert seconds <= 3600
    if found:
        assert found[-1][0] == start + missed * interval
        first_end, first_seconds = found[0]
        assert first_end - first_seconds == start or first_seconds == 3600
