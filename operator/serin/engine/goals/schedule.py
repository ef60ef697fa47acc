"""When goals are looked at, and what is wrong with the goals of a spec: both are known before the start.

The looks are planned as fractions of a stage, in measured time. An outage makes the stage longer and moves the looks;
it uses none of them up.
"""

import math
from dataclasses import dataclass
from typing import Final

from serin.api.spec import Goal, Spec, Stage
from serin.engine.observation import Problem
from serin.stats.goals import GoalRule

_DAY: Final = 86_400.0
_DAYS: Final = 2
"""A stage of so many days has a look a day; a shorter one a few looks."""
_SHORT_LOOKS: Final = 5
_LEAST: Final = 60.0
"""Seconds between two looks at least: services compute their sums over users about once a minute."""
_BLOCKS: Final = 48
_LONGEST_BLOCK: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """The planned looks of the stage in which goals are judged.

    Args:
        stage: that stage.
        looks: how many, the last one at its end.
        block: seconds between two readings, for the blocks of the cross-check and for what status shows.
    """

    stage: Stage
    looks: int
    block: float

    def reached(self, seconds: float) -> int:
        """How many looks are due after so much measured time in the stage."""
        return min(self.looks, math.floor(seconds / self.stage.duration.seconds * self.looks + 1e-9))

    def fraction(self, look: int) -> float:
        """The part of the stage at a look, counted from 1."""
        return look / self.looks

    @property
    def fractions(self) -> tuple[float, ...]:
        """All planned looks; shape (looks,), the last one 1."""
        return tuple(self.fraction(look) for look in range(1, self.looks + 1))

    def next_look(self, seconds: float) -> float:
        """Seconds of measured time until the next look; 0 when the last one is due."""
        return max(0.0, (self.reached(seconds) + 1) * self.stage.duration.seconds / self.looks - seconds) * (
            self.reached(seconds) < self.looks
        )


def judged_stage(spec: Spec) -> Stage | None:
    """The stage in which goals are judged: the one with `minSamples`, else the last one in which control serves too."""
    both = [stage for stage in spec.stages if 0 < stage.weight < 100]  # noqa: PLR2004 - percent
    sampled = [stage for stage in both if stage.min_samples is not None]
    return next(iter((sampled or both)[::-1]), None)


def schedule(spec: Spec) -> Schedule | None:
    """The looks at the goals of a spec; None when it has no goals, or no stage to judge them in."""
    stage = judged_stage(spec)
    if not spec.goals or stage is None:
        return None
    seconds, interval = stage.duration.seconds, spec.analysis.interval.seconds
    wanted = round(seconds / _DAY) if seconds >= _DAYS * _DAY else _SHORT_LOOKS
    looks = max(1, min(wanted, math.floor(seconds / max(_LEAST, interval))))
    block = min(max(seconds / _BLOCKS, interval, _LEAST), _LONGEST_BLOCK, max(seconds / looks, interval))
    return Schedule(stage, looks, block)


def rule_of(goal: Goal) -> GoalRule:
    """The question of a goal, as the statistics take it."""
    return GoalRule(goal.minimum_effect, increase=goal.direction == "Increase", superior=goal.promote_on == "Superior")


def rollback_alpha(spec: Spec, guardrails: int) -> float:
    """The one-sided level at which one goal may roll a healthy canary back.

    The experiment's alpha is split over everything that can: `guardrails` (of all services together) and goals.
    """
    return spec.analysis.alpha / (guardrails + len(spec.goals))


def goal_problems(spec: Spec) -> tuple[Problem, ...]:
    """What is wrong with the goals of a spec, each with what to write instead."""
    found = [problem for goal in spec.goals for problem in _problems_of(spec, goal)]
    if spec.goals and judged_stage(spec) is None:
        text = "goals compare control with the canary at the same time, but every stage has weight 100"
        found.append(Problem("NoStageForGoals", f"{text}: add a stage like {{name: ab, weight: 50, duration: 13d}}"))
    return tuple(found)


def _problems_of(spec: Spec, goal: Goal) -> list[Problem]:
    found = []
    if goal.minimum_effect < 0:
        text = f"goal {goal.name}: minimumEffect is {goal.minimum_effect:g}: write its size, 0 or more"
        found.append(Problem("InvalidGoal", f"{text}; direction says which way is better"))
    if goal.promote_on == "NonInferior" and not goal.minimum_effect:
        text = f"goal {goal.name}: promoteOn NonInferior needs minimumEffect, the loss that does not matter yet"
        found.append(Problem("InvalidGoal", f"{text}, like 0.1; or write promoteOn: Superior"))
    given = [name for name in ("count", "sum", "sum_of_squares") if getattr(goal, name)]
    if given and len(given) != 3:  # noqa: PLR2004 - all of them
        text = f"goal {goal.name}: write count, sum and sumOfSquares, or none of them"
        found.append(Problem("InvalidGoal", f"{text} for the series serin_goal_users, _sum and _sum_of_squares"))
    names = [service.name for service in spec.services]
    if goal.service is not None and goal.service not in names:
        text = f"goal {goal.name}: service is {goal.service}, but the experiment has {', '.join(names)}"
        found.append(Problem("InvalidGoal", f"{text}: write one of these"))
    if goal.service is None and not given and len(names) > 1:
        text = f"goal {goal.name}: several services, and no queries: write service, one of {', '.join(names)}"
        found.append(Problem("InvalidGoal", text))
    return found
