"""The split is tested too: a wrong one holds and never decides, a right one is quiet, also where users stay."""

import dataclasses
from typing import Any

import msgspec
import pytest

from serin.api.names import APPROVE, RETRY
from serin.api.spec import Spec
from serin.api.status import Condition, Phase, Status, parse_status, status_to_json
from serin.engine import sample_ratio
from serin.engine.decide import decide
from serin.engine.generated import Fault, Traffic
from serin.engine.goals.world import GoalEffect
from serin.engine.observation import GoalReading, LookResult, MeasurementFailure, Unmeasured
from serin.engine.world import World
from serin.stats import SampleRatio, count_split, judge_split
from serin.stats.goals import Moments
from tests.unit.engine.worlds import SERVICES, reach, run, spec

_ROUTE: dict[str, Any] = {"type": "HTTPRoute", "httpRoute": {"name": "shop"}}
_WEIGHTS: dict[str, Any] = {"type": "Weights", "weights": {"name": "shop", "preset": "Istio"}}
_STAGES = [{"name": "canary", "weight": 10, "duration": "3m"}, {"name": "ab", "weight": 50, "duration": "3m"}]
_LOUD = Traffic(rate=2000.0)
_TWISTED = Fault(split=0.3)
_OF_THE_STAGE = {"count": "count(increase(x[$stage]) > 0)", "sum": "x", "sumOfSquares": "y"}


def routed(*, kind: dict[str, Any] = _ROUTE, **changes: Any) -> Spec:
    """Two services: the first by a route, the second by the numbers of its pods."""
    return spec(services=[{**SERVICES[0], "traffic": kind}, SERVICES[1]], stages=_STAGES, **changes)


def condition(status: Status) -> Condition | None:
    """Return what SampleRatioMatches says."""
    return next((each for each in status.conditions if each.type == "SampleRatioMatches"), None)


def held(**changes: Any) -> World:
    """A world whose route gives the canary 30 % in both stages, held in the first."""
    world = World(routed(), _LOUD, faults=(_TWISTED,), **changes)
    for decision in world.run(1800):
        if decision.status.phase is Phase.HOLDING:
            assert decision.status.reason == "SampleRatioMismatch"
            assert decision.status.stage == "canary"
            return world
    pytest.fail(f"never held: {world.status.message}")


@pytest.mark.parametrize("kind", [_ROUTE, _WEIGHTS])
def test_a_right_split_is_quiet_and_shown(kind: dict[str, Any]) -> None:
    """Promoted, and status has share, intention, n and evidence of the service with a route; of pods nothing."""
    status = run(World(routed(kind=kind), _LOUD))
    assert status.phase is Phase.SUCCEEDED
    shown, none = (each.sample_ratio for each in status.services)
    assert none is None
    assert shown is not None
    assert (shown.unit, shown.intended) == ("requests", "50%")
    assert shown.n > 100_000
    assert 49 < float(shown.observed.rstrip("%")) < 51
    assert 0 < float(shown.evidence) < 1
    said = condition(status)
    assert said is not None
    assert (said.status, said.reason) == ("True", "AsIntended")


@pytest.mark.parametrize("kind", [_ROUTE, _WEIGHTS])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_wrong_split_holds(kind: dict[str, Any], share: float) -> None:
    """Held in its first stage for as long as it lasts, with the numbers and what to do; the stage's clock stands."""
    world = World(routed(kind=kind), _LOUD, faults=(Fault(split=share),))
    status = run(world, 900)
    assert (status.phase, status.reason, status.stage, status.weight) == (
        Phase.HOLDING,
        "SampleRatioMismatch",
        "canary",
        10,
    )
    assert "10% was intended" in status.message
    assert "kubectl serin approve -n simulated simulated --srm" in status.message
    assert status.summary.startswith("recommendation: the canary got ")
    assert status.stage_seconds <= 180
    said = condition(status)
    assert said is not None
    assert (said.status, said.reason) == ("False", "SampleRatioMismatch")
    assert "recommendation: the canary got " in said.message
    shown = status.services[0].sample_ratio
    assert shown is not None
    assert shown.evidence == "over 9,999"


def test_nothing_of_replicas() -> None:
    """Connections that stay open make a right split of pods look wrong, so it is neither tested nor shown."""
    status = run(World(spec(stages=_STAGES), _LOUD, faults=(_TWISTED,)))
    assert status.phase is Phase.SUCCEEDED
    assert condition(status) is None
    assert not any(sample_ratio.OF_A_STAGE[0] in key for key in status.checkpoint)
    assert all(each.sample_ratio is None for each in status.services)


@pytest.mark.parametrize("later", [Fault(errors=0.3), Fault(latency=0.1)])
def test_guardrails_roll_back_while_held(later: Fault) -> None:
    """A hold for the split is no shelter for a canary that fails."""
    world = held()
    world.faults = (_TWISTED, dataclasses.replace(later, after=world.now - world.start))
    status = run(world, 7200)
    assert (status.phase, status.weight) == (Phase.ROLLED_BACK, 0)
    assert any(each.reason == "GuardrailFailing" for each in status.transitions)


