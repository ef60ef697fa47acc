"""Conditions as kstatus reads them, and what is worth a write."""

import dataclasses

import msgspec
import pytest

from serin.api.status import GuardrailStatus, Phase, ServiceStatus, Status, Step, VerdictName
from serin.engine.conditions import significant, with_conditions, with_note, with_transition
from serin.engine.decide import decide
from serin.engine.decision import EventNote
from serin.engine.generated import Fault
from serin.engine.world import World
from tests.unit.engine.worlds import reach, run, spec

NOW = 1_700_000_000.0
LATER = NOW + 60


def _conditioned(before: Status, after: Status, now: float = NOW, **changes: object) -> Status:
    arguments: dict[str, object] = {"accepted": True, "measured": True, "routed": True, "stalled": "", **changes}
    return with_conditions(before, after, now=now, **arguments)  # type: ignore[arg-type]


def _states(status: Status) -> dict[str, str]:
    return {each.type: each.status for each in status.conditions}


@pytest.mark.parametrize(
    ("phase", "progressing", "ready", "stalled", "promoted", "rolled_back"),
    [
        (Phase.PENDING, "True", "False", "False", "False", "False"),
        (Phase.PROGRESSING, "True", "False", "False", "False", "False"),
        (Phase.HOLDING, "True", "False", "False", "False", "False"),
        (Phase.BAKING, "True", "False", "False", "False", "False"),
        (Phase.ROLLING_BACK, "True", "False", "False", "False", "False"),
        (Phase.SUCCEEDED, "False", "True", "False", "True", "False"),
        (Phase.ROLLED_BACK, "False", "False", "False", "False", "True"),
        (Phase.FAILED, "False", "False", "True", "False", "True"),
    ],
)
def test_phase_as_conditions(
    phase: Phase, progressing: str, ready: str, stalled: str, promoted: str, rolled_back: str
) -> None:
    """`kubectl wait --for=condition=Promoted`, Argo CD and Flux read these."""
    states = _states(_conditioned(Status(), Status(phase=phase)))
    found = [states[each] for each in ("Progressing", "Ready", "Stalled", "Promoted", "RolledBack")]
    assert found == [progressing, ready, stalled, promoted, rolled_back]


def test_refused_is_stalled_and_not_progressing() -> None:
    """A spec that is not accepted waits for its author: kstatus calls that Stalled."""
    after = Status(phase=Phase.PENDING, reason="DeploymentNotFound", message="no Deployment rec: create it")
    status = _conditioned(Status(), after, accepted=False)
    states = _states(status)
    assert (states["Accepted"], states["Stalled"], states["Progressing"]) == ("False", "True", "False")
    accepted = next(each for each in status.conditions if each.type == "Accepted")
    assert (accepted.reason, accepted.message) == ("DeploymentNotFound", "no Deployment rec: create it")


@pytest.mark.parametrize(
    ("phase", "accepted", "stalled", "says"),
    [
        (
            Phase.FAILED,
            True,
            "",
            "nothing is under way, and nothing goes on by itself: this run has ended. Failed: a. To try again: b",
        ),
        (Phase.PENDING, False, "", "Failed: a. To try again: b"),
        (Phase.ROLLING_BACK, True, "rolling back for 2m0s: c", "rolling back for 2m0s: c"),
        (Phase.ROLLED_BACK, True, "", ""),
    ],
)
def test_what_is_said_as_stalled(phase: Phase, accepted: bool, stalled: str, says: str) -> None:
    """An end that failed is Stalled to kstatus, and no work that is stuck: it says so, and what to do next."""
    after = Status(phase=phase, reason="CanaryNotReady", message="Failed: a. To try again: b")
    status = _conditioned(Status(), after, accepted=accepted, stalled=stalled)
    assert next(each.message for each in status.conditions if each.type == "Stalled") == says


@pytest.mark.parametrize(
    ("verdict", "healthy"),
    [
        (VerdictName.NONE, "Unknown"),
        (VerdictName.NO_DATA, "Unknown"),
        (VerdictName.INSUFFICIENT, "Unknown"),
        (VerdictName.HEALTHY, "True"),
        (VerdictName.WARNING, "True"),
        (VerdictName.FAILING, "False"),
    ],
)
def test_verdict_as_condition(verdict: VerdictName, healthy: str) -> None:
    """Without data the guardrails are neither healthy nor failing."""
    assert _states(_conditioned(Status(), Status(verdict=verdict)))["GuardrailsHealthy"] == healthy


