"""What is counted of goals, when a look is taken, and what their verdicts do to the experiment.

A goal is looked at only as often as was planned, and only on a whole, fresh reading. Without one nothing is promoted
and nothing is rolled back: the experiment waits, and says for what.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from serin.api.status import GoalStatus, Phase, Status
from serin.engine import run, wording
from serin.engine.configs import guardrail_names
from serin.engine.goals import record as goal_record
from serin.engine.goals import samples as goal_samples
from serin.engine.goals import wording as goal_wording
from serin.engine.goals.record import GoalRecord, key_of
from serin.engine.goals.schedule import Schedule, rollback_alpha, rule_of, schedule
from serin.engine.goals.wording import Look
from serin.engine.observation import GoalReading
from serin.stats.goals import GoalVerdict, Moments, bounds, holm, judge_goal, repeated_p_value, welch

if TYPE_CHECKING:
    from serin.api.spec import Goal, Spec
    from serin.engine.observation import Observation
    from serin.stats.goals import Comparison

_GROWTH: Final = 1.01
"""A look must bring one per cent more information than the one before: less is not worth a look."""
_LEAST_USERS: Final = 20
"""Users of each variant for a look: a mean of fewer is not normal enough for a test."""
_WEEK: Final = 7 * 86_400.0
_WAITING: Final = "Waiting"


def due(spec: Spec, status: Status) -> bool:
    """True when the goals are to be read: a new block has begun, a look is due, or the last one is still missing."""
    plan = schedule(spec)
    if plan is None or not _judging(spec, status, plan):
        return False
    block = _block(plan, status)
    over = plan.reached(status.stage_seconds) == plan.looks
    return any(record.block < block or (over and not record.final) for record in _records(spec, status).values())


def count(spec: Spec, status: Status, seen: Observation) -> Status:
    """The status with what `seen.goals` adds: records in the checkpoint, goals and samples for the reader."""
    plan = schedule(spec)
    if plan is None:
        return goal_samples.of_requests(spec, status)
    if not seen.goals or seen.deleting or not _judging(spec, status, plan):
        return status
    checkpoint, shown, looked = dict(status.checkpoint), {each.name: each for each in status.goals}, False
    for goal in spec.goals:
        reading = seen.goals.get(goal.name)
        if reading is None:
            continue
        record = _record(spec, status, goal)
        before = shown.get(goal.name) if record.verdict else None
        before = before or GoalStatus(name=goal.name, verdict=_WAITING, summary="")
        if not isinstance(reading, GoalReading):
            missing = f"not measured: {reading.message}"
            shown[goal.name] = msgspec.structs.replace(before, note=missing, summary=before.summary or missing)
            continue
        record = _with_block(plan, status, record, reading)
        record, judged = _looked(spec, plan, status, goal, record, reading)
        checkpoint[key_of(goal)] = goal_record.encode(record)
        looked = looked or not isinstance(judged, str)
        note, status_of = (judged, before) if isinstance(judged, str) else ("", judged)
        shown[goal.name] = goal_wording.shown(plan, record, reading, status_of, note)
    status = msgspec.structs.replace(
        status,
        checkpoint=checkpoint,
        goals=tuple(shown[goal.name] for goal in spec.goals if goal.name in shown),
    )
    if looked:
        status = _with_claims(spec, status)
    return msgspec.structs.replace(status, samples=goal_samples.of_users(spec, plan, status, _records(spec, status)))


def inferior(spec: Spec, status: Status) -> str | None:
    """The goal that is proven to be worse, as a sentence."""
    for goal, record in _judged_goals(spec, status):
        if record.verdict == GoalVerdict.INFERIOR:
            return f"goal {goal.name} is worse: {_summary(status, goal)}"
    return None


def users_missing(status: Status, need: int) -> str | None:
    """What is missing to `minSamples`, which counts the users of each goal and variant."""
    found = status.samples
    have = min(found.control, found.canary) if found is not None else 0
    if have >= need:
        return None
    eta = f", about {found.eta} more" if found is not None and found.eta else ""
    few = wording.count(have)
    return f"goals need {wording.count(need)} users of each variant, the fewest are {few}{eta}{_notes(status)}"


def unmeasured(spec: Spec, status: Status) -> str | None:
    """The goals whose last look can't be taken for want of a reading."""
    missing = [goal.name for goal, record in _judged_goals(spec, status) if not record.final]
    notes = _notes(status)
    if not missing or not notes:
        return None
    return f"no promotion and no rollback without the last look at {', '.join(missing)}{notes}"


