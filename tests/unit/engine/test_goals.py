"""Goals over whole simulated experiments: what promotes, what rolls back, and what waits for a person or for data."""

import dataclasses
from typing import Any

import msgspec
import pytest

from serin.api.names import APPROVE
from serin.api.spec import Spec, parse_spec
from serin.api.status import GoalStatus, Phase, Status, parse_status, status_to_json
from serin.engine.decide import decide
from serin.engine.goals import judging
from serin.engine.goals import record as goal_record
from serin.engine.goals.schedule import goal_problems, judged_stage, schedule
from serin.engine.goals.world import GoalEffect
from serin.engine.observation import GoalReading
from serin.engine.world import World
from serin.stats.goals import Moments
from tests.unit.engine.test_machine import significant_digits
from tests.unit.engine.worlds import SERVICES

DAY = 86_400.0


def experiment(*wanted: dict[str, Any], duration: str = "5d", samples: int | None = 400, **changes: Any) -> Spec:
    """Return two services, a short stage and five days of A/B with these goals."""
    ab = {"name": "ab", "weight": 50, "duration": duration, **({"minSamples": samples} if samples else {})}
    each = [{"name": "satisfaction", "service": "conversation", "minimumEffect": 0.2, **goal} for goal in wanted]
    return parse_spec(
        {
            "services": SERVICES,
            "stages": [{"name": "canary", "weight": 10, "duration": "1h"}, ab],
            "promotion": {"bake": "1h"},
            "analysis": {"interval": "10m"},
            "goals": each,
            **changes,
        }
    )


def world(spec: Spec, seed: int = 1, **effects: GoalEffect) -> World:
    """Return a world in which the goals' users are like that."""
    return World(spec, goals=effects or {"satisfaction": GoalEffect()}, seed=seed, look_seconds=3600.0)


def run(made: World, days: float = 12.0) -> Status:
    """Runs to the end or for some days; every status must survive the API server."""
    for decision in made.run(days * DAY):
        assert parse_status(status_to_json(decision.status)) == decision.status
    return made.status


def goal(status: Status) -> GoalStatus:
    """Return the first goal of a status."""
    return status.goals[0]


def test_no_harm_promotes() -> None:
    """Proven to be no worse: promoted after the last look and not before, with users, interval and looks in status."""
    made = world(experiment({}))
    status = run(made)
    assert status.phase is Phase.SUCCEEDED
    assert goal(status).verdict in {"NonInferior", "Superior"}
    assert goal(status).looks == "5 of 5"
    assert made.now - made.start > 5 * DAY
    assert "users" in goal(status).summary
    assert status.samples is not None
    assert min(status.samples.control, status.samples.canary) >= status.samples.need == 400


def test_harm_rolls_back() -> None:
    """Proven to be worse: both services go back before the stage is over, and the message has the numbers."""
    made = world(experiment({}), satisfaction=GoalEffect(effect=-0.8))
    status = run(made)
    assert (status.phase, status.weight) == (Phase.ROLLED_BACK, 0)
    assert any(each.reason == "GoalInferior" for each in status.transitions)
    assert "goal satisfaction is worse: canary" in status.message
    assert made.now - made.start < 4 * DAY


def test_less_is_better() -> None:
    """With direction Decrease a higher mean rolls back, and a lower one promotes."""
    asked = {"direction": "Decrease", "promoteOn": "Superior", "minimumEffect": 0.1}
    assert run(world(experiment(asked), satisfaction=GoalEffect(effect=0.8))).phase is Phase.ROLLED_BACK
    assert run(world(experiment(asked), satisfaction=GoalEffect(effect=-0.5))).phase is Phase.SUCCEEDED


