"""The Replicas router: which sizes a weight means, and when the split is as intended."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serin.engine.observation import Workload
from serin.engine.split import pods_for
from serin.traffic.replicas import read


def pods(replicas: int, ready: int | None = None, generation: int = 1) -> Workload:
    """A Deployment that has rolled out, apart from pods that are not ready."""
    return Workload(
        name="d",
        uid="uid-of-d",
        generation=generation,
        observed_generation=generation,
        replicas=replicas,
        current=replicas,
        updated=replicas,
        ready=replicas if ready is None else ready,
        available=replicas,
        template_hash="t",
    )


@pytest.mark.parametrize(
    ("weight", "total", "expected"),
    [
        (0, 10, (10, 0)),
        (5, 10, (9, 1)),
        (5, 20, (19, 1)),
        (10, 10, (9, 1)),
        (35, 10, (7, 3)),
        (50, 10, (5, 5)),
        (99, 10, (1, 9)),
        (100, 10, (0, 10)),
        (1, 2, (1, 1)),
    ],
)
def test_pods_for(weight: int, total: int, expected: tuple[int, int]) -> None:
    """A weight above 0 has at least one pod; 0 and 100 are exact."""
    assert pods_for(weight, total) == expected


@given(weight=st.integers(0, 100), total=st.integers(1, 10_000))
def test_targets_add_up(weight: int, total: int) -> None:
    """The two sizes add up to the total, and neither is negative."""
    control, canary = pods_for(weight, total)
    assert canary <= max(1, weight * total / 100)
    assert control + canary == total
    assert control >= 0
    assert canary >= 0


def test_settled_when_both_are_at_their_size() -> None:
    """Nothing moves and every pod is ready: the split is what the ready pods give."""
    reading = read(pods(9), pods(1), weight=10, total=10)
    assert reading.settled
    assert reading.weight == pytest.approx(10)
    assert not reading.note


@pytest.mark.parametrize(
    ("control", "canary"),
    [
        (pods(10), pods(1)),
        (pods(9), pods(1, ready=0)),
        (pods(9), None),
        (None, pods(1)),
        (dataclasses.replace(pods(9), current=10), pods(1)),
        (dataclasses.replace(pods(9), observed_generation=0), pods(1)),
        (dataclasses.replace(pods(9), updated=3), pods(1)),
    ],
)
def test_not_settled(control: Workload | None, canary: Workload | None) -> None:
    """A wrong size, a pod that isn't ready, a surplus pod, an old template or a stale status is not yet the split."""
    reading = read(control, canary, weight=10, total=10)
    assert not reading.settled
    assert reading.note


def test_restart_of_a_pod_keeps_the_token() -> None:
    """A pod that restarts is no change of the split, so evidence is kept; a change of size is one."""
    calm = read(pods(9), pods(1), weight=10, total=10)
    restarted = read(pods(9, ready=8), pods(1), weight=10, total=10)
    scaled = read(pods(8, generation=2), pods(1), weight=10, total=10)
    assert calm.token == restarted.token
    assert calm.token != scaled.token


def test_absent_canary_is_right_at_weight_0() -> None:
    """A canary that Serin has not made yet, or has removed, leaves control alone."""
    assert read(pods(10), None, weight=0, total=10).settled