@pytest.mark.parametrize(("measured", "state"), [(None, "Unknown"), (True, "True"), (False, "False")])
def test_metrics_as_condition(measured: bool | None, state: str) -> None:
    """Nobody has asked yet, or what the last look found."""
    assert _states(_conditioned(Status(), Status(), measured=measured))["MetricsAvailable"] == state


def test_time_of_a_condition_moves_with_its_state_only() -> None:
    """`lastTransitionTime` is when the state changed, not when the sentence did (metav1.Condition)."""
    first = _conditioned(Status(), Status(phase=Phase.PROGRESSING, reason="StageRunning", message="a"))
    second = _conditioned(first, Status(phase=Phase.SUCCEEDED, reason="Promoted", message="b"), LATER)
    moved = {
        new.type
        for old, new in zip(first.conditions, second.conditions, strict=True)
        if old.last_transition_time != new.last_transition_time
    }
    assert moved == {"Progressing", "Ready", "Promoted"}
    assert next(each for each in second.conditions if each.type == "Ready").message == "b"


def test_conditions_carry_the_generation() -> None:
    """Kstatus believes a status only when its generation is the object's."""
    status = _conditioned(Status(), Status(observed_generation=7))
    assert {each.observed_generation for each in status.conditions} == {7}
    assert all(each.reason and each.last_transition_time for each in status.conditions)


def test_a_step_that_does_not_come_is_stalled() -> None:
    """A minute without control's pods on the way back is said as Stalled, with what it waits for."""
    world = World(spec())
    reach(world, Phase.PROGRESSING, "canary")
    world.ready_after, world.spec = 1e9, msgspec.structs.replace(world.spec, abort=True)
    run(world, 1200)
    stalled = next(each for each in world.status.conditions if each.type == "Stalled")
    assert stalled.status == "True"
    assert stalled.message.startswith("rolling back for 19m")
    assert "Rolling back: the canary of recommendation still has" in stalled.message


@pytest.mark.parametrize(("seconds", "stalled"), [(58, "False"), (62, "True")])
def test_a_way_back_is_stalled_after_a_minute(seconds: float, stalled: str) -> None:
    """It is urgent; and it is not stalled any more when it has ended."""
    world = World(spec())
    reach(world, Phase.PROGRESSING, "ab")
    world.ready_after, world.spec = 1e9, msgspec.structs.replace(world.spec, abort=True)
    world.look()
    begun = world.now
    while world.now < begun + seconds:
        world.now += 1
        world.look()
    assert world.status.phase is Phase.ROLLING_BACK
    assert _states(world.status)["Stalled"] == stalled
    for pair in world._pairs.values():
        pair.control.ready_at = 0.0
    assert run(world, world.now - world.start + 100).phase is Phase.ROLLED_BACK
    assert _states(world.status)["Stalled"] == "False"


@pytest.mark.parametrize(
    ("phase", "reason", "kind"),
    [
        (Phase.PENDING, "DeploymentNotFound", "Warning"),
        (Phase.PREPARING, "Preparing", "Normal"),
        (Phase.PROGRESSING, "StageEntered", "Normal"),
        (Phase.PAUSED, "Paused", "Normal"),
        (Phase.HOLDING, "NoMeasurement", "Warning"),
        (Phase.HOLDING, "InsufficientTraffic", "Warning"),
        (Phase.HOLDING, "WaitingForApproval", "Normal"),
        (Phase.PROMOTING, "StagesPassed", "Normal"),
        (Phase.ROLLING_BACK, "GuardrailFailing", "Warning"),
        (Phase.ROLLING_BACK, "Aborted", "Warning"),
        (Phase.ROLLING_BACK, "Superseded", "Normal"),
        (Phase.ROLLING_BACK, "Deleted", "Normal"),
        (Phase.ROLLED_BACK, "Superseded", "Normal"),
        (Phase.FAILED, "CanaryNotReady", "Warning"),
        (Phase.SUCCEEDED, "Promoted", "Normal"),
    ],
)
def test_which_events_warn(phase: Phase, reason: str, kind: str) -> None:
    """What goes as the spec or a person intends is no warning."""
    _, events = with_transition(Status(), Status(phase=phase, reason=reason), NOW)
    assert [each.type for each in events] == [kind]