def test_no_proof_waits_for_a_person() -> None:
    """A gain was asked for and is not there: held, with the number of users that would decide."""
    made = world(experiment({"promoteOn": "Superior", "minimumEffect": 0.0}))
    status = run(made)
    assert (status.phase, status.reason, status.weight) == (Phase.HOLDING, "GoalsInconclusive", 50)
    assert "users of each variant would decide" in status.message
    made.annotations[APPROVE] = "ab"
    assert run(made, 13).reason == "GoalsInconclusive"
    made.annotations[APPROVE] = f"ab/{made.status.run_id}"
    assert run(made, 14).reason == "GoalsInconclusive"
    made.annotations[APPROVE] = "ab/goals/another"
    assert run(made, 15).reason == "GoalsInconclusive"
    made.annotations[APPROVE] = f"ab/goals/{made.status.run_id}"
    assert run(made, 17).phase is Phase.SUCCEEDED


def test_a_person_may_roll_back_too() -> None:
    """`spec.abort` ends the waiting the other way."""
    made = world(experiment({"promoteOn": "Superior", "minimumEffect": 0.0}))
    assert run(made).phase is Phase.HOLDING
    made.spec = msgspec.structs.replace(made.spec, abort=True)
    assert run(made, 13).phase is Phase.ROLLED_BACK


def test_all_goals_together() -> None:
    """One goal of two that is not reached keeps both services where they are."""
    spec = experiment({}, {"name": "completion", "promoteOn": "Superior", "minimumEffect": 0.0})
    effects = {"satisfaction": GoalEffect(effect=0.5), "completion": GoalEffect()}
    status = run(world(spec, **effects))
    assert status.reason == "GoalsInconclusive"
    assert "completion:" in status.message
    assert "satisfaction:" not in status.message
    both = {"satisfaction": GoalEffect(effect=0.5), "completion": GoalEffect(effect=0.5)}
    assert run(world(spec, **both)).phase is Phase.SUCCEEDED


@pytest.mark.parametrize("effect", [-0.8, 0.0, 0.8])
def test_no_readings_decide_nothing(effect: float) -> None:
    """Without a reading neither promotion nor rollback, however long; the message says what is missing."""
    made = world(experiment({}), satisfaction=GoalEffect(effect=effect, silent=((0.0, 1e9),)))
    status = run(made, 10)
    assert (status.phase, status.reason, status.weight) == (Phase.PROGRESSING, "NeedsSamples", 50)
    assert "does not answer" in status.message
    assert goal(status).verdict == "Waiting"


@pytest.mark.parametrize("effect", [-0.8, 0.0])
def test_no_readings_at_the_end_hold(effect: float) -> None:
    """Enough users, and the last look can't be taken: held until it can."""
    spec = experiment({}, samples=None)
    made = world(spec, satisfaction=GoalEffect(effect=effect, silent=((0.5 * DAY, 8 * DAY),)))
    status = run(made, 7)
    assert (status.phase, status.reason) == (Phase.HOLDING, "NoGoalData")
    ended = run(made, 12)
    assert ended.phase is (Phase.ROLLED_BACK if effect < 0 else Phase.SUCCEEDED)


@pytest.mark.parametrize("effect", [-0.1, 0.0])
def test_sums_that_stand_still_decide_nothing(effect: float) -> None:
    """Figures that somebody stopped to compute after a day: nothing is judged on them any more."""
    spec = experiment({"minimumEffect": 0.3}, samples=None, duration="6d")
    made = world(spec, satisfaction=GoalEffect(effect=effect, stale_after=0.95 * DAY))
    status = run(made, 10)
    assert (status.phase, status.reason) == (Phase.HOLDING, "NoGoalData")
    assert "have not changed" in status.message


def test_samples_are_users() -> None:
    """`minSamples` counts users: the stage lasts until there are as many, and says how long that will be."""
    made = world(experiment({}, samples=1600), satisfaction=GoalEffect(users_per_day=500))
    status = run(made, 5.5)
    assert (status.phase, status.reason) == (Phase.PROGRESSING, "NeedsSamples")
    assert "need 1,600 users" in status.message
    assert "more" in status.message
    assert goal(status).looks == "4 of 5"
    assert run(made).phase is Phase.SUCCEEDED
    assert made.now - made.start > 6 * DAY


