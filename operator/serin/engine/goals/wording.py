"""Goals as people read them: one line each, with no more digits than are known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from serin.api.status import GoalStatus
from serin.engine import wording
from serin.engine.goals.schedule import rule_of
from serin.stats.goals import GoalVerdict, cohen_h, common_language, reweighted, segments, users_that_decide

if TYPE_CHECKING:
    from serin.api.spec import Goal
    from serin.engine.goals.record import GoalRecord
    from serin.engine.goals.schedule import Schedule
    from serin.engine.observation import GoalReading
    from serin.stats.goals import Comparison, GoalJudgement, Moments

_SEGMENTS: Final = 4
_NAME: Final = 40
"""Characters of a segment's name: a label's value can have any length."""
_THOUSAND: Final = 1000
_LEAST_P: Final = 0.0001


def number(value: float, digits: int = 3) -> str:
    """`3.52`, `0.021`, `12,300`: so many significant digits."""
    if not math.isfinite(value):
        return "unknown"
    if abs(value) < _THOUSAND:
        return f"{value:.{digits}g}"
    places = digits - 1 - math.floor(math.log10(abs(value)))
    return f"{round(value, places):,.0f}"


def signed(value: float, digits: int = 2) -> str:
    """A difference with its sign: `+0.12`."""
    return f"{'+' if value >= 0 else ''}{number(value, digits)}"


def interval(low: float, high: float) -> str:
    """`[0.02, 0.2]`."""
    return f"[{number(low, 2)}, {number(high, 2)}]"


def p_value(p: float) -> str:
    """`0.003`, `below 0.0001`."""
    return f"below {_LEAST_P:.4f}" if p < _LEAST_P else f"{min(p, 1.0):.2g}"


@dataclass(frozen=True, slots=True)
class Look:
    """A look at a goal: the how manieth of those planned, from 1, and its critical z."""

    index: int
    critical: float


def judged(goal: Goal, plan: Schedule, comparison: Comparison, judgement: GoalJudgement, look: Look) -> GoalStatus:
    """What a look came to."""
    relative = comparison.relative_interval(look.critical)
    share = ""
    if relative is not None and math.isfinite(comparison.relative):
        low, high = (number(100 * end, 2) for end in relative)
        share = f"{signed(100 * comparison.relative)}% [{low}, {high}]"
    control, canary = comparison.control, comparison.canary
    higher = common_language(control.mean, control.variance, canary.mean, canary.variance)
    sizes = f"d {signed(comparison.cohen_d)} (users){_share_effect(control, canary)}"
    effect = f"{sizes}; a canary user is higher with probability {number(higher, 2)}"
    return GoalStatus(
        name=goal.name,
        verdict=str(judgement.verdict),
        summary=_summary(goal, plan, comparison, judgement, look),
        difference=f"{signed(comparison.difference)} {interval(judgement.low, judgement.high)}",
        relative=share,
        effect=effect,
        looks=f"{look.index} of {plan.looks}",
    )


def _share_effect(control: Moments, canary: Moments) -> str:
    """Cohen's h of a goal that is a share: its users' values are 0 or 1, so their squares are themselves."""
    if any(each.total != each.squares or not 0 <= each.mean <= 1 for each in (control, canary)):
        return ""
    return f", h {signed(cohen_h(control.mean, canary.mean))}"


def shown(plan: Schedule, record: GoalRecord, reading: GoalReading, before: GoalStatus, note: str) -> GoalStatus:
    """The status of a goal after a reading; between two looks the verdict and its numbers stay those of the last."""
    status = msgspec.structs.replace(
        before,
        control=number(reading.control.mean),
        canary=number(reading.canary.mean),
        control_users=int(reading.control.count),
        canary_users=int(reading.canary.count),
        cross_check=_cross_check(record),
        segments=_segments(reading),
        note=note,
    )
    if record.verdict:
        return status
    text = f"{_values(reading.control, reading.canary)}; the first of {plan.looks} looks is not taken yet"
    return msgspec.structs.replace(status, summary=text)


def _values(control: Moments, canary: Moments) -> str:
    """Means and users of both variants."""
    return (
        f"canary {number(canary.mean)} ({wording.count(int(canary.count))} users),"
        f" control {number(control.mean)} ({wording.count(int(control.count))})"
    )


def _summary(goal: Goal, plan: Schedule, comparison: Comparison, judgement: GoalJudgement, look: Look) -> str:
    rule = rule_of(goal)
    asked = "at least" if rule.superior else "margin"
    text = (
        f"{_values(comparison.control, comparison.canary)}: {signed(comparison.difference)}"
        f" {interval(judgement.low, judgement.high)}, {asked} {number(goal.minimum_effect)}"
        f"; look {look.index} of {plan.looks}"
    )
    settled = rule.promotes(judgement.verdict) or judgement.verdict is GoalVerdict.INFERIOR
    if settled or look.index < plan.looks:
        return text
    found = users_that_decide(rule, comparison, look.critical)
    if found is not None and found[0] == judgement.verdict:
        return f"{text}; proven to be no worse, but not to be better by as much"
    if found is None:
        return f"{text}; at this difference no number of users would decide"
    verdict, users = found
    return f"{text}; {number(users, 2)} users of each variant would decide ({verdict}) if the difference stays"


def _cross_check(record: GoalRecord) -> str:
    """The paired blocks, and the weekdays evened out: where they differ from the difference, look closer."""
    parts = []
    blocks = record.blocks.test()
    if blocks is not None:
        low, high = blocks.confidence()
        parts.append(f"{blocks.blocks} blocks of time: {signed(blocks.difference)} {interval(low, high)}")
    if record.weekdays:
        week = reweighted([old for old, _ in record.weekdays], [new for _, new in record.weekdays])
        if week is not None:
            low, high = week[0] - 1.96 * week[1], week[0] + 1.96 * week[1]
            parts.append(f"weekdays evened out: {signed(week[0])} {interval(low, high)}")
    if record.skipped:
        parts.append(f"{record.skipped} blocks left out, since users' values changed afterwards")
    return "; ".join(parts)


def _segments(reading: GoalReading) -> str:
    """Segments are explored: their intervals are of one look, and nothing is decided by them."""
    parts = []
    for each in segments(reading.segments)[:_SEGMENTS]:
        if each.comparison is None or each.adjusted is None:
            parts.append(f"{each.name[:_NAME]} too few users")
            continue
        low, high = each.comparison.confidence()
        text = f"{each.name[:_NAME]} {signed(each.comparison.difference)} {interval(low, high)}"
        parts.append(f"{text} p {p_value(each.adjusted)}")
    more = len(reading.segments) - _SEGMENTS
    parts += [f"{more} more"] if more > 0 else []
    return f"exploratory: {'; '.join(parts)}" if parts else ""
