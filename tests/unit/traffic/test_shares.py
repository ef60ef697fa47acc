"""What sizes may never be: a share of 100 % below the weight 100, or a control without a pod in a stage."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serin.engine.split import pods_for


@given(weight=st.integers(1, 99), total=st.integers(2, 10_000))
def test_both_sides_have_a_pod_in_every_stage(weight: int, total: int) -> None:
    """Below 100 % control keeps a pod to be compared with, and the canary has the number at or below, or one pod."""
    control, canary = pods_for(weight, total)
    assert control >= 1
    assert canary >= 1
    assert weight * total / 100 - 1 < canary <= max(1, weight * total / 100)


@pytest.mark.parametrize("weight", [1, 50, 99])
def test_a_single_pod_is_controls(weight: int) -> None:
    """One pod, or none, is never given to the canary below 100 %, and no size is negative."""
    assert pods_for(weight, 1) == (1, 0)
    assert pods_for(weight, 0) == (0, 0)