def test_the_unit_of_samples() -> None:
    """Replicas does not keep a user on one variant, and status says so; without goals requests are counted."""
    status = run(world(experiment({})), 2)
    assert status.samples is not None
    assert status.samples.unit.startswith("users, not kept on one variant")
    plain = run(world(experiment(samples=10**9)), 2)
    assert plain.samples is not None
    assert (plain.samples.unit, plain.samples.need) == ("requests", 10**9)
    assert plain.samples.control > 1000
    assert plain.samples.eta
    assert run(world(experiment(samples=None)), 2).samples is None


def test_looks_are_taken_as_planned() -> None:
    """One a day, each once, whatever happens between them; a crash before any write takes none twice."""
    made = world(experiment({}))
    taken: list[tuple[float, ...]] = []
    for turn in range(20_000):
        decision = decide(made.spec, made.status, made.observe(), made.now)
        if turn % 3 == 0:
            made.now += 600
            continue  # died before the write
        made.status = parse_status(status_to_json(decision.status))
        for act in decision.acts:
            made.do(act)
        text = made.status.checkpoint.get("goals/satisfaction/record")
        record = goal_record.decode(made.spec, made.spec.goals[0], text) if text else None
        if record is not None and (not taken or taken[-1] != record.fractions):
            taken.append(record.fractions)
        if made.status.phase is Phase.SUCCEEDED:
            break
        made.now += max(1.0, min(decision.wake_after, 3600.0))
    assert taken == [tuple(look / 5 for look in range(1, upto + 1)) for upto in range(6)]


def test_a_quiet_look_says_nothing_twice() -> None:
    """The same picture decided twice has no events, no acts, and nothing worth a write."""
    made = world(experiment({}))
    for _ in made.run(3.3 * DAY):
        seen = made.observe()
        decision = decide(made.spec, made.status, seen, made.now)
        again = decide(made.spec, decision.status, seen, made.now)
        if decision.status.phase is made.status.phase and not decision.acts:
            assert not again.significant
            assert not again.events


def test_control_rolled_by_another_starts_the_goals_again() -> None:
    """Users of the old control say nothing about the new one: the looks begin anew with the stage."""
    made = world(experiment({}))
    run(made, 3.0)
    assert goal(made.status).looks == "2 of 5"
    control = made._pairs["conversation"].control
    control.template, control.generation = "hotfix", control.generation + 1
    made.look()
    assert "goals/satisfaction/record" not in made.status.checkpoint
    run(made, 3.9)
    record = made.status.checkpoint.get("goals/satisfaction/record", "")
    decoded = goal_record.decode(made.spec, made.spec.goals[0], record)
    assert decoded is not None
    assert decoded.fractions == ()
    assert goal(made.status).verdict == "Waiting"


def test_the_message_says_what_the_looks_have_said() -> None:
    """Whoever reads the message while the stage runs sees where the goals are."""
    made = world(experiment({}))
    assert "goals:" not in run(made, 0.5).message
    assert "; goals: satisfaction " in run(made, 3).message
    assert "(look 2 of 5)" in made.status.message


def test_what_status_shows() -> None:
    """Short texts with few digits: both means, the difference with its interval, segments that say exploratory."""
    status = run(world(experiment({}, duration="13d", samples=None)), 16)
    shown = goal(status)
    assert shown.segments.startswith("exploratory: existing ")
    assert "weekdays evened out" in shown.cross_check
    assert "blocks of time" in shown.cross_check
    assert float(shown.p) > 0
    for text in (shown.difference, shown.relative, shown.effect, shown.p, shown.control, shown.canary, shown.segments):
        assert significant_digits(text) <= 4, text
    assert max(len(text) for text in (shown.summary, shown.segments, shown.cross_check, shown.effect)) < 200
    assert len(status.checkpoint["goals/satisfaction/record"]) < 1600


