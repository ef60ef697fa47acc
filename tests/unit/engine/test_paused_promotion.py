"""A pause in the middle of a promotion: between two steps, at full capacity, and still watched."""

import msgspec
import pytest

from serin.api.status import Phase, Status
from serin.engine import phases
from serin.engine.decision import PromoteTemplate, RestoreTemplate, Shift
from serin.engine.generated import Fault
from serin.engine.world import World
from tests.unit.engine.worlds import SERVICES, reach, run, spec, templates

_NAMES = tuple(service["name"] for service in SERVICES)


def _pause(world: World, paused: bool) -> None:
    world.spec = msgspec.structs.replace(world.spec, paused=paused)


def _looks(world: World, seconds: float) -> list[Status]:
    found = []
    until = world.now + seconds
    while world.now < until:
        world.now += 2
        found.append(world.look().status)
        for pair in world._pairs.values():
            pods = pair.control.replicas + (pair.canary.replicas if pair.canary else 0)
            assert pods >= 20, "capacity is never less than the traffic needs"
    return found


def _promoting(action: str, **changes: object) -> World:
    """An experiment in the middle of a step of its promotion."""
    world = World(spec(promotion={"bake": "1m"}), **changes)  # type: ignore[arg-type]
    for decision in world.run(3600):
        step = decision.status.step
        if decision.status.phase is Phase.PROMOTING and step is not None and step.action == action:
            return world
    return pytest.fail(f"never {action}")


@pytest.mark.parametrize("action", [phases.TO_CANARY, phases.TEMPLATE])
def test_pause_freezes_between_steps_and_goes_on(action: str) -> None:
    """The step under way ends, the next one does not begin; the canary carries everything, and resuming promotes."""
    world = _promoting(action)
    _pause(world, True)
    before = len(world.acts)
    statuses = _looks(world, 300)
    assert {status.phase for status in statuses[-100:]} == {Phase.PAUSED}
    assert (world.status.reason, world.status.resumes_to) == ("Paused", Phase.PROMOTING)
    assert [world.share(name) for name in _NAMES] == [1, 1]
    if action == phases.TO_CANARY:
        assert templates(world) == {"old"}
        assert not any(isinstance(act, PromoteTemplate) for _, act in world.acts[before:])
    _pause(world, False)
    assert run(world, 7200).phase is Phase.SUCCEEDED
    assert sum(isinstance(act, PromoteTemplate) for _, act in world.acts) == 2


def test_guardrails_roll_a_paused_promotion_back() -> None:
    """A new version that fails while the promotion is paused is found, though nobody serves beside it."""
    world = _promoting(phases.TEMPLATE)
    _pause(world, True)
    _looks(world, 60)
    assert world.status.phase is Phase.PAUSED
    world.faults = (Fault(errors=0.3),)
    _looks(world, 120)
    assert world.status.phase is Phase.ROLLED_BACK, world.status.message
    assert "GuardrailFailing" in {each.reason for each in world.status.transitions}
    assert templates(world) == {"old"}
    assert any(isinstance(act, RestoreTemplate) for _, act in world.acts)


def test_healthy_paused_promotion_stays() -> None:
    """An hour of a healthy new version alone is no reason to go back."""
    world = _promoting(phases.TO_CANARY)
    _pause(world, True)
    assert {status.phase for status in _looks(world, 3600)[-1500:]} == {Phase.PAUSED}
    assert world.status.stage_seconds <= 120


def test_outage_while_paused_holds_on_resuming() -> None:
    """Resumed without measurements, the promotion waits for one look: no step forward on missing ones."""
    world = _promoting(phases.TO_CANARY)
    _pause(world, True)
    _looks(world, 60)
    start = world.now - world.start
    world.outages = ((start, start + 200),)
    _looks(world, 60)
    _pause(world, False)
    _looks(world, 60)
    assert (world.status.phase, world.status.reason) == (Phase.HOLDING, "NoMeasurement")
    assert templates(world) == {"old"}
    assert run(world, 7200).phase is Phase.SUCCEEDED


def test_split_that_changes_while_paused_is_set_again() -> None:
    """Somebody scales the canary, which carries everything: it is set right, and counted anew."""
    world = _promoting(phases.TO_CANARY)
    _pause(world, True)
    _looks(world, 60)
    canary = world._pairs["recommendation"].canary
    assert canary is not None
    canary.replicas, canary.generation = 24, canary.generation + 1
    events = [note.reason for note in world.look().events]
    assert "SplitChanged" in events
    _looks(world, 60)
    assert canary.replicas == 20
    assert world.status.phase is Phase.PAUSED


def test_no_pause_in_the_middle_of_a_shift() -> None:
    """A shift that has begun is brought to its end: half way, neither side has the pods for all of the traffic."""
    world = _promoting(phases.TO_CONTROL)
    _pause(world, True)
    statuses = _looks(world, 60)
    assert statuses[-1].resumes_to is Phase.BAKING
    assert [world.share(name) for name in _NAMES] == [0, 0]
    assert any(isinstance(act, Shift) for _, act in world.acts)


def test_reach_is_not_fooled() -> None:
    """Unpaused, a promotion does not stop on its way."""
    world = World(spec())
    reach(world, Phase.BAKING)
    assert "Paused" not in {each.to for each in world.status.transitions}
