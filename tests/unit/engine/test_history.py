"""What control did before a run decides how much noise its guardrails take for granted, once and for the whole run."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from serin.api.status import ServiceStatus, Status
from serin.engine.history import histories, key, latency_dispersion, rate_dispersion, with_history
from serin.engine.observation import (
    History,
    HistoryBlock,
    MeasurementFailure,
    Observation,
    RouteReading,
    ServiceObservation,
    Unmeasured,
    Workload,
)
from serin.stats import Dispersion

EDGES = (0.1, 0.15)
STATUS = Status(services=(ServiceStatus(name="a"), ServiceStatus(name="b")))


def history(noise: float, blocks: int = 72) -> History:
    """Blocks of a version whose halves differ by a factor of e^(noise), up and down in turn."""
    made = []
    for index in range(blocks):
        factor = float(np.exp(noise if index % 2 else -noise))
        errors, slow = (1000, round(1000 * factor)), (5000, round(5000 * factor))
        within = tuple((300_000 - 2 * each, 300_000 - each) for each in slow)
        made.append(
            HistoryBlock((300_000, 300_000), errors, (within[0], within[1]), (300_000, 300_000)),
        )
    return History(1200.0, EDGES, tuple(made))


def seen(**found: History | Unmeasured) -> Observation:
    """An observation with histories."""
    return Observation("u", "ns", "x", 1, history=dict(found))


def test_noise_of_errors_and_of_each_edge() -> None:
    """Loud halves give a large tau^2 and quiet ones a small, for errors and for every edge, with the hours."""
    found = with_history(STATUS, seen(a=history(0.3), b=history(0.0)))
    loud, quiet = (rate_dispersion(found.checkpoint, name, "errorRate") for name in "ab")
    assert loud.tau2 is not None
    assert quiet.tau2 is not None
    assert loud.tau2 == pytest.approx(0.09, rel=0.15)
    assert quiet.tau2 < 0.01
    assert loud.hours == quiet.hours == 24
    edges = latency_dispersion(found.checkpoint, "a", EDGES)
    assert isinstance(edges, tuple)
    assert [each.hours for each in edges] == [24, 24]
    assert all((each.tau2 or 0) > 0.05 for each in edges)
    assert [each.history for each in found.services] == ["noise from 24h of control's history"] * 2


def test_an_edge_that_was_not_there_is_as_noisy_as_the_worst() -> None:
    """A bucket that was added by the last release has no history of its own."""
    found = with_history(STATUS, seen(a=history(0.3)))
    edges = latency_dispersion(found.checkpoint, "a", (0.1, 0.15, 0.3))
    assert isinstance(edges, tuple)
    assert edges[2].tau2 == max(edges[0].tau2 or 0, edges[1].tau2 or 0)


def test_once_a_run() -> None:
    """A second reading of the same run changes nothing: the test knew its noise before its first look."""
    first = with_history(STATUS, seen(a=history(0.3)))
    assert with_history(first, seen(a=history(0.0))) == first


def test_no_history_is_the_cautious_default_and_is_said() -> None:
    """Prometheus away, one pod, a new service: the default, with the reason, and it is not asked again."""
    away = Unmeasured(MeasurementFailure.UNREACHABLE, "Prometheus at http://x can't be reached")
    found = with_history(STATUS, seen(a=away))
    assert rate_dispersion(found.checkpoint, "a", "errorRate") == Dispersion()
    assert latency_dispersion(found.checkpoint, "a", EDGES) == Dispersion()
    assert "can't be reached" in found.services[0].history
    assert key("a") in found.checkpoint
    assert found.services[1].history == ""


@pytest.mark.parametrize(
    ("failure", "ready", "says"),
    [
        (
            MeasurementFailure.EMPTY,
            4,
            "no history, so noise is assumed to be high; control has 4 ready pods (no series)",
        ),
        (
            MeasurementFailure.EMPTY,
            1,
            "no history, so noise is assumed to be high; control has 1 ready pod (no series)",
        ),
        (MeasurementFailure.EMPTY, None, "no history, so noise is assumed to be high (no series)"),
        (MeasurementFailure.TIMEOUT, 4, "no history, so noise is assumed to be high (no series)"),
    ],
)
def test_how_many_pods_there_are_is_known(failure: MeasurementFailure, ready: int | None, says: str) -> None:
    """Where Prometheus can't tell control's pods apart nobody has to guess whether there is only one."""
    control = None if ready is None else Workload("a", "a", 1, 1, 4, 4, 4, ready, ready, "t")
    service = ServiceObservation("a", control, None, RouteReading(0.0, True, "1"))
    observed = replace(seen(a=Unmeasured(failure, "no series")), services=(service,))
    assert with_history(STATUS, observed).services[0].history == says


def test_a_custom_guardrail_has_no_history() -> None:
    """Its counters are asked for at looks only."""
    found = with_history(STATUS, seen(a=history(0.3)))
    assert rate_dispersion(found.checkpoint, "a", "checkout") == Dispersion()


@pytest.mark.parametrize("record", ["", "none", "{", "[1]", '{"h":"x"}'])
def test_an_unreadable_record_is_the_default(record: str) -> None:
    """Edited by hand, or of another version: cautious, and no traceback."""
    assert rate_dispersion({key("a"): record}, "a", "errorRate") == Dispersion()


def test_what_stays_when_evidence_starts_again() -> None:
    """Control rolled by somebody else takes the evidence away, not what is known of the noise."""
    found = with_history(STATUS, seen(a=history(0.3)))
    both = msgspec.structs.replace(found, checkpoint={**found.checkpoint, "a/errorRate": "x", "a/_samples": "1,2"})
    assert set(histories(both.checkpoint)) == {"a/_history"}


def test_the_record_is_small() -> None:
    """It is in the status of every experiment: a few hundred bytes with twenty edges."""
    blocks = tuple(replace(each, within=(each.within[0] * 10, each.within[1] * 10)) for each in history(0.3).blocks)
    many = History(1200.0, tuple(0.01 * step for step in range(1, 21)), blocks)
    found = with_history(STATUS, seen(a=many))
    assert len(found.checkpoint[key("a")]) < 600