def unjudged(spec: Spec, status: Status) -> str | None:
    """The goals whose last look is still to come."""
    missing = [goal.name for goal, record in _judged_goals(spec, status) if not record.final]
    if not missing:
        return None
    return f"the stage's time is over; the last look at {', '.join(missing)} is being taken"


def unreached(spec: Spec, status: Status) -> str | None:
    """The goals that are not what `promoteOn` asks for; all of them together must be."""
    missing = [goal for goal, record in _judged_goals(spec, status) if not _promotes(goal, record)]
    return "; ".join(f"{goal.name}: {_summary(status, goal)}" for goal in missing) or None


def so_far(status: Status) -> str:
    """What the looks have said until now, to be put behind another sentence; empty before the first."""
    said = [f"{each.name} {each.verdict} (look {each.looks})" for each in status.goals if each.looks]
    return f"; goals: {', '.join(said)}" if said else ""


def approval_of(spec: Spec) -> str:
    """The value of the annotation serin.dev/approve by which a person promotes in spite of the goals.

    It is not the stage's name alone: who approved a promotion beforehand did not know that its goals would be missed.
    """
    plan = schedule(spec)
    return f"{plan.stage.name}/goals" if plan is not None else ""


def by_users(spec: Spec, stage_name: str) -> bool:
    """True when a stage's `minSamples` counts users of goals and not requests."""
    plan = schedule(spec)
    return plan is not None and plan.stage.name == stage_name


def _judging(spec: Spec, status: Status, plan: Schedule) -> bool:
    """In the stage of the goals, at its verified split."""
    there = run.position(status) is Phase.PROGRESSING and status.stage == plan.stage.name
    return there and status.step is not None and status.step.done and bool(spec.goals)


def _judged_goals(spec: Spec, status: Status) -> list[tuple[Goal, GoalRecord]]:
    """Each goal with its record while the stage of the goals runs; nothing at other times."""
    plan = schedule(spec)
    if plan is None or not _judging(spec, status, plan):
        return []
    return [(goal, _record(spec, status, goal)) for goal in spec.goals]


def _block(plan: Schedule, status: Status) -> int:
    return math.floor(status.stage_seconds / plan.block + 1e-9)


def _record(spec: Spec, status: Status, goal: Goal) -> GoalRecord:
    text = status.checkpoint.get(key_of(goal), "")
    plan = schedule(spec)
    weekdays = plan is not None and plan.stage.duration.seconds >= _WEEK
    return goal_record.decode(spec, goal, text) or goal_record.fresh(spec, goal, weekdays=weekdays)


def _records(spec: Spec, status: Status) -> dict[str, GoalRecord]:
    return {goal.name: _record(spec, status, goal) for goal in spec.goals}


def _promotes(goal: Goal, record: GoalRecord) -> bool:
    return bool(record.verdict) and rule_of(goal).promotes(GoalVerdict(record.verdict))


def _with_block(plan: Schedule, status: Status, record: GoalRecord, reading: GoalReading) -> GoalRecord:
    """The record after a reading: what came since the last one is a block of its own."""
    block = _block(plan, status)
    if block <= record.block:
        return record
    record = msgspec.structs.replace(record, block=block)
    if record.began is None:
        began = status.stage_seconds, reading.control.count, reading.canary.count
        sums = reading.control, reading.canary
        return msgspec.structs.replace(record, began=began, control=sums[0], canary=sums[1], looked=sums)
    try:
        control, canary = _since(reading.control, record.control), _since(reading.canary, record.canary)
    except ValueError:
        # Users' values changed afterwards, or left the window: these are no sums of new users.
        return msgspec.structs.replace(
            record, skipped=record.skipped + 1, control=reading.control, canary=reading.canary
        )
    if min(control.count, canary.count) < 2:  # noqa: PLR2004 - too few for a mean: they count in the next block
        return record
    blocks = record.blocks.add(canary.mean - control.mean)
    weekdays = record.weekdays
    if weekdays:
        today = datetime.fromtimestamp(reading.at, UTC).weekday()
        old, new = weekdays[today]
        weekdays = (*weekdays[:today], (old + control, new + canary), *weekdays[today + 1 :])
    return msgspec.structs.replace(
        record, blocks=blocks, weekdays=weekdays, control=reading.control, canary=reading.canary
    )


