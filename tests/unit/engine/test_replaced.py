"""Whatever is done to `spec.services`, no Deployment that a run has touched is left behind."""

import dataclasses
from typing import Any

import pytest

from serin.api.names import RETRY
from serin.api.spec import InvalidSpecError, Spec, parse_spec
from serin.api.status import Phase, Status
from serin.engine.decide import decide
from serin.engine.decision import AddFinalizer, Decision, RemoveFinalizer, Shift
from serin.engine.observation import Problem
from serin.engine.record import in_force, recorded
from serin.engine.world import World
from tests.unit.engine.worlds import SERVICES, reach, run, spec

_RENAMED = [{**SERVICES[0], "name": "recommender"}, SERVICES[1]]
_OTHER_CANARY = [{**SERVICES[0], "canary": {"deployment": "rec-phase5"}}, SERVICES[1]]
_OTHER_CONTROL = [{**SERVICES[0], "control": {"deployment": "rec-b"}}, SERVICES[1]]
_PATCH = [{**SERVICES[0], "canary": {"patch": {"spec": {}}}}, SERVICES[1]]
_EDITS: dict[str, list[dict[str, Any]]] = {
    "a service removed": SERVICES[:1],
    "a service renamed": _RENAMED,
    "another canary": _OTHER_CANARY,
    "another control": _OTHER_CONTROL,
    "a patch instead": _PATCH,
    "all others": [{"name": "x", "control": {"deployment": "rec-b"}, "canary": {"deployment": "rec-phase5"}}],
    "swapped": [{**SERVICES[0], "name": "conversation"}, {**SERVICES[1], "name": "recommendation"}],
}
_TOUCHED = ("rec", "conv")


def _world(services: list[dict[str, Any]] = SERVICES, **changes: Any) -> World:
    world = World(spec(services=services, **changes))
    world.add("rec-b", "old", 20)
    world.add("rec-phase5", "new", 0)
    return world


def _restored(world: World) -> bool:
    """Control of the first run has its size and template, and its canaries have nothing."""
    deployments = world._deployments
    sizes = {(deployments[name].replicas, deployments[name].template) for name in _TOUCHED}
    canaries = sum(pods.replicas for name, pods in deployments.items() if name in {"rec-next", "conv-next"})
    return sizes == {(20, "old")} and canaries == 0


@pytest.mark.parametrize("edit", _EDITS)
@pytest.mark.parametrize("phase", [Phase.PREPARING, Phase.PROGRESSING, Phase.PROMOTING, Phase.BAKING])
def test_edit_gives_the_old_services_their_state_back_first(edit: str, phase: Phase) -> None:
    """Before the new run touches anything, the old run's Deployments have their size, template and traffic back."""
    world = _world(promotion={"bake": "5m"})
    reach(world, phase, done=False)
    for _ in range(4):
        world.now += 2
        world.look()
    first = world.status.run_id
    world.spec = spec(services=_EDITS[edit], promotion={"bake": "5m"})
    for decision in world.run(world.now - world.start + 3600):
        if decision.status.run_id != first:
            break
    assert world.status.run_id != first, world.status.message
    assert _restored(world)
    names = {each.name for each in world.status.services}
    assert names == {service["name"] for service in _EDITS[edit]}
    assert run(world, 20_000).phase is Phase.SUCCEEDED


@pytest.mark.parametrize("edit", _EDITS)
def test_deletion_after_an_edit_restores_what_was_touched(edit: str) -> None:
    """Edited and deleted before anybody looked: the Deployments of the run are restored, not those of the spec."""
    world = _world()
    reach(world, Phase.PROGRESSING, "ab")
    world.spec = spec(services=_EDITS[edit])
    world.deleting = True
    for _ in range(60):
        world.look()
        world.now += 2
    assert not world.finalizer
    assert _restored(world)


def test_edit_after_traffic_only() -> None:
    """After TrafficOnly the canary has everything: naming other services gives control its traffic back first."""
    world = _world(promotion={"bake": "1m", "mode": "TrafficOnly"})
    assert run(world, 1200).phase is Phase.SUCCEEDED
    world.spec = spec(services=_OTHER_CANARY, promotion={"bake": "1m", "mode": "TrafficOnly"})
    reach(world, Phase.PROGRESSING, "canary")
    assert world._deployments["rec-next"].replicas == 0
    assert world._deployments["rec-phase5"].replicas == 2
    assert "Superseded" in {each.reason for each in world.status.transitions}


