"""What keeps a way back from ending: room for control's pods, a route that nobody follows; and what is said of it."""

import dataclasses

import msgspec
import pytest

from serin.api.status import Phase
from serin.engine.decide import decide
from serin.engine.decision import Decision
from serin.engine.observation import RouteReading, ServiceObservation
from serin.engine.world import World
from tests.unit.engine.worlds import ROUTED, reach, run, spec


def _decided(world: World, services: tuple[ServiceObservation, ...]) -> Decision:
    """One decision on these services."""
    observed = dataclasses.replace(world.observe(), services=services)
    decision = decide(world.spec, world.status, observed, world.now)
    world.status = decision.status
    return decision


_NO_ROOM = "not scheduled: 0/3 nodes are available: 3 Insufficient cpu; 2 pods"
_FULL = ". The cluster has no room for control's pods, so the canary"
_ROOM = (
    "make room (another node, or fewer pods elsewhere). Which pods wait for it: kubectl get pods -n simulated"
    " --field-selector status.phase=Pending"
)
_UNTIL = ". Until control's pods are ready, the canary serves on"


@pytest.mark.parametrize(
    ("deleting", "trouble", "says", "stalled"),
    [
        (
            False,
            "",
            ". Where the cluster has no room for control's pods, the canary gives up its places to them, one at a time",
            "",
        ),
        (
            True,
            "",
            ". Where the cluster has no room for control's pods, the canary serves on until they are ready",
            "",
        ),
        (
            False,
            _NO_ROOM,
            f"{_FULL} gives up its places to them, one at a time. To end it sooner: {_ROOM}",
            "no room for control's pods: 0/3 nodes are available: 3 Insufficient cpu; 2 pods",
        ),
        (
            True,
            _NO_ROOM,
            f"{_FULL} serves on until they are ready, without limit. To end it: {_ROOM}",
            "no room for control's pods: 0/3 nodes are available: 3 Insufficient cpu; 2 pods",
        ),
        (False, "exceeded quota: pods", _UNTIL, "control's pods are not ready: exceeded quota: pods"),
        (True, "exceeded quota: pods", _UNTIL, "control's pods are not ready: exceeded quota: pods"),
    ],
)
def test_a_way_back_that_takes_long_says_what_it_waits_for(
    deleting: bool, trouble: str, says: str, stalled: str
) -> None:
    """The cause first, then who still has traffic, and what helps: of a failing canary as of a deleted experiment."""
    world = World(spec())
    reach(world, Phase.PROGRESSING, "ab")
    world.ready_after, world.deleting = 1e9, deleting
    if not deleting:
        world.spec = msgspec.structs.replace(world.spec, abort=True)
    run(world, world.now - world.start + 20)
    decision = _with_trouble(world, trouble)
    status = decision.status
    assert status.phase is Phase.ROLLING_BACK
    told = "Rolling back: the canary of recommendation still has 50% of the traffic; the canary of conversation still"
    assert told in status.message.replace("100%", "50%")
    assert status.message.endswith(f". It goes on by itself until control has everything{says}")
    cause = "the experiment was deleted: control gets 100% back" if deleting else "spec.abort is true: somebody asked"
    assert status.summary.startswith(cause)
    found = next(each for each in status.conditions if each.type == "Stalled")
    assert (found.status, found.message.partition("; rolling back for ")[0]) == (
        ("True", f"recommendation: {stalled}") if stalled else ("False", "")
    )
    if trouble == _NO_ROOM:
        assert status.summary.partition("; it waits: ")[2].startswith("no room: 3 Insufficient cpu")


def _with_trouble(world: World, trouble: str) -> Decision:
    """One decision while control's pods say this."""
    services = tuple(
        dataclasses.replace(each, control=dataclasses.replace(each.control, trouble=trouble))
        if each.control is not None
        else each
        for each in world.observe().services
    )
    return _decided(world, services)


def test_a_way_back_ends_with_its_cause_alone() -> None:
    """What it waited for is no news any more when it has ended."""
    world = World(spec())
    reach(world, Phase.PROGRESSING, "ab")
    world.ready_after, world.spec = 1e9, msgspec.structs.replace(world.spec, abort=True)
    run(world, world.now - world.start + 20)
    assert "it waits: " in _with_trouble(world, _NO_ROOM).status.summary
    for pair in world._pairs.values():
        pair.control.ready_at = 0.0
    status = run(world, world.now - world.start + 100)
    assert (status.phase, status.summary) == (Phase.ROLLED_BACK, "spec.abort is true: somebody asked for it")


_ROUTE = "HTTPRoute rec"


@pytest.mark.parametrize(
    ("behind", "says", "stalled"),
    [
        (
            True,
            f"Requests do not follow the written weight: the rollback reaches nobody until {_ROUTE} is followed",
            "recommendation: HTTPRoute rec is not followed, so the rollback reaches nobody; rolling back for ",
        ),
        (
            False,
            f"Whether the rollback reaches everybody is not sure until {_ROUTE} is accepted",
            "recommendation: HTTPRoute rec is not followed, so the rollback may not reach everybody; rolling back for ",
        ),
    ],
)
def test_a_way_back_by_a_route_that_nobody_follows(behind: bool, says: str, stalled: str) -> None:
    """Whom it reaches, until when, and what to type: control's weight alone is no rollback."""
    world = World(spec(services=ROUTED))
    reach(world, Phase.PROGRESSING, "ab")
    world.spec = msgspec.structs.replace(world.spec, abort=True)
    late = RouteReading(50.0, False, "late", "does it run?", "does it run?", unfollowed=_ROUTE, behind=behind)
    for _ in range(2):
        first, *others = world.observe().services
        status = _decided(world, (dataclasses.replace(first, route=late), *others)).status
    assert status.phase is Phase.ROLLING_BACK
    assert status.message.endswith(
        f"recommendation: does it run? It goes on by itself until control has everything. {says} by its controller. To"
        " see what the controller says (Status): kubectl describe -n simulated HTTPRoute rec"
    )
    conditions = {each.type: each for each in status.conditions}
    assert conditions["Stalled"].message.startswith(stalled)
    synced = conditions["RoutesSynced"]
    assert (synced.status, synced.reason, synced.message) == ("False", "RouteNotFollowed", "does it run?")
    assert status.summary == ("spec.abort is true: somebody asked for it; it waits: HTTPRoute rec is not followed")