def test_goals_take_their_part_of_alpha() -> None:
    """What can roll a healthy canary back shares the experiment's alpha: four guardrails and a goal are five."""
    plain, asked = experiment(), experiment({})
    from serin.engine.configs import rate_config  # noqa: PLC0415 - beside its only use
    from serin.stats import Dispersion  # noqa: PLC0415 - as above

    assert rate_config(plain, "errorRate", Dispersion()).alpha == pytest.approx(0.05 / 4)
    assert rate_config(asked, "errorRate", Dispersion()).alpha == pytest.approx(0.05 / 5)


@pytest.mark.parametrize(
    ("duration", "looks", "block"),
    [("13d", 13, 3600), ("14d", 14, 3600), ("2d", 2, 3600), ("24h", 5, 1800), ("2h", 5, 600), ("3m", 1, 600)],
)
def test_schedule(duration: str, looks: int, block: float) -> None:
    """A look a day; in a short stage a few, no closer than services compute their sums and Serin looks."""
    plan = schedule(experiment({}, duration=duration))
    assert plan is not None
    assert (plan.looks, plan.block) == (looks, block)
    assert plan.reached(plan.stage.duration.seconds) == looks
    assert plan.fractions[-1] == 1.0


def test_the_stage_of_the_goals() -> None:
    """The stage with `minSamples`, else the last one in which control serves."""
    stages = [{"name": "a", "weight": 5, "duration": "1h"}, {"name": "b", "weight": 100, "duration": "1h"}]
    found = judged_stage(experiment({}, stages=stages))
    assert found is not None
    assert found.name == "a"
    assert judged_stage(experiment({}, stages=stages[1:])) is None
    problems = goal_problems(experiment({}, stages=stages[1:]))
    assert [each.reason for each in problems] == ["NoStageForGoals"]
    three = [
        {"name": "ab", "weight": 50, "duration": "1d", "minSamples": 9},
        {"name": "c", "weight": 80, "duration": "1d"},
    ]
    assert judged_stage(experiment({}, stages=three)).name == "ab"  # type: ignore[union-attr]


def test_a_later_stage_does_not_ask_again() -> None:
    """After the stage of the goals the next one goes on without them."""
    stages = [
        {"name": "ab", "weight": 50, "duration": "2d", "minSamples": 100},
        {"name": "most", "weight": 80, "duration": "1d"},
    ]
    made = world(experiment({"minimumEffect": 0.5}, stages=stages))
    for decision in made.run(6 * DAY):
        if decision.status.stage == "most":
            break
    assert goal(made.status).verdict in {"NonInferior", "Superior"}
    assert run(made).phase is Phase.SUCCEEDED


def test_a_damaged_record_starts_again() -> None:
    """A record that can't be read, of another version or of another question is none."""
    spec = experiment({})
    record = goal_record.fresh(spec, spec.goals[0], weekdays=True)
    text = goal_record.encode(record)
    assert goal_record.decode(spec, spec.goals[0], text) == record
    other = experiment({"minimumEffect": 0.3})
    assert goal_record.decode(other, other.goals[0], text) is None
    for broken in ("", "no", text[:-8], text[: len(text) // 2]):
        assert goal_record.decode(spec, spec.goals[0], broken) is None
    newer = goal_record.encode(msgspec.structs.replace(record, version=99))
    assert goal_record.decode(spec, spec.goals[0], newer) is None


def test_values_that_change_afterwards_spoil_only_the_cross_check() -> None:
    """Sums that fall from one reading to the next are no new users: the blocks are left out, and it is said."""
    made = world(experiment({}))
    run(made, 2.5)
    falling = GoalReading(Moments(300, 900, 3000), Moments(310, 950, 3200), made.now)
    plan = schedule(made.spec)
    assert plan is not None
    status = msgspec.structs.replace(made.status, stage_seconds=made.status.stage_seconds + 2 * plan.block)
    after = judging.count(made.spec, status, dataclasses.replace(made.observe(), goals={"satisfaction": falling}))
    assert "users' values changed afterwards" in goal(after).cross_check