def test_new_run_to_a_canary_that_is_not_there_says_so() -> None:
    """A name with a typo ends the run, and the next one waits as Pending until the Deployment is there."""
    world = _world()
    reach(world, Phase.PROGRESSING, "ab")
    first = world.status.run_id
    world.spec = spec(services=[{**SERVICES[0], "canary": {"deployment": "rec-nxt"}}, SERVICES[1]])
    for _ in range(60):
        world.look()
        world.now += 2
        if world.status.run_id != first:
            break
    assert world.status.run_id != first
    assert _restored(world)


def test_added_service_is_a_new_run_of_all() -> None:
    """A service more leaves nobody behind: the new run returns traffic to control and begins with its first stage."""
    world = _world(services=SERVICES[:1])
    world.add("conv", "old", 20)
    world.add("conv-next", "new", 0)
    reach(world, Phase.PROGRESSING, "ab")
    world.spec = spec()
    reach(world, Phase.PROGRESSING, "canary")
    assert {pair.control.replicas for pair in world._pairs.values()} == {18}


def test_patch_that_changes_gets_no_traffic_before_its_stage() -> None:
    """Another patch in the middle: the canary gives its traffic back before it is made anew."""
    world = World(spec(services=_PATCH))
    reach(world, Phase.PROGRESSING, "ab")
    world.annotations[RETRY] = "1"
    shifted = False
    for _ in range(40):
        seen = world.observe()
        outdated = dataclasses.replace(seen.services[0], canary_outdated=True)
        seen = dataclasses.replace(seen, services=(outdated, *seen.services[1:]))
        decision = decide(world.spec, world.status, seen, world.now)
        world.status = decision.status
        for act in decision.acts:
            shifted |= isinstance(act, Shift)
            if type(act).__name__ == "EnsureCanary":
                assert shifted
                assert [world.share(name) for name in ("recommendation", "conversation")] == [0, 0]
                return
            world.do(act)
        world.now += 2
    pytest.fail("the canary was never made anew")


def test_size_that_changes_while_nothing_is_touched_is_the_size() -> None:
    """Control is scaled by its owner while the experiment waits: the run begins with the new size."""
    world = World(spec())
    world.look()
    world._deployments["rec"].replicas = 40
    reach(world, Phase.PROGRESSING, "canary")
    assert world._deployments["rec"].replicas == 36


def test_size_that_changes_after_a_refusal_is_its_owners() -> None:
    """Refused in the middle of a run: when control has everything back, its size is nobody's but its owner's."""
    world = World(spec())
    reach(world, Phase.PROGRESSING, "ab")
    world.annotations[RETRY] = "1"
    problem = Problem("HistogramEdgeMissing", "no bucket at 0.15")

    def refused_looks() -> None:
        for _ in range(30):
            decision = decide(
                world.spec, world.status, dataclasses.replace(world.observe(), problems=(problem,)), world.now
            )
            world.status = decision.status
            for act in decision.acts:
                world.do(act)
            world.now += 2

    refused_looks()
    assert world.status.phase is Phase.PENDING
    assert _restored(world)
    world._deployments["rec"].replicas = 40
    refused_looks()
    assert world._deployments["rec"].replicas == 40
    reach(world, Phase.PROGRESSING, "canary")
    assert world._deployments["rec"].replicas == 36


def _unreadable(world: World, *, legible: bool) -> InvalidSpecError:
    return InvalidSpecError("spec.novel: unknown field", world.spec.services if legible else ())


def _until_released(world: World, error: InvalidSpecError) -> list[Decision]:
    found = []
    for _ in range(80):
        decision = decide(error, world.status, world.observe(), world.now)
        world.status = decision.status
        found.append(decision)
        for act in decision.acts:
            world.do(act)
        world.now += 2
        if not world.finalizer:
            return found
    return found


@pytest.mark.parametrize("phase", [Phase.PREPARING, Phase.PROGRESSING, Phase.PROMOTING, Phase.BAKING])
@pytest.mark.parametrize("legible", [True, False])
def test_deletion_with_an_unreadable_spec_restores_from_the_record(phase: Phase, legible: bool) -> None:
    """A newer version's spec is deleted under this one: control gets everything back, and the object goes."""
    world = World(spec(promotion={"bake": "5m"}))
    reach(world, phase, done=False)
    for _ in range(4):
        world.now += 2
        world.look()
    world.deleting = True
    found = _until_released(world, _unreadable(world, legible=legible))
    assert not world.finalizer, world.status.message
    assert _restored(world)
    accepted = next(each for each in found[-1].status.conditions if each.type == "Accepted")
    assert accepted.status == "False"


def test_deletion_without_a_record_restores_what_the_spec_names() -> None:
    """The status was lost and the spec can't be read as a whole: its Deployments' names are enough."""
    world = World(spec())
    reach(world, Phase.PROGRESSING, "ab")
    world.deleting, world.status = True, Status()
    _until_released(world, _unreadable(world, legible=True))
    assert not world.finalizer
    assert _restored(world)


