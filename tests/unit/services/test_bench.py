"""The benches compute what they print correctly: slopes, bars, the highest rate."""

import math

import numpy as np
import pytest

from tests.bench.services.latency import disturbed, highest, table
from tests.bench.services.measure import BARS, Outcome
from tests.bench.services.memory import Course, slope
from tests.load import RouteSeries


def course(per_hour: float, *, noise: float = 0.0, seed: int = 1, seconds: int = 3600) -> Course:
    """Make memory that grows by `per_hour` MiB, with noise that lasts for about 20 seconds."""
    draw = np.random.default_rng(seed)
    wander, values = 0.0, []
    for at in range(seconds):
        wander = 0.95 * wander + draw.normal(0.0, noise)
        # The first fifth is a warm-up in which caches fill: it is in no slope.
        filling = 50.0 * min(1.0, at / (seconds * 0.1))
        values.append(int((100.0 + filling + per_hour * at / 3600 + wander) * 2**20))
    return Course([float(at) for at in range(seconds)], values)


def test_a_slope_is_found_without_the_warm_up() -> None:
    """Memory that grows by 7 MiB an hour after its caches have filled has that slope."""
    found = slope(course(7.0), warm_up=720.0)
    assert found.mib_per_hour == pytest.approx(7.0, abs=1e-3)
    assert not slope(course(20.0), warm_up=720.0).flat
    assert slope(course(0.0), warm_up=720.0).flat


def test_the_interval_holds_the_slope() -> None:
    """With noise that lasts, the 95 % interval holds the true slope in most runs; one from all samples would not."""
    held = 0
    for seed in range(200):
        found = slope(course(3.0, noise=0.3, seed=seed), warm_up=720.0)
        held += found.low <= 3.0 <= found.high
    assert held >= 170


def outcome(rate: float, milliseconds: float, *, failed: int = 0, unanswered: int = 0) -> Outcome:
    """Make an outcome of 1,000 requests to each endpoint, all with the same latency."""
    made = Outcome(rate, seconds=10.0)
    for key in BARS:
        series = made.routes[key] = RouteSeries(failed=failed + unanswered)
        series.latencies.extend([milliseconds / 1000] * (1000 - unanswered) + [math.inf] * unanswered)
        series.lags.extend([0.0] * 1000)
    for name in ("recommendation", "conversation", "postgres", "generator", "others"):
        made.cpu_seconds[name], made.rss[name] = 1.0, 2**20
    return made


@pytest.mark.parametrize(
    ("found", "holds"),
    [
        (outcome(50, 90.0), True),
        (outcome(50, 96.0), False),
        (outcome(50, 10.0, failed=4), True),
        (outcome(50, 10.0, failed=5), False),
        (outcome(50, 10.0, unanswered=60), False),
    ],
)
def test_the_bars_are_those_of_the_services(found: Outcome, *, holds: bool) -> None:
    """P95 at most 95 ms and 145 ms, fewer than 0.5 % failed, and no answer is no fast answer."""
    assert found.holds() is holds


def test_the_highest_rate_is_below_the_first_that_breaks() -> None:
    """A rate that held by luck above one that did not is not the highest."""
    assert highest([outcome(50, 10.0), outcome(100, 20.0), outcome(150, 200.0), outcome(160, 10.0)]) == 100
    assert highest([outcome(50, 500.0)]) == 0


def test_a_disturbed_measurement_says_so() -> None:
    """When others use the machine, or the generator itself was late, the numbers don't pass for the services'."""
    quiet, crowded, late = outcome(50, 10.0), outcome(50, 10.0), outcome(50, 10.0)
    crowded.cpu_seconds["others"] = 15.0
    for series in late.routes.values():
        series.lags.extend([0.1] * 100)
    assert disturbed({"phase3": quiet, "phase4": quiet}) is None
    for bad in (crowded, late):
        assert "busy" in str(disturbed({"phase3": quiet, "phase4": bad}))


def test_a_latency_without_an_end_is_said_so() -> None:
    """The table shows `none` where a percentile has no answer, and no number that looks like one."""
    shown = table({"phase3": outcome(50, 10.0), "phase4": outcome(50, 10.0, unanswered=100)})
    cells = list(shown.columns[2].cells)
    assert cells[0] == "10.0"
    assert cells[1] == "none"
