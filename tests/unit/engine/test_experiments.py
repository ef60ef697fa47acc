"""Whole experiments over the simulated world: the same engine and statistics as the operator's."""

import dataclasses

import msgspec
import pytest

from serin.api.names import APPROVE, RETRY
from serin.api.spec import InvalidSpecError
from serin.api.status import TERMINAL, Phase, Status, parse_status, status_to_json
from serin.engine.decide import decide
from serin.engine.decision import KeepTemplate, PromoteTemplate, RemoveCanary, RestoreTemplate, Shift
from serin.engine.generated import Fault, Traffic
from serin.engine.observation import Problem
from serin.engine.tested import samples
from serin.engine.world import World
from tests.unit.engine.worlds import SERVICES, reach, run, spec


def test_good_release_is_promoted() -> None:
    """Stages, promotion and bake in their order; control keeps its name and gets the template; the canary is left."""
    world = World(spec())
    status = run(world)
    assert status.phase is Phase.SUCCEEDED
    reached = [each.to for each in status.transitions]
    assert reached == [
        "Preparing", "Progressing(canary 10%)", "Progressing(ab 50%)", "Promoting", "Baking", "Succeeded",
    ]  # fmt: skip
    kinds = [type(act) for _, act in world.acts]
    assert kinds.index(KeepTemplate) < kinds.index(PromoteTemplate)
    assert not world.finalizer
    assert {c.type for c in status.conditions if c.status == "True"} >= {"Accepted", "Ready", "Promoted"}


@pytest.mark.parametrize(
    ("fault", "guardrail"),
    [
        (Fault(errors=0.05, service="recommendation"), "errorRate"),
        (Fault(latency=0.06, service="recommendation"), "latencyP95"),
        (Fault(errors=0.6, service="recommendation", after=60), "errorRate"),
    ],
)
def test_bad_release_is_rolled_back(fault: Fault, guardrail: str) -> None:
    """One bad service rolls both back, and the status says by which value, of how many, under which rule."""
    world = World(spec(), faults=(fault,))
    status = run(world)
    assert status.phase is Phase.ROLLED_BACK
    assert status.weight == 0
    assert [world.share(name) for name in ("recommendation", "conversation")] == [0, 0]
    failing = [each for each in status.services[0].guardrails if each.verdict == "Failing"]
    assert [each.name for each in failing] == [guardrail]
    assert failing[0].canary_requests > 0
    assert failing[0].rule
    assert "recommendation:" in status.message
    assert status.found_at
    assert status.restored_at


def test_shared_errors_are_no_reason() -> None:
    """Control suffers the same: an outage of both is not the canary's fault."""
    assert run(World(spec(), Traffic(errors=0.05))).phase is Phase.SUCCEEDED


def test_outage_of_the_metrics_holds_and_goes_on() -> None:
    """No step and no rollback while Prometheus is away; afterwards the looks are made up for."""
    world = World(spec(), outages=((60.0, 400.0),))
    phases = [(world.now - world.start, decision.status.phase) for decision in world.run(3600.0)]
    held = [phase for at, phase in phases if 80 < at < 400]
    assert set(held) == {Phase.HOLDING}
    assert world.status.phase is Phase.SUCCEEDED


def test_outage_without_end_never_decides() -> None:
    """A day without measurements neither promotes nor rolls back."""
    world = World(spec(), faults=(Fault(errors=1.0, after=100),), outages=((60.0, 1e9),))
    assert run(world, 86_400 / 24).phase is Phase.HOLDING
    assert world.status.weight == 10


def test_pause_freezes_and_guardrails_still_roll_back() -> None:
    """A paused experiment keeps its weight and its clock; a failing guardrail takes it back all the same."""
    world = World(spec())
    reach(world, Phase.PROGRESSING, "canary")
    world.spec = msgspec.structs.replace(world.spec, paused=True)
    run(world, 900.0)
    assert (world.status.phase, world.status.weight) == (Phase.PAUSED, 10)
    frozen = world.status.stage_seconds
    world.faults = (Fault(errors=0.3),)
    assert run(world).phase is Phase.ROLLED_BACK
    assert frozen < 120


def test_resume() -> None:
    """After the pause the experiment goes on where it was."""
    world = World(spec())
    reach(world, Phase.PROGRESSING, "ab")
    world.spec = msgspec.structs.replace(world.spec, paused=True)
    run(world, 900.0)
    assert world.status.phase is Phase.PAUSED
    world.spec = msgspec.structs.replace(world.spec, paused=False)
    assert run(world).phase is Phase.SUCCEEDED


@pytest.mark.parametrize("phase", [Phase.PREPARING, Phase.PROGRESSING, Phase.PROMOTING, Phase.BAKING])
def test_abort_in_any_phase(phase: Phase) -> None:
    """`spec.abort` gives control its template and all traffic back, whatever was under way."""
    world = World(spec())
    reach(world, phase, done=False)
    world.spec = msgspec.structs.replace(world.spec, abort=True)
    assert run(world).phase is Phase.ROLLED_BACK
    assert world.share("recommendation") == 0
    assert {pair.control.template for pair in world._pairs.values()} == {"old"}