def test_deletion_that_knows_nothing_says_so_and_lets_go() -> None:
    """Neither spec nor status tells anything: a Warning says it, and the object does not stay for ever."""
    world = World(spec())
    reach(world, Phase.PROGRESSING, "ab")
    world.deleting, world.status = True, Status()
    seen = dataclasses.replace(world.observe(), services=())
    decision = decide(_unreadable(world, legible=False), world.status, seen, world.now)
    assert decision.acts == (RemoveFinalizer(),)
    assert [(note.type, note.reason) for note in decision.events] == [("Warning", "NotRestored")]
    assert "see to the sizes of control and canary yourself" in decision.status.message


def test_lost_status_takes_no_capacity() -> None:
    """Deleted after its status was lost (a restored backup): control gets the pods of both, never none."""
    world = World(spec())
    reach(world, Phase.PROGRESSING, "ab")
    world.deleting, world.status = True, Status()
    for _ in range(60):
        decision = world.look()
        assert all(act.total == 20 for act in decision.acts if isinstance(act, Shift))
        world.now += 2
    assert not world.finalizer
    assert _restored(world)


def test_rollback_goes_on_with_an_unreadable_spec() -> None:
    """A rollback that is under way needs no spec: the record says what to give back."""
    world = World(spec())
    reach(world, Phase.PROGRESSING, "ab")
    world.spec = spec(abort=True)
    world.look()
    assert world.status.phase is Phase.ROLLING_BACK
    found = _until_released(world, _unreadable(world, legible=False))
    assert found[-1].status.phase is Phase.ROLLED_BACK
    assert _restored(world)


def test_namespace_that_goes_holds_nobody_up() -> None:
    """A Deployment that is being deleted with its namespace has nothing to be given back, ready or not."""
    world = World(spec())
    reach(world, Phase.PROGRESSING, "ab")
    world.deleting = True
    for _ in range(5):
        seen = world.observe()
        services = []
        for each in seen.services:
            assert each.control is not None
            going = dataclasses.replace(each.control, deleting=True, ready=0)
            services.append(dataclasses.replace(each, control=going))
        decision = decide(world.spec, world.status, dataclasses.replace(seen, services=tuple(services)), world.now)
        world.status = decision.status
        assert not any(isinstance(act, Shift) for act in decision.acts)
        for act in decision.acts:
            world.do(act)
    assert not world.finalizer


def test_what_is_legible_of_an_unreadable_spec() -> None:
    """Names of Deployments are read out of a spec that has fields which this version doesn't know."""
    services = [{**SERVICES[0], "novel": 1}, {"name": "b", "control": {"deployment": "b"}, "canary": {"patch": {}}}, 7]
    with pytest.raises(InvalidSpecError) as found:
        parse_spec({"services": services, "novel": {}})
    pairs = [(each.name, each.control.deployment, each.canary.deployment) for each in found.value.services]
    assert pairs == [("recommendation", "rec", "rec-next"), ("b", "b", "b-canary")]


def test_services_of_the_spec_count_while_nothing_is_touched() -> None:
    """Without the finalizer nothing was touched, so there is nothing to undo."""
    wanted: Spec = spec(services=_OTHER_CANARY)
    world = World(spec())
    reach(world, Phase.PREPARING, done=False)
    assert in_force(wanted, world.status, finalizer=False) is wanted
    assert in_force(wanted, world.status, finalizer=True) != wanted


def test_another_route_is_another_split() -> None:
    """The weights of the route that the run has set are undone by the record, whatever route the spec names now."""
    route = {"type": "HTTPRoute", "httpRoute": {"name": "shop"}}
    of_run = [{**SERVICES[0], "traffic": route}]
    record = recorded(spec(services=of_run).services[0])
    status = Status(phase=Phase.PROGRESSING, services=(record,))
    for edited in ({"type": "Replicas"}, {"type": "HTTPRoute", "httpRoute": {"name": "other"}}):
        found = in_force(spec(services=[{**SERVICES[0], "traffic": edited}]), status, finalizer=True)
        assert found is not None
        assert found.services[0].traffic == spec(services=of_run).services[0].traffic
    more = spec(services=of_run, paused=True)
    assert in_force(more, status, finalizer=True) is more


def test_finalizer_that_somebody_took_away_comes_back() -> None:
    """While traffic is away from control the finalizer is there, whoever removed it."""
    world = World(spec())
    reach(world, Phase.PROGRESSING, "ab")
    world.finalizer = False
    assert AddFinalizer() in world.look().acts
