"""Services that move together, and what people change in the middle: a table for each."""

from typing import Any

import msgspec
import pytest

from serin.api.names import APPROVE, RETRY
from serin.api.spec import Spec
from serin.api.status import Phase, VerdictName
from serin.api.units import Duration
from serin.engine.configs import rate_config
from serin.engine.decision import PromoteTemplate, Shift
from serin.engine.generated import Fault, Traffic
from serin.engine.tested import samples
from serin.engine.world import World
from serin.stats import Dispersion
from tests.unit.engine.worlds import reach, run, spec, templates

_LOUD = Traffic(rate=500.0)
_STAGES = [{"name": "canary", "weight": 10, "duration": "1m"}, {"name": "ab", "weight": 50, "duration": "1m"}]


def _many(number: int, **changes: Any) -> Spec:
    """So many services, each with Deployments of its own."""
    services = [
        {"name": f"s{index}", "control": {"deployment": f"c{index}"}, "canary": {"deployment": f"n{index}"}}
        for index in range(number)
    ]
    return spec(services=services, stages=_STAGES, **changes)


@pytest.mark.parametrize("fault", [Fault(errors=0.3), Fault(latency=0.1)])
@pytest.mark.parametrize(("number", "bad"), [(1, 0), (2, 1), (16, 0), (16, 15)])
def test_one_of_many_rolls_all_back(number: int, bad: int, fault: Fault) -> None:
    """One failing guardrail of one service, the first or the last of sixteen: all go back, and the message names it."""
    fault = Fault(fault.errors, fault.latency, service=f"s{bad}")
    world = World(_many(number), _LOUD, faults=(fault,))
    status = run(world)
    assert (status.phase, status.verdict) == (Phase.ROLLED_BACK, VerdictName.FAILING)
    assert f"s{bad}: " in status.message
    assert [each.weight for each in status.services] == [0] * number
    assert [world.share(each.name) for each in status.services] == [0.0] * number
    failing = [each.name for each in status.services if any(g.verdict == "Failing" for g in each.guardrails)]
    assert failing == [f"s{bad}"]


def test_sixteen_healthy_services_are_promoted_together() -> None:
    """One promotion of each, no step of one before the others are there, and alpha is split over all of them."""
    world = World(_many(16), _LOUD)
    for decision in world.run(3600):
        shifts = {act.weight for act in decision.acts if isinstance(act, Shift)}
        assert len(shifts) <= 1
    assert world.status.phase is Phase.SUCCEEDED
    promoted = [act.service for _, act in world.acts if isinstance(act, PromoteTemplate)]
    assert sorted(promoted) == sorted(each.name for each in world.spec.services)
    assert rate_config(world.spec, "errorRate", Dispersion()).alpha == pytest.approx(0.05 / 32)


_CHANGES = ("spec", "template", "retry")
_PHASES = [
    (Phase.PREPARING, ""),
    (Phase.PROGRESSING, "canary"),
    (Phase.PROGRESSING, "ab"),
    (Phase.PROMOTING, ""),
    (Phase.BAKING, ""),
    (Phase.PAUSED, ""),
    (Phase.ROLLED_BACK, ""),
    (Phase.SUCCEEDED, ""),
]


def _at(phase: Phase, stage: str) -> World:
    """A world that has come so far."""
    fault = (Fault(errors=0.3),) if phase is Phase.ROLLED_BACK else ()
    world = World(spec(stages=_STAGES, promotion={"bake": "2m"}), _LOUD, faults=fault)
    if phase is not Phase.PAUSED:
        reach(world, phase, stage, done=phase is Phase.PROGRESSING)
        return world
    reach(world, Phase.PROGRESSING, "ab")
    world.spec = msgspec.structs.replace(world.spec, paused=True)
    assert world.look().status.phase is Phase.PAUSED
    return world


def _change(world: World, what: str) -> None:
    """Somebody changes what is tried, or asks for another try."""
    if what == "spec":
        analysis = msgspec.structs.replace(world.spec.analysis, interval=Duration("5s"))
        world.spec = msgspec.structs.replace(world.spec, analysis=analysis)
    elif what == "retry":
        world.annotations[RETRY] = "1"
    else:
        canary = world._pairs["recommendation"].canary
        assert canary is not None
        canary.template, canary.generation = "newer", canary.generation + 1