@pytest.mark.parametrize("phase", [Phase.PREPARING, Phase.PROGRESSING, Phase.PROMOTING, Phase.BAKING])
def test_deletion_in_any_phase(phase: Phase) -> None:
    """Deleting gives control 100 %, removes the canary that Serin made, and lets the object go."""
    world = World(spec())
    reach(world, phase, done=False)
    world.deleting = True
    for _ in range(200):
        world.look()
        world.now += 2
    assert not world.finalizer
    assert world.share("recommendation") == 0
    assert {pair.control.template for pair in world._pairs.values()} == {"old"}
    assert {pair.control.replicas for pair in world._pairs.values()} == {20}


def test_manual_approval() -> None:
    """Manual waits before full until the annotation names the last stage."""
    world = World(spec(promotion={"approval": "Manual", "bake": "1m"}))
    assert run(world, 1200).reason == "WaitingForApproval"
    assert world.status.phase is Phase.HOLDING
    world.annotations[APPROVE] = "ab"
    assert run(world).phase is Phase.SUCCEEDED


def test_approval_is_of_one_run() -> None:
    """The annotation of the last release does not promote the next one; one with the run's id, or set anew, does."""
    world = World(spec(promotion={"approval": "Manual", "bake": "1m"}))
    world.annotations[APPROVE] = "ab"
    assert run(world).phase is Phase.SUCCEEDED
    for approve in ("by id", "anew"):
        world.annotations[RETRY] = world.annotations.get(RETRY, "") + "1"
        status = run(world, world.now - world.start + 900)
        assert (status.phase, status.reason) == (Phase.HOLDING, "WaitingForApproval")
        if approve == "anew":
            world.annotations.pop(APPROVE)
            run(world, world.now - world.start + 30)
        world.annotations[APPROVE] = "ab" if approve == "anew" else f"ab/{status.run_id}"
        assert run(world, world.now - world.start + 900).phase is Phase.SUCCEEDED
        world.annotations[APPROVE] = "ab"


def test_samples_make_a_stage_longer() -> None:
    """A stage with minSamples does not end before each variant has as many."""
    stages = [{"name": "canary", "weight": 10, "duration": "1m", "minSamples": 2000}]
    world = World(spec(stages=stages))
    run(world, 300)
    assert world.status.reason == "NeedsSamples"
    assert run(world).phase is Phase.SUCCEEDED


def test_retry_is_a_new_run() -> None:
    """After a rollback the annotation starts again, with a new name and fresh evidence."""
    world = World(spec(), faults=(Fault(errors=0.3),))
    first = run(world)
    assert first.phase is Phase.ROLLED_BACK
    world.faults = ()
    world.annotations[RETRY] = "1"
    second = run(world, 7200)
    assert second.phase is Phase.SUCCEEDED
    assert second.run_id != first.run_id


def test_bad_bake_gives_control_its_template_back() -> None:
    """A fault that shows only after the promotion rolls control's template back."""
    world = World(spec(promotion={"bake": "30m"}), faults=(Fault(errors=0.3, after=420),))
    assert run(world, 7200).phase is Phase.ROLLED_BACK
    assert any(isinstance(act, RestoreTemplate) for _, act in world.acts)
    assert {pair.control.template for pair in world._pairs.values()} == {"old"}


def test_canary_by_patch_is_made_and_removed() -> None:
    """Serin makes the canary of a patch, and deletes it at the end."""
    services = [{"name": "a", "control": {"deployment": "a"}, "canary": {"patch": {"spec": {}}}}]
    world = World(spec(services=services))
    assert run(world).phase is Phase.SUCCEEDED
    assert any(isinstance(act, RemoveCanary) for _, act in world.acts)
    assert world._pairs["a"].canary is None


def test_traffic_only_leaves_templates_alone() -> None:
    """TrafficOnly ends with all traffic on the canary, and no template is touched."""
    world = World(spec(promotion={"bake": "1m", "mode": "TrafficOnly"}))
    assert run(world, 1200).phase is Phase.SUCCEEDED
    assert world.share("recommendation") == 1
    assert not any(isinstance(act, PromoteTemplate) for _, act in world.acts)


def test_split_changed_by_another_is_set_right() -> None:
    """Somebody else's scaling is undone, and nothing is counted meanwhile."""
    world = World(spec())
    reach(world, Phase.PROGRESSING, "canary")
    canary = world._pairs["recommendation"].canary
    assert canary is not None
    canary.replicas, canary.generation = 9, canary.generation + 1
    decision = world.look()
    assert any(note.reason == "SplitChanged" for note in decision.events)
    assert decision.status.transitions[-1].reason == "SplitChanged"
    assert decision.status.counted_until == ""
    assert run(world).phase is Phase.SUCCEEDED


