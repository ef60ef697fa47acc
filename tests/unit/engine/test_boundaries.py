"""What lies between two phases: a change at the worst moment must not leave traffic or templates astray."""

import dataclasses

import msgspec
import pytest

from serin.api.names import RETRY
from serin.api.spec import InvalidSpecError
from serin.api.status import Phase, VerdictName
from serin.api.units import Duration
from serin.engine.decide import decide
from serin.engine.decision import RemoveCanary, RemoveFinalizer, RestoreTemplate, Shift
from serin.engine.observation import LookResult, MeasurementFailure, Observation, Problem, Unmeasured
from serin.engine.world import World
from tests.unit.engine.worlds import reach, run, spec, templates


def _with_gap(seen: Observation) -> Observation:
    """The same looks, none of which will ever be measured."""
    gap = Unmeasured(MeasurementFailure.GAP, "a scrape is missing")
    looks = tuple(LookResult(look.ends_at, look.seconds, dict.fromkeys(look.services, gap)) for look in seen.looks)
    return dataclasses.replace(seen, looks=looks)


def test_looks_in_between_do_not_end_a_hold() -> None:
    """After a look without data the experiment holds until one has data, however often something wakes it meanwhile."""
    world = World(spec())
    reach(world, Phase.PROGRESSING, "canary")
    phases = []
    for second in range(1, 100):
        world.now += 1
        decision = decide(world.spec, world.status, _with_gap(world.observe()), world.now)
        world.status = decision.status
        if second > 30:
            phases.append(decision.status.phase)
    assert set(phases) == {Phase.HOLDING}
    assert world.status.reason == "NoMeasurement"
    assert "a scrape is missing" in world.status.message
    assert run(world).phase is Phase.SUCCEEDED


def test_stale_looks_do_not_end_a_hold() -> None:
    """Looks from before the counts that were already taken say nothing about now."""
    world = World(spec())
    reach(world, Phase.PROGRESSING, "canary")
    world.now += 30
    world.look()
    world.now += 10
    old = world.observe()
    gone = _with_gap(old)
    held = decide(world.spec, world.status, gone, world.now).status
    assert held.verdict is VerdictName.NO_DATA
    again = decide(world.spec, held, old, world.now).status
    assert again.verdict is VerdictName.NO_DATA
    assert again.checkpoint == held.checkpoint


def test_deletion_right_after_success_keeps_what_was_promoted() -> None:
    """`kubectl wait --for=condition=Promoted` and then `kubectl delete`: control keeps its new template."""
    world = World(spec())
    reach(world, Phase.SUCCEEDED, done=False)
    assert world.finalizer
    world.deleting = True
    for _ in range(10):
        world.look()
        world.now += 2
    assert not world.finalizer
    assert templates(world) == {"new"}
    assert not any(isinstance(act, RestoreTemplate) for _, act in world.acts)


@pytest.mark.parametrize("phase", [Phase.PROMOTING, Phase.BAKING])
def test_change_in_the_middle_of_a_promotion_is_undone_first(phase: Phase) -> None:
    """A new revision while control has an unproven template gives control its own back before the new run begins."""
    world = World(spec(promotion={"bake": "5m"}))
    if phase is Phase.BAKING:
        reach(world, phase)
    else:
        for _ in world.run(3600):
            if "new" in templates(world):
                break
    assert "new" in templates(world)
    first = world.status.run_id
    world.annotations[RETRY] = "1"
    for decision in world.run(7200):
        if decision.status.run_id != first:
            break
    assert templates(world) == {"old"}
    assert world._kept == {}, "what the run had kept is gone before the next one begins"
    assert {pair.control.replicas for pair in world._pairs.values()} == {20}
    assert "Superseded" in {each.reason for each in world.status.transitions}
    assert run(world, 7200).phase is Phase.SUCCEEDED


def test_change_in_the_middle_of_a_rollback_waits_for_it() -> None:
    """A rollback that is under way ends before another run begins."""
    world = World(spec(promotion={"bake": "5m"}))
    reach(world, Phase.BAKING)
    world.spec = msgspec.structs.replace(world.spec, abort=True)
    assert world.look().status.phase is Phase.ROLLING_BACK
    world.spec = msgspec.structs.replace(world.spec, abort=False)
    world.annotations[RETRY] = "1"
    for _ in range(60):
        world.now += 0.5
        if world.look().status.phase is not Phase.ROLLING_BACK:
            break
    assert world.status.phase is Phase.ROLLED_BACK
    assert templates(world) == {"old"}


def test_change_in_a_stage_is_a_new_run() -> None:
    """A changed spec in a stage starts again: control gets its full size first, then the first stage."""
    world = World(spec())
    reach(world, Phase.PROGRESSING, "ab")
    first = world.status.run_id
    world.spec = msgspec.structs.replace(
        world.spec, analysis=msgspec.structs.replace(world.spec.analysis, interval=Duration("5s"))
    )
    world.look()
    assert world.status.run_id != first
    assert world.status.weight == 0
    reach(world, Phase.PROGRESSING, "canary", done=False)
    assert {pair.control.replicas for pair in world._pairs.values()} == {20}
    assert run(world).phase is Phase.SUCCEEDED


def test_new_run_after_traffic_only_keeps_the_size() -> None:
    """After TrafficOnly the canary has all pods: the next run returns them to control, and none is lost."""
    world = World(spec(promotion={"bake": "1m", "mode": "TrafficOnly"}))
    assert run(world, 1200).phase is Phase.SUCCEEDED
    world.annotations[RETRY] = "1"
    reach(world, Phase.PROGRESSING, "canary")
    for pair in world._pairs.values():
        assert pair.canary is not None
        assert (pair.control.replicas, pair.canary.replicas) == (18, 2)


def test_problem_of_a_change_in_the_middle_returns_traffic() -> None:
    """A spec that is changed to one with a problem does not leave traffic with a canary that nobody watches."""
    world = World(spec())
    reach(world, Phase.PROGRESSING, "ab")
    world.annotations[RETRY] = "1"
    for _ in range(30):
        problem = Problem("HistogramWithoutEdge", "the histogram has no bucket at 0.15")
        seen = dataclasses.replace(world.observe(), problems=(problem,))
        decision = decide(world.spec, world.status, seen, world.now)
        world.status = decision.status
        for act in decision.acts:
            assert isinstance(act, RemoveCanary | RemoveFinalizer) or (isinstance(act, Shift) and act.weight == 0)
            world.do(act)
        world.now += 2
    assert not world.finalizer
    assert world.status.reason == "HistogramWithoutEdge"
    assert [world.share(name) for name in ("recommendation", "conversation")] == [0, 0]
    assert {pair.control.replicas for pair in world._pairs.values()} == {20}


def test_unreadable_spec_does_not_lose_a_rollback() -> None:
    """A rollback stays a rollback while the spec can't be read, and goes on when it can."""
    world = World(spec())
    reach(world, Phase.PROGRESSING, "ab")
    world.spec = msgspec.structs.replace(world.spec, abort=True)
    world.look()
    assert world.status.phase is Phase.ROLLING_BACK
    world.status = decide(InvalidSpecError("spec: no"), world.status, world.observe(), world.now).status
    assert world.status.phase is Phase.ROLLING_BACK
    assert run(world).phase is Phase.ROLLED_BACK