@pytest.mark.parametrize("what", _CHANGES)
@pytest.mark.parametrize(("phase", "stage"), _PHASES)
def test_a_change_in_the_middle_is_a_new_run(what: str, phase: Phase, stage: str) -> None:
    """In any phase: control has everything before the new run begins, without any of the old evidence."""
    world = _at(phase, stage)
    old = world.status.run_id
    _change(world, what)
    world.faults = ()
    world.spec = msgspec.structs.replace(world.spec, paused=False)
    for decision in world.run(world.now - world.start + 3600):
        if decision.status.run_id != old and decision.status.phase is Phase.PROGRESSING:
            break
    assert world.status.run_id != old
    assert world.status.stage == "canary"
    assert {pair.control.replicas for pair in world._pairs.values()} == {20}
    assert templates(world) == ({"new"} if phase is Phase.SUCCEEDED else {"old"})
    assert all(samples(world.status.checkpoint, each.name) == (0, 0) for each in world.status.services)
    assert run(world, world.now - world.start + 3600).phase is Phase.SUCCEEDED
    assert templates(world) == ({"new", "newer"} if what == "template" else {"new"})


@pytest.mark.parametrize("name", ["recommendation", "conversation"])
@pytest.mark.parametrize("stage", ["canary", "ab"])
@pytest.mark.parametrize("paused", [False, True])
def test_control_rolled_by_somebody_else(stage: str, name: str, paused: bool) -> None:
    """Noticed in any stage and of any service: Event and transition, the same run, evidence and stage from anew."""
    world = World(spec(stages=_STAGES), _LOUD)
    reach(world, Phase.PROGRESSING, stage)
    world.spec = msgspec.structs.replace(world.spec, paused=paused)
    for _ in range(4):
        world.now += 10
        world.look()
    old = world.status
    assert samples(old.checkpoint, name)[0] > 0
    control = world._pairs[name].control
    control.template, control.generation = "hotfix", control.generation + 1
    decision = world.look()
    (said,) = (each.message for each in decision.events if each.reason == "ControlChanged")
    theirs = next(each.control for each in decision.status.services if each.name == name)
    changed = (
        f"somebody else changed the pod template of control (Deployment {theirs}); the stage and its evidence begin"
    )
    assert said.startswith(f"{changed} again. Who it was: kubectl get -n ")
    assert said.endswith(f" deployment {theirs} -o yaml --show-managed-fields")
    assert "ControlChanged" in {each.reason for each in decision.status.transitions}
    assert (decision.status.run_id, decision.status.stage, decision.status.stage_seconds) == (old.run_id, stage, 0.0)
    assert decision.status.checkpoint == {}
    world.spec = msgspec.structs.replace(world.spec, paused=False)
    assert run(world).phase is Phase.SUCCEEDED


@pytest.mark.parametrize(
    ("given", "goes_on"),
    [("", False), ("canary", False), ("ab/another", False), ("ab", True), ("ab/{run}", True), ("ab/goals/{run}", True)],
)
def test_manual_approval(given: str, goes_on: bool) -> None:
    """The last stage's name, alone or with the run's id; a guardrail still rolls back while it waits."""
    world = World(spec(stages=_STAGES, promotion={"approval": "Manual", "bake": "1m"}), _LOUD)
    assert run(world, 400).reason == "WaitingForApproval"
    world.annotations[APPROVE] = given.format(run=world.status.run_id)
    status = run(world, 1200)
    assert (status.phase is Phase.SUCCEEDED) == goes_on
    if not goes_on:
        world.faults = (Fault(errors=0.3),)
        assert run(world, 4800).phase is Phase.ROLLED_BACK


@pytest.mark.parametrize(
    ("ends", "share", "phase"),
    [("well", 1.0, Phase.SUCCEEDED), ("badly", 0.0, Phase.ROLLED_BACK), ("deleted", 0.0, Phase.ROLLING_BACK)],
)
def test_traffic_only(ends: str, share: float, phase: Phase) -> None:
    """Templates are left alone however it ends; a failure in the bake, or a deletion, gives control everything back."""
    promotion = {"mode": "TrafficOnly", "bake": "5m"}
    faults = (Fault(errors=0.5, after=260),) if ends == "badly" else ()
    world = World(spec(stages=_STAGES, promotion=promotion), _LOUD, faults=faults)
    run(world)
    if ends == "deleted":
        assert world.status.phase is Phase.SUCCEEDED
        world.deleting = True
        for _ in range(60):
            world.look()
            world.now += 2
        assert not world.finalizer
    assert world.status.phase is phase
    assert {world.share(each.name) for each in world.status.services} == {share}
    assert templates(world) == {"old"}