@pytest.mark.parametrize(
    ("reason", "routed", "state", "why", "message"),
    [
        ("RouteNotFollowed", True, "False", "RouteNotFollowed", "shop: HTTPRoute shop is gone"),
        ("StageRunning", True, "True", "Synced", ""),
        ("Shifting", False, "False", "Shifting", ""),
    ],
)
def test_routes_as_condition(reason: str, routed: bool, state: str, why: str, message: str) -> None:
    """A route that is not followed is not synced, and the condition says what is wrong with it."""
    after = Status(reason=reason, summary="shop: HTTPRoute shop is gone")
    found = next(
        each for each in _conditioned(Status(), after, routed=routed).conditions if each.type == "RoutesSynced"
    )
    assert (found.status, found.reason, found.message) == (state, why, message)


def test_counts_alone_are_not_significant() -> None:
    """Counts, evidence, times and sentences may wait for the next checkpoint."""
    guardrail = GuardrailStatus(name="errorRate", verdict="Healthy", summary="1 of 9", canary_requests=9)
    before = Status(phase=Phase.PROGRESSING, stage="ab", services=(ServiceStatus(name="a", guardrails=(guardrail,)),))
    more = msgspec.structs.replace(guardrail, summary="1 of 99", canary_requests=99)
    after = msgspec.structs.replace(
        before,
        services=(ServiceStatus(name="a", guardrails=(more,)),),
        checkpoint={"a/errorRate": "x"},
        stage_seconds=99.0,
        message="41s left",
    )
    assert not significant(before, after)


@pytest.mark.parametrize(
    "change",
    [
        {"phase": Phase.HOLDING},
        {"stage": "ab"},
        {"weight": 50},
        {"verdict": VerdictName.FAILING},
        {"reason": "Paused"},
        {"run_id": "b"},
        {"observed_generation": 2},
        {"step": Step(number=1, action="Shift", started_at="")},
        {"counted_until": "2026-01-01T00:00:00Z"},
        {"services": (ServiceStatus(name="a", ready="control 1/2"),)},
    ],
)
def test_what_is_significant(change: dict[str, object]) -> None:
    """What a person or the next controller must know is written at once."""
    before = Status(run_id="a")
    assert significant(before, msgspec.structs.replace(before, **change))


def test_a_stage_writes_little() -> None:
    """In a stage where nothing happens, almost every look waits for the next checkpoint."""
    world = World(spec(stages=[{"name": "canary", "weight": 10, "duration": "30m"}]))
    reach(world, Phase.PROGRESSING, "canary")
    written = 0
    for _ in range(100):
        world.now += 10
        written += world.look().significant
    assert written <= 3


def test_ten_transitions_are_kept() -> None:
    """The status stays short: the oldest transition goes."""
    status = Status()
    for number in range(15):
        after = msgspec.structs.replace(
            status, phase=Phase.HOLDING if number % 2 else Phase.BAKING, reason=f"R{number}"
        )
        status, events = with_transition(status, after, NOW + number)
        assert [each.type for each in events] == ["Warning" if number % 2 else "Normal"]
    assert [each.reason for each in status.transitions] == [f"R{number}" for number in range(5, 15)]


def test_events_come_with_transitions_only() -> None:
    """A whole rollback is a handful of Events, each once."""
    world = World(spec(), faults=(Fault(errors=0.3),))
    notes = [note.reason for decision in world.run(3600) for note in decision.events]
    assert notes == ["Preparing", "StageEntered", "GuardrailFailing", "GuardrailFailing"]


def test_progress_deadline_is_a_failure_with_its_cause() -> None:
    """A canary that can't start fails the run, and the message has what its pods say."""
    world = World(spec())
    reach(world, Phase.PROGRESSING, "canary")
    seen = world.observe()
    first = seen.services[0]
    assert first.canary is not None
    stuck = dataclasses.replace(first.canary, ready=0, deadline_exceeded=True, trouble="image rec:2 not found")
    seen = dataclasses.replace(seen, services=(dataclasses.replace(first, canary=stuck), *seen.services[1:]))
    world.status = decide(world.spec, world.status, seen, world.now).status
    assert world.status.phase is Phase.ROLLING_BACK
    status = run(world)
    assert status.phase is Phase.FAILED
    assert "image rec:2 not found" in status.message


def test_what_others_do_again_and_again_is_noted_once() -> None:
    """A tool that sets a size back at each sync does not push the story of the run out of the ten transitions."""
    status = Status(phase=Phase.PROGRESSING, stage="ab", weight=50)
    status = with_transition(Status(), status, NOW)[0]
    for turn in range(20):
        status = with_note(status, EventNote("Warning", "SplitChanged", "changed"), NOW + turn)
    assert [each.reason for each in status.transitions] == ["Progressing", "SplitChanged"]
    assert status.transitions[-1].time == "2023-11-14T22:13:39Z"
    assert status.transitions[-1].to == "Progressing(ab 50%)"
