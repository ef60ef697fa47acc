"""Why the history of control can't be split in two: what the answer tells, and no guess."""

import pytest

from serin.api.spec import PrometheusRef
from serin.engine.observation import MeasurementFailure, Unmeasured
from serin.metrics.client import Series
from serin.metrics.history import history_of
from serin.metrics.rows import Target

_TARGET = Target(
    "ns", "web", frozenset({"control"}), frozenset({"canary"}), prometheus=PrometheusRef(address="http://p")
)


def _series(value: float, **labels: str) -> Series:
    return Series({"code": "200", **labels}, {1200.0: value, 2400.0: value})


@pytest.mark.parametrize(
    ("requests", "says"),
    [
        ((), "Prometheus has no requests of it in the 24h before"),
        ((_series(0.0, serin_half="a"),), "Prometheus has no requests of it in the 24h before"),
        ((_series(9.0),), "its series have no label pod; write the name of the label that tells pods apart into"),
        (
            (_series(9.0, serin_half="a"), _series(0.0, serin_half="b")),
            "label pod of its series names one pod, or pods whose names end with the same character",
        ),
    ],
)
def test_why_there_are_no_halves(requests: tuple[Series, ...], says: str) -> None:
    """No requests, no label, or one group of pods: each has its own sentence."""
    found = history_of(_TARGET, requests, ())
    assert isinstance(found, Unmeasured)
    assert found.failure is MeasurementFailure.EMPTY
    assert f" can't be split in two: {says}" in found.message
