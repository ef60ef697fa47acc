"""What a stage can find out about goals: users needed, days needed, and the smallest effect."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from serin.engine.goals.schedule import schedule
from serin.stats.goals import days_needed, inflation, sample_size, smallest_effect

if TYPE_CHECKING:
    from serin.api.spec import Goal, Spec
    from serin.cli.plan_figures import GoalFigures

_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class GoalPlan:
    """One goal. Users are those of one variant, of the smaller one where they differ.

    Attributes:
        name: of the goal.
        asks: what it asks for, in words.
        need: users that prove it with the power that was asked for; None when the spread or the effect is not known.
        stage_users: users that the stage brings in its planned duration; None when the traffic is not known.
        days: whole days until `need`, or until minSamples where that is more; None likewise, inf without users.
        stage_days: days that the stage is planned for.
        smallest: the smallest effect that the stage finds, in the goal's unit; None without the spread.
        smallest_sd: the same in standard deviations of users; None without the traffic.
        min_samples: `minSamples` of the stage.
    """

    name: str
    asks: str
    need: int | None
    stage_users: int | None
    days: float | None
    stage_days: float
    smallest: float | None
    smallest_sd: float | None
    min_samples: int | None


def plan_goal(spec: Spec, goal: Goal, figures: GoalFigures, power: float) -> GoalPlan:
    """The plan of one goal.

    Args:
        spec: the experiment; it has a stage to judge goals in.
        goal: one of its goals.
        figures: its users, as far as they are known.
        power: the probability to prove what is there.
    """
    plan = schedule(spec)
    assert plan is not None
    share = plan.stage.weight / 100
    ratio, smaller = share / (1 - share), min(share, 1 - share)
    alpha, stage_days = spec.analysis.alpha, plan.stage.duration.seconds / _DAY
    more = inflation(plan.fractions, alpha, power)
    need = None
    if figures.sd and goal.minimum_effect:
        # Of control; the canary has `ratio` times as many. What is told is the smaller of the two.
        control = sample_size(goal.minimum_effect / figures.sd, alpha, power, ratio) * more
        need = math.ceil(control * min(1.0, ratio) - 1e-9)
    daily = figures.users_per_day * smaller if figures.users_per_day is not None else None
    users = math.floor(daily * stage_days) if daily is not None else None
    target = max(need or 0, plan.stage.min_samples or 0)
    # Where minSamples makes the stage longer, its end is what counts.
    reached = max(users or 0, plan.stage.min_samples or 0) if users is not None else plan.stage.min_samples
    effect = smallest_effect(reached / min(1.0, ratio) / more, alpha, power, ratio) if reached else None
    margin = f"{goal.minimum_effect:g}"
    asks = f"loss below {margin}" if goal.promote_on == "NonInferior" else f"gain of {margin} or more"
    return GoalPlan(
        name=goal.name,
        asks=asks,
        need=need,
        stage_users=users,
        days=days_needed(target, daily) if daily is not None and target else None,
        stage_days=stage_days,
        smallest=effect * figures.sd if effect is not None and figures.sd else None,
        smallest_sd=effect,
        min_samples=plan.stage.min_samples,
    )


def warnings_of(goal: Goal, plan: GoalPlan, figures: GoalFigures) -> list[str]:
    """Where the plan can't answer the goal's question, each with what to change."""
    found = []
    if plan.days is None and plan.need is None and figures.users_per_day is None:
        found.append(f"{goal.name}: users a day are not known: give --users-per-day")
    if figures.sd is None:
        found.append(f"{goal.name}: the spread of its values is not known: give --sd {goal.name}=...")
    if plan.need is not None and plan.min_samples is not None and plan.need > plan.min_samples:
        text = f"{goal.name}: needs {plan.need:,} users of each variant, but minSamples is {plan.min_samples:,}"
        found.append(f"{text}: the last look may be inconclusive; write minSamples: {plan.need}")
    if plan.days is not None and plan.days > plan.stage_days:
        reached = f", which brings {plan.stage_users:,} users" if plan.stage_users is not None else ""
        text = f"{goal.name}: needs {_days(plan.days)}, the stage has {plan.stage_days:g}{reached}"
        found.append(f"{text}: make it longer, or find more users")
    if goal.promote_on == "Superior" and goal.minimum_effect:
        text = f"{goal.name}: a gain of exactly {goal.minimum_effect:g} is called superior in half of the cases only"
        found.append(f"{text}: expect more than minimumEffect")
    return found


def _days(days: float) -> str:
    return "more users than there are" if math.isinf(days) else f"{days:g} days"
