"""When the difference of two sums is a count, and when it is none."""

import math

import pytest

from serin.metrics.sums import _KEPT_SECONDS, Sums

WEB, OTHER = ("ns", "web", "control"), ("ns", "other", "control")
INF = math.inf


@pytest.mark.parametrize(
    ("series", "now", "rise"),
    [
        (2.0, {0.1: 15.0, INF: 30.0}, {0.1: 5.0, INF: 10.0}),
        (3.0, {0.1: 15.0, INF: 30.0}, None),
        (1.0, {0.1: 15.0, INF: 30.0}, None),
        (2.0, {0.1: 9.0, INF: 30.0}, None),
        (2.0, {0.1: 10.0, INF: 20.0}, {0.1: 0.0, INF: 0.0}),
        (2.0, {0.1: math.nan, INF: 30.0}, None),
        (2.0, {0.1: 15.0, 0.2: 16.0, INF: 30.0}, None),
        (2.0, {0.2: 15.0, INF: 30.0}, None),
    ],
    ids=[
        "of the same series",
        "one more had a sample, which came late or from another replica",
        "one fewer",
        "a bucket fell",
        "nobody asked",
        "no number",
        "an edge more",
        "another edge",
    ],
)
def test_rise(series: float, now: dict[float, float], rise: dict[float, float] | None) -> None:
    """From 10 and 20 at the Unix time 60, which two histograms came to."""
    sums = Sums()
    sums.keep(WEB, 60.0, {INF: 20.0, 0.1: 10.0}, 2.0)
    assert sums.rise(WEB, 60.0, now, series) == rise
    assert sums.rise(OTHER, 60.0, now, series) is None
    assert sums.rise(WEB, 90.0, now, series) is None, "the look before was not counted"


def test_series_that_nobody_counted_are_none() -> None:
    """A histogram without the bucket +Inf."""
    sums = Sums()
    sums.keep(WEB, 60.0, {INF: 20.0}, math.nan)
    assert not sums.knows(WEB, 60.0, math.nan)


def test_who_is_not_looked_at_any_more_is_forgotten() -> None:
    """Experiments end; their sums do too, and the sets of edges that nobody else has."""
    sums = Sums()
    sums.keep(WEB, 0.0, {0.1: 1.0, INF: 1.0}, 1.0)
    sums.keep(OTHER, _KEPT_SECONDS, {0.2: 1.0, INF: 1.0}, 1.0)
    assert sums.knows(WEB, 0.0, 1.0)
    sums.keep(OTHER, _KEPT_SECONDS + 1, {0.2: 1.0, INF: 1.0}, 1.0)
    assert not sums.knows(WEB, 0.0, 1.0)
    assert sums._edges == {(0.2, INF): (0.2, INF)}