def test_abort_and_pause_while_held() -> None:
    """A pause says that it is paused and comes back to the hold; an abort rolls back."""
    world = held()
    world.spec = msgspec.structs.replace(world.spec, paused=True)
    assert world.look().status.phase is Phase.PAUSED
    world.spec = msgspec.structs.replace(world.spec, paused=False)
    assert world.look().status.reason == "SampleRatioMismatch"
    world.spec = msgspec.structs.replace(world.spec, abort=True)
    assert run(world, 7200).phase is Phase.ROLLED_BACK


@pytest.mark.parametrize("wrong", ["canary", "ab/srm", "canary/srm/another", "canary/goals"])
def test_another_approval_is_none(wrong: str) -> None:
    """Only the mismatch of this stage of this run is approved, by its own name."""
    world = held()
    world.annotations[APPROVE] = wrong
    assert run(world, world.now - world.start + 60).reason == "SampleRatioMismatch"


@pytest.mark.parametrize("by_id", [True, False])
def test_a_person_goes_on_stage_by_stage(by_id: bool) -> None:
    """The approval lets the stage go on and is remembered when the annotation changes; the next stage asks anew."""
    world = held()
    for stage in ("canary", "ab"):
        assert world.status.stage == stage
        world.annotations[APPROVE] = f"{stage}/srm/{world.status.run_id}" if by_id else f"{stage}/srm"
        status = world.look().status
        assert (status.phase, status.stage) == (Phase.PROGRESSING, stage)
        said = condition(status)
        assert said is not None
        assert (said.status, said.reason) == ("False", "MismatchAccepted")
        world.annotations[APPROVE] = "ab"
        status = run(world, world.now - world.start + 1800)
    assert status.phase is Phase.SUCCEEDED


def test_an_approval_beforehand_is_of_nothing() -> None:
    """What was approved while the split was right does not count when it gets wrong: nobody knew by how much."""
    world = World(routed(), _LOUD, faults=(Fault(split=0.3, after=120),))
    reach(world, Phase.PROGRESSING, "canary")
    world.annotations[APPROVE] = "ab/srm"
    assert not sample_ratio.accepted(world.look().status)


def test_it_stays_held_when_the_split_is_right_again() -> None:
    """What was counted is spoilt for the run; a retry begins with nothing of it."""
    world = held()
    world.faults = ()
    assert run(world, world.now - world.start + 900).reason == "SampleRatioMismatch"
    world.annotations[RETRY] = "1"
    status = world.look().status
    assert condition(status) is not None
    assert condition(status).status == "Unknown"  # type: ignore[union-attr]
    assert run(world, 20_000).phase is Phase.SUCCEEDED


def test_no_measurement_no_count() -> None:
    """Looks that were not measured, or are not of the verified split, add nothing."""
    world = World(routed(), _LOUD)
    reach(world, Phase.PROGRESSING, "canary")
    world.now += 30
    before = world.look().status
    world.now += 10
    seen = world.observe()
    lost = Unmeasured(MeasurementFailure.GAP, "a scrape is missing")
    looks = tuple(LookResult(each.ends_at, each.seconds, dict.fromkeys(each.services, lost)) for each in seen.looks)
    after = decide(world.spec, before, dataclasses.replace(seen, looks=looks), world.now).status
    assert after.services[0].sample_ratio == before.services[0].sample_ratio
    assert run(world).phase is Phase.SUCCEEDED


@pytest.mark.parametrize("turns", [2, 7])
def test_stopped_at_any_look_it_is_the_same_to_the_bit(turns: int) -> None:
    """A controller that dies before its write, every few looks, has the same record as one that never did."""
    states = []
    for every in (turns, 10**9):
        world, record, turn = World(routed(), _LOUD, faults=(_TWISTED,), seed=4), "", 0
        before = world._random.bit_generator.state
        while world.status.phase is not Phase.HOLDING and turn < 500:
            turn += 1
            decision = decide(world.spec, world.status, world.observe(), world.now)
            if turn % every == 0:  # it dies here: the counts of this look are taken again, from Prometheus
                world._random.bit_generator.state = before
                continue
            world.status = parse_status(status_to_json(decision.status))
            for act in decision.acts:
                world.do(act)
            record = world.status.checkpoint.get("recommendation/_ratio", record)
            world.now += max(0.5, min(decision.wake_after, 10.0))
            before = world._random.bit_generator.state
        states.append((record, world.status.reason))
    assert states[0] == states[1]
    assert states[0][1] == "SampleRatioMismatch"
    assert SampleRatio.from_record(states[0][0]).record() == states[0][0]


@pytest.mark.parametrize("broken", ["", "no", "1 2", "1 -5 2 0x1p-1 0x0p+0 0x0p+0", "1 5 2 nan 0x0p+0 0x0p+0", "9 9 9"])
def test_a_damaged_record_starts_again(broken: str) -> None:
    """Edited by hand or of another version: no traceback, and the test begins anew."""
    world = World(routed(), _LOUD)
    reach(world, Phase.PROGRESSING, "canary")
    world.status = msgspec.structs.replace(world.status, checkpoint={"recommendation/_ratio": broken})
    assert run(world).phase is Phase.SUCCEEDED


