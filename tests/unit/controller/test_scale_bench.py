"""What the bench of many experiments counts as due."""

import pytest

from serin.controller.looks import SLOT, due_look, offset
from tests.bench.scale.found import Plan


@pytest.mark.parametrize("interval", [30.0, 60.0, 10.0, 5.0])
def test_the_bench_reads_its_meters_while_no_look_is_due(interval: float) -> None:
    """So the looks of a whole number of intervals are those that are due, not a slot more and not one less."""
    shifts = {offset(f"uid-{number}", interval) for number in range(200)}
    assert len(shifts) == max(1, interval // SLOT)
    plan = Plan(interval)
    for now in (1_700_000_000.0, 1_700_000_003.9, 1_700_000_017.2):
        at = now + plan.between(now)
        assert 0 <= at - now <= interval
        assert min(due_look(at, interval, shift) for shift in shifts) >= 1.4
        assert min(interval - due_look(at, interval, shift) for shift in shifts) >= 1.4


def test_whole_intervals_are_watched() -> None:
    """At least one."""
    assert Plan(30.0, 245.0).watched == 240.0
    assert Plan(30.0, 10.0).watched == 30.0