def test_control_rolled_by_another_starts_evidence_again() -> None:
    """What was measured against the old control says nothing about the new one."""
    world = World(spec())
    reach(world, Phase.PROGRESSING, "ab")
    for _ in range(6):
        world.now += 10
        world.look()
    control = world._pairs["recommendation"].control
    control.template, control.generation = "hotfix", control.generation + 1
    decision = world.look()
    assert any(note.reason == "ControlChanged" for note in decision.events)
    assert decision.status.transitions[-1].reason == "ControlChanged"
    assert decision.status.stage_seconds == 0
    assert decision.status.checkpoint == {}


def test_canary_deleted_by_another() -> None:
    """Without a canary control needs its full size back; the run has failed."""
    world = World(spec())
    reach(world, Phase.PROGRESSING, "ab")
    del world._deployments["conv-next"]
    assert run(world).phase is Phase.FAILED
    assert {pair.control.replicas for pair in world._pairs.values()} == {20}


@pytest.mark.parametrize("seed", range(8))
def test_crash_before_any_write(seed: int) -> None:
    """Dying before the write, or between it and the acts, is repaired by the next look: the end is the same."""
    world = World(spec(), seed=seed)
    turn = 0
    while world.status.phase not in TERMINAL and turn < 2000:
        turn += 1
        decision = decide(world.spec, world.status, world.observe(), world.now)
        if turn % (seed + 2) == 0:
            world.now += 1
            continue  # died before the write
        world.status = parse_status(status_to_json(decision.status))
        if turn % (seed + 3) == 0:
            world.now += 1
            continue  # died between the write and the acts
        for act in decision.acts:
            world.do(act)
        world.now += max(0.5, min(decision.wake_after, 10.0))
    assert world.status.phase is Phase.SUCCEEDED
    assert sum(isinstance(act, PromoteTemplate) for _, act in world.acts) == len(SERVICES)


def test_problems_come_before_traffic() -> None:
    """A problem is a condition with its reason; nothing is done."""
    world = World(spec())
    seen = world.observe()
    seen = dataclasses.replace(seen, problems=(Problem("DeploymentNotFound", "no Deployment rec: create it"),))
    decision = decide(world.spec, Status(), seen, world.now)
    assert decision.acts == ()
    accepted = next(c for c in decision.status.conditions if c.type == "Accepted")
    assert (accepted.status, accepted.reason) == ("False", "DeploymentNotFound")


def test_unreadable_spec_in_the_middle_holds() -> None:
    """A spec that can't be read never moves traffic; the run stays where it is, and says why."""
    world = World(spec())
    reach(world, Phase.PROGRESSING, "canary")
    decision = decide(InvalidSpecError("spec.stages: no"), world.status, world.observe(), world.now)
    assert decision.acts == ()
    assert (decision.status.phase, decision.status.weight) == (Phase.HOLDING, 10)


def test_quiet_look_is_not_significant() -> None:
    """A second decision on the same picture writes nothing and does nothing."""
    world = World(spec())
    reach(world, Phase.PROGRESSING, "canary")
    world.now += 0.5
    world.look()
    decision = world.look()
    assert not decision.significant
    assert not decision.events
    assert not any(isinstance(act, Shift) for act in decision.acts)


@pytest.mark.parametrize("name", ["samples", "history", "ratio", "srm", "record"])
def test_a_guardrail_may_have_any_name(name: str) -> None:
    """A name that a user gives to a guardrail meets none that the checkpoint has beside it."""
    custom = [{"name": name, "good": "good", "total": "total", "max": "1%"}]
    world = World(spec(guardrails={"custom": custom}, stages=[{"name": "canary", "weight": 10, "duration": "1m"}]))
    reach(world, Phase.PROGRESSING, "canary")
    for _ in range(4):
        world.now += 10
        world.look()
    assert f"recommendation/{name}" in world.status.checkpoint
    assert samples(world.status.checkpoint, "recommendation")[1] > 0
    assert {each.name for each in world.status.services[0].guardrails} == {"errorRate", "latencyP95", name}


def test_a_stage_does_not_end_in_a_warning_that_is_being_decided() -> None:
    """Too short a stage for its evidence: a canary with a fifth of its requests failing is not promoted meanwhile."""
    short = spec(services=SERVICES[:1], stages=[{"name": "half", "weight": 50, "duration": "20s"}])
    world = World(short, traffic=Traffic(rate=40.0, errors=0.0), faults=(Fault(errors=0.2),), replicas=4)
    reasons = {decision.status.reason for decision in world.run(3600.0)}
    assert world.status.phase is Phase.ROLLED_BACK, world.status.message
    assert "GuardrailUndecided" in reasons
    assert "StagesPassed" not in reasons
