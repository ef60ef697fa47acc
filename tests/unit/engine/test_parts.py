"""What a run is made of, in a few characters: which part is another one now."""

from typing import Any

import msgspec
import pytest

from serin.api.names import RETRY
from serin.api.status import ServiceStatus, Status
from serin.engine.observation import Observation, RouteReading, ServiceObservation, Workload
from serin.engine.parts import Change, changed, clause, parts_of
from tests.unit.engine.worlds import SERVICES, STAGES, spec


def _workload(name: str, template: str) -> Workload:
    return Workload(name, name, 1, 1, 4, 4, 4, 4, 4, template)


def _seen(retry: str = "", **templates: str) -> Observation:
    """Both services; a template is that of the canary."""
    services = tuple(
        ServiceObservation(
            each["name"],
            _workload("control", "old"),
            _workload("canary", templates.get(each["name"], "new")),
            RouteReading(0.0, True, "1"),
        )
        for each in SERVICES
    )
    return Observation("u", "shop", "phase4", 1, services=services, annotations={RETRY: retry} if retry else {})


def _status(parts: str, *names: str) -> Status:
    return Status(run_parts=parts, services=tuple(ServiceStatus(name=each) for each in names))


_REC = "the pod template of recommendation's canary (Deployment rec-next)"
_BOTH = ("recommendation", "conversation")
_OTHER = [SERVICES[0], {**SERVICES[1], "control": {"deployment": "conv-b"}}]


@pytest.mark.parametrize(
    ("wanted", "seen", "says"),
    [
        ({}, _seen(), ""),
        ({"paused": True, "abort": True}, _seen(), ""),
        ({"stages": STAGES[:1]}, _seen(), "spec.stages was changed"),
        ({"goals": [{"name": "happy", "minimumEffect": 0.1}]}, _seen(), "spec.goals was changed"),
        ({"promotion": {"bake": "2m"}}, _seen(), "spec.promotion was changed"),
        ({"services": _OTHER}, _seen(), "spec.services[conversation] was changed"),
        ({"services": SERVICES[::-1]}, _seen(), ""),
        ({"services": SERVICES[:1]}, _seen(), "spec.services was changed"),
        ({}, _seen(retry="1"), "a retry was asked for"),
        (
            {},
            _seen(conversation="newer"),
            "the pod template of conversation's canary (Deployment conv-next) was changed",
        ),
        (
            {"promotion": {"bake": "2m"}},
            _seen(retry="1", recommendation="newer"),
            f"spec.promotion and {_REC} were changed and a retry was asked for",
        ),
    ],
)
def test_what_was_changed(wanted: dict[str, Any], seen: Observation, says: str) -> None:
    """The field of the spec, the service, the template or the retry; the switches are no part of a run."""
    parts = parts_of(spec(), _seen())
    assert clause(changed(_status(parts, *_BOTH), spec(**wanted), seen)) == says


@pytest.mark.parametrize("parts", ["", "abc", "?" * 40])
def test_parts_that_nobody_knows_say_nothing(parts: str) -> None:
    """An older operator kept none, a person may edit them: no guess is made."""
    assert changed(_status(parts, *_BOTH), spec(), _seen()) == ()


def test_whose_the_change_is() -> None:
    """A template has a Deployment of its own, whose fields tell who wrote them; all else is the experiment's."""
    parts = parts_of(spec(), _seen())
    found = changed(_status(parts, *_BOTH), spec(stages=STAGES[:1]), _seen(recommendation="newer"))
    assert found == (Change("spec.stages"), Change(_REC, "deployment rec-next"))


def test_parts_are_a_few_characters() -> None:
    """They are in the status of every experiment."""
    assert len(parts_of(spec(), _seen())) == 12
    sixteen = tuple(msgspec.structs.replace(spec().services[0], name=f"s{each}") for each in range(16))
    assert len(parts_of(msgspec.structs.replace(spec(), services=sixteen), _seen())) == 40
