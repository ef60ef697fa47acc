"""When the difference of two sums is a count, and when it is none."""

import math

import pytest

from serin.metrics.sums import _KEPT_SECONDS, Sums

WEB, OTHER = ("ns", "web", "control"), ("ns", "other", "control")
INF = math.inf


@pytest.mark.parametrize(
    ("seconds", "series", "now", "rise"),
    [
        (30.0, 2.0, {0.1: 15.0, INF: 30.0}, {0.1: 5.0, INF: 10.0}),
        (30.0, 3.0, {0.1: 15.0, INF: 30.0}, {0.1: 5.0, INF: 10.0}),
        (90.0, 2.0, {0.1: 15.0, INF: 30.0}, {0.1: 5.0, INF: 10.0}),
        (90.0, 3.0, {0.1: 15.0, INF: 30.0}, None),
        (30.0, 2.0, {0.1: 9.0, INF: 30.0}, None),
        (30.0, 2.0, {0.1: 10.0, INF: 20.0}, {0.1: 0.0, INF: 0.0}),
        (30.0, 2.0, {0.1: math.nan, INF: 30.0}, None),
        (30.0, 2.0, {0.1: 15.0, 0.2: 16.0, INF: 30.0}, None),
        (30.0, 2.0, {0.2: 15.0, INF: 30.0}, None),
    ],
    ids=[
        "of the same length",
        "of the same length, in which a series more had a sample",
        "of another length with the same series",
        "of another length with other series",
        "a bucket fell",
        "nobody asked",
        "no number",
        "an edge more",
        "another edge",
    ],
)
def test_rise(seconds: float, series: float, now: dict[float, float], rise: dict[float, float] | None) -> None:
    """From 10 and 20 at the Unix time 60, which two histograms came to in 30 s."""
    sums = Sums()
    sums.keep(WEB, 60.0, 30.0, {INF: 20.0, 0.1: 10.0}, 2.0)
    assert sums.rise(WEB, 60.0, seconds, now, series) == rise
    assert sums.rise(OTHER, 60.0, seconds, now, series) is None
    assert sums.rise(WEB, 90.0, seconds, now, series) is None, "the look before was not counted"


def test_series_that_nobody_counted_are_those_of_the_same_length_alone() -> None:
    """A pod that restarted or came in a look: its sums are good for the next look of that length."""
    sums = Sums()
    sums.keep(WEB, 60.0, 30.0, {INF: 20.0})
    assert sums.knows(WEB, 60.0, 30.0, 2.0)
    assert not sums.knows(WEB, 60.0, 60.0, 2.0)
    assert not sums.knows(WEB, 60.0, 60.0, math.nan)


def test_who_is_not_looked_at_any_more_is_forgotten() -> None:
    """Experiments end; their sums do too, and the sets of edges that nobody else has."""
    sums = Sums()
    sums.keep(WEB, 0.0, 30.0, {0.1: 1.0, INF: 1.0})
    sums.keep(OTHER, _KEPT_SECONDS, 30.0, {0.2: 1.0, INF: 1.0})
    assert sums.knows(WEB, 0.0, 30.0, 1.0)
    sums.keep(OTHER, _KEPT_SECONDS + 1, 30.0, {0.2: 1.0, INF: 1.0})
    assert not sums.knows(WEB, 0.0, 30.0, 1.0)
    assert sums._edges == {(0.2, INF): (0.2, INF)}