def _since(now: Moments, before: Moments) -> Moments:
    return Moments(now.count - before.count, now.total - before.total, now.squares - before.squares)


def _looked(
    spec: Spec, plan: Schedule, status: Status, goal: Goal, record: GoalRecord, reading: GoalReading
) -> tuple[GoalRecord, GoalStatus | str]:
    """The record after the look that is due, if one is, and what it came to; or why there was none."""
    look = plan.reached(status.stage_seconds)
    fewest = min(reading.control.count, reading.canary.count)
    if look == plan.looks and fewest < (plan.stage.min_samples or 0):
        look -= 1
    comparison = welch(reading.control, reading.canary)
    if not look or plan.fraction(look) <= max(record.fractions, default=0.0):
        return record, ""
    if fewest < _LEAST_USERS or comparison is None:
        return record, f"{wording.count(int(fewest))} users of a variant, or values that are all alike, are not judged"
    if record.looked == (reading.control, reading.canary):
        return record, "the sums have not changed since the last look: are they still computed?"
    before = max(record.information, default=0.0) * _GROWTH
    if comparison.information < before and look < plan.looks:
        return record, ""
    # All users may have been there at the look before; the last look is taken all the same.
    information = (*record.information, max(comparison.information, before))
    fractions = (*record.fractions, plan.fraction(look))
    verdict, shown = _judged(spec, plan, goal, comparison, (fractions, information))
    record = msgspec.structs.replace(
        record,
        fractions=fractions,
        information=information,
        statistics=(*record.statistics, comparison.z),
        verdict=str(verdict),
        looked=(reading.control, reading.canary),
    )
    return record, shown


def _judged(
    spec: Spec,
    plan: Schedule,
    goal: Goal,
    comparison: Comparison,
    taken: tuple[tuple[float, ...], tuple[float, ...]],
) -> tuple[GoalVerdict, GoalStatus]:
    """The verdict of the look that was taken last, of (fractions, information) at all looks taken."""
    fractions, information = taken
    alpha = rollback_alpha(spec, len(spec.services) * len(guardrail_names(spec)))
    critical = bounds(fractions, spec.analysis.alpha, information=information)[-1]
    rollback = bounds(fractions, alpha, information=information, sides=1)[-1]
    judgement = judge_goal(rule_of(goal), comparison, critical, rollback)
    look = round(fractions[-1] * plan.looks)
    return judgement.verdict, goal_wording.judged(goal, plan, comparison, judgement, Look(look, critical))


def _with_claims(spec: Spec, status: Status) -> Status:
    """p-values that hold at every look, adjusted over the goals (Holm): what may be claimed of several at once."""
    records = _records(spec, status)
    raw = {
        name: repeated_p_value(record.statistics, record.fractions, record.information)
        for name, record in records.items()
        if record.statistics
    }
    adjusted = dict(zip(raw, holm(list(raw.values())), strict=True))
    goals = tuple(
        msgspec.structs.replace(each, p=goal_wording.p_value(adjusted[each.name])) if each.name in adjusted else each
        for each in status.goals
    )
    return msgspec.structs.replace(status, goals=goals)


def _summary(status: Status, goal: Goal) -> str:
    return next((each.summary for each in status.goals if each.name == goal.name), "not measured yet")


def _notes(status: Status) -> str:
    notes = [f"{each.name}: {each.note}" for each in status.goals if each.note]
    return f": {'; '.join(notes)}" if notes else ""
