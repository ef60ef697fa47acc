"""What a comparison means for the rollout: one of four words, and how many users would settle an open question.

The interval decides, never the p-value alone: a loss that is smaller than what matters is no reason to roll back,
however sure it is, and a gain that is smaller than what matters is no reason to go on.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from serin.stats.goals.distributions import t_of_z, z_of

if TYPE_CHECKING:
    from serin.stats.goals.welch import Comparison


class GoalVerdict(enum.StrEnum):
    """The answer of one goal at one look."""

    SUPERIOR = "Superior"
    """Proven to be better, and by the smallest effect that matters or more."""
    NON_INFERIOR = "NonInferior"
    """Proven to be no worse than the smallest effect that matters."""
    INFERIOR = "Inferior"
    """Proven to be worse, and by the smallest effect that matters or more: the mirror image of Superior. Rolls back."""
    INCONCLUSIVE = "Inconclusive"
    """None of these yet. At the last look a person decides."""


@dataclass(frozen=True, slots=True)
class GoalRule:
    """What is asked.

    Args:
        minimum_effect: the smallest change that matters, >= 0, in the goal's unit: the margin of non-inferiority, and
            the least estimate that is called superior or inferior.
        increase: True when more is better.
        superior: True when only a proven gain promotes; False when a proven absence of loss does.

    Raises:
        ValueError: a negative minimum effect.
    """

    minimum_effect: float
    increase: bool = True
    superior: bool = False

    def __post_init__(self) -> None:
        """Refuse a margin on the wrong side."""
        if not self.minimum_effect >= 0:
            raise ValueError("minimumEffect is the size of a change: write 0 or more, direction says which way")

    def promotes(self, verdict: GoalVerdict) -> bool:
        """True when the verdict is what this goal asks for."""
        return verdict is GoalVerdict.SUPERIOR or (verdict is GoalVerdict.NON_INFERIOR and not self.superior)


@dataclass(frozen=True, slots=True)
class GoalJudgement:
    """A verdict and what it was made of. `low` and `high` are of the difference, in the goal's unit."""

    verdict: GoalVerdict
    low: float
    high: float


def judge_goal(rule: GoalRule, comparison: Comparison, critical: float, rollback: float) -> GoalJudgement:
    """The verdict of one look.

    Args:
        rule: what is asked.
        comparison: what was measured.
        critical: normal z of this look for superiority, non-inferiority and the interval (`bounds`, two-sided).
        rollback: normal z of this look for Inferior (`bounds`, one-sided, at the goal's part of the alpha that may
            roll a healthy canary back). inf: nothing rolls back.

    Both are turned into t with the comparison's own degrees of freedom, at the same significance (Jennison and
    Turnbull 2000, 4.4).
    """
    low, high = comparison.interval(_t(critical, comparison.df))
    gain, floor = (comparison.difference, low) if rule.increase else (-comparison.difference, -high)
    tolerated = rule.minimum_effect > 0 and floor > -rule.minimum_effect
    if floor > 0 and gain >= rule.minimum_effect:
        verdict = GoalVerdict.SUPERIOR
    elif tolerated or floor > 0:
        verdict = GoalVerdict.NON_INFERIOR
    elif gain <= -rule.minimum_effect and gain / comparison.error <= -_t(rollback, comparison.df):
        verdict = GoalVerdict.INFERIOR
    else:
        verdict = GoalVerdict.INCONCLUSIVE
    return GoalJudgement(verdict, low, high)


def users_that_decide(
    rule: GoalRule, comparison: Comparison, critical: float, power: float = 0.8
) -> tuple[GoalVerdict, int] | None:
    """What more users would most likely prove, and how many of control it takes (the canary in the same ratio).

    It assumes that the difference stays what it is now; a proof of the verdict that was asked for comes first.

    Args:
        rule: what is asked.
        comparison: what was measured.
        critical: normal z of a last look.
        power: the probability to decide at that look.

    Returns:
        (verdict, users of control); None when the difference lies exactly on the line.
    """
    gain = comparison.difference if rule.increase else -comparison.difference
    target, distance = _nearest(rule, gain)
    if not distance > 0:
        return None
    # The error shrinks with the root of the users: scale today's to the one that is needed.
    needed = (critical + z_of(power)) * comparison.error / distance
    return target, math.ceil(comparison.control.count * max(1.0, needed**2))


def _nearest(rule: GoalRule, gain: float) -> tuple[GoalVerdict, float]:
    """The verdict that the difference points to, and how far it is from the line of its test."""
    if rule.superior and gain >= rule.minimum_effect and gain > 0:
        return GoalVerdict.SUPERIOR, gain
    if gain > -rule.minimum_effect:
        # Where a gain is asked for that is too small, more users would only prove that.
        return GoalVerdict.NON_INFERIOR, gain + rule.minimum_effect
    return GoalVerdict.INFERIOR, -gain


def _t(z: float, df: float) -> float:
    return z if math.isinf(z) else t_of_z(z, df)