@pytest.mark.parametrize("seed", range(8))
def test_users_who_stay_are_no_mismatch(seed: int) -> None:
    """500 users who stay, some very active, are worth 180 alike ones; the share of their requests is off, and quiet."""
    status = run(World(routed(), _LOUD, sticky=500, seed=seed))
    assert status.phase is Phase.SUCCEEDED, status.message


def test_users_who_stay_on_a_wrong_split_are_held() -> None:
    """A route that gives 500 users who stay three times the canary's share is found all the same."""
    world = World(routed(), _LOUD, sticky=500, faults=(Fault(split=0.3, after=60),))
    assert run(world, 1800).reason == "SampleRatioMismatch"


@pytest.mark.parametrize(
    ("weight", "held_at", "quiet_at"),
    [(0.05, (0.009, 0.105), (0.015, 0.098)), (0.5, (0.38, 0.62), (0.4, 0.6))],
)
def test_what_requests_can_show(weight: float, held_at: tuple[float, ...], quiet_at: tuple[float, ...]) -> None:
    """However many requests: a fifth or twice of 5 %, a quarter off 50 %; less may be a few users who stay."""
    config = sample_ratio._of_requests(routed())
    for share in (*held_at, *quiet_at):
        canary = round(10**8 * share)
        state = count_split(config, SampleRatio(), weight=weight, control=10**8 - canary, canary=canary)
        assert judge_split(config, state).holds == (share in held_at), share


def test_what_new_users_can_show() -> None:
    """7,000 new users at 47 or 53 % for 50 % are a mismatch, at 48 or 52 % not."""
    wanted = _goals(**_OF_THE_STAGE)
    config = sample_ratio._of_users(wanted, wanted.goals[0])
    for canary, holds in ((3290, True), (3360, False), (3640, False), (3710, True)):
        state = count_split(config, SampleRatio(), weight=0.5, control=7000 - canary, canary=canary)
        assert judge_split(config, state).holds == holds, canary


def _goals(**changes: Any) -> Spec:
    """Two days at 50 % in which a goal counts users."""
    goal = {"name": "happy", "service": "recommendation", "minimumEffect": 0.5, **changes}
    stages = [{"name": "ab", "weight": 50, "duration": "2d"}]
    services = [{**SERVICES[0], "traffic": _ROUTE}]
    return spec(services=services, stages=stages, goals=[goal], analysis={"interval": "10m"}, promotion={"bake": "0s"})


@pytest.mark.parametrize(
    ("share", "queries", "held_by_users"),
    [
        (None, {}, False),
        (None, _OF_THE_STAGE, False),
        (0.46, {}, False),
        (0.46, _OF_THE_STAGE, True),
        (0.54, {}, True),
        (0.54, _OF_THE_STAGE, True),
    ],
)
def test_new_users_of_a_goal(share: float | None, queries: dict[str, str], held_by_users: bool) -> None:
    """4 % off is a mismatch of 20,000 new users that requests don't show; fewer only where all are the stage's."""
    world = World(_goals(**queries), _LOUD, goals={"happy": GoalEffect(users_per_day=20_000)}, look_seconds=3600.0)
    world.faults = (Fault(split=share),) if share is not None else ()
    status = run(world, 3 * 86_400)
    intended = "50%" if queries else "at most 50%"
    if held_by_users:
        assert status.reason == "SampleRatioMismatch"
        assert "goal happy: the canary got " in status.message
        assert f"new users, {intended} was intended" in status.message
    else:
        assert status.phase is Phase.SUCCEEDED, status.message
    shown = status.goals[0].sample_ratio
    assert shown is not None
    assert (shown.unit, shown.intended) == ("new users", intended)


def test_who_came_while_the_split_moved_is_not_counted() -> None:
    """Between two readings of different steps, or where users left the window, nobody is new."""
    wanted = _goals()
    world = World(wanted, _LOUD, goals={"happy": GoalEffect()})
    reach(world, Phase.PROGRESSING, "ab")
    status = world.status

    def read(status: Status, control: int, canary: int) -> Status:
        reading = GoalReading(Moments(control, 0, 0), Moments(canary, 0, 0), world.now)
        return sample_ratio.count_users(wanted, status, dataclasses.replace(world.observe(), goals={"happy": reading}))

    def users(status: Status) -> int:
        return sum(each.evidence.users for each in sample_ratio.judged(wanted, status))

    status = read(status, 100, 0)
    assert users(status) == 0
    status = read(status, 110, 10)
    assert users(status) == 20
    assert status.step is not None
    moved = msgspec.structs.replace(status, step=msgspec.structs.replace(status.step, number=status.step.number + 2))
    moved = read(moved, 910, 10)
    assert users(moved) == 20
    moved = read(moved, 900, 20)
    assert users(moved) == 20
    assert users(read(moved, 905, 25)) == 30
