"""Effect sizes that people ask for. They are reported, and none of them decides anything."""

from __future__ import annotations

import math
from dataclasses import dataclass

from serin.stats.goals.distributions import normal_below, z_of


@dataclass(frozen=True, slots=True)
class RiskDifference:
    """A difference of two shares, each a part of 1.

    Attributes:
        difference: the canary's share minus control's.
        low: lower end of the interval. high: upper end.
    """

    difference: float
    low: float
    high: float


def cohen_h(control: float, canary: float) -> float:
    """Cohen's h of two shares (Cohen 1988): 2 asin(sqrt(canary)) - 2 asin(sqrt(control)).

    The same h is about as hard to find wherever the shares lie: 0.2 is small, 0.5 medium, 0.8 large.

    Raises:
        ValueError: a share is not between 0 and 1.
    """
    if not (0 <= control <= 1 and 0 <= canary <= 1):
        raise ValueError("Cohen's h needs two shares between 0 and 1")
    return 2 * math.asin(math.sqrt(canary)) - 2 * math.asin(math.sqrt(control))


def risk_difference(
    control_bad: int, control_total: int, canary_bad: int, canary_total: int, level: float = 0.95
) -> RiskDifference:
    """The difference of two shares with Newcombe's interval (Newcombe 1998, method 10, of Wilson's intervals).

    Unlike the textbook interval it stays right for shares near 0, which is where error rates are.

    Args:
        control_bad: control's bad requests.
        control_total: all of control's requests, > 0.
        canary_bad: the canary's bad requests.
        canary_total: all of the canary's requests, > 0.
        level: confidence in (0, 1), of a single look.

    Raises:
        ValueError: counts that contradict each other.
    """
    for bad, total in ((control_bad, control_total), (canary_bad, canary_total)):
        if not 0 <= bad <= total or not total:
            raise ValueError("a risk difference needs 0 <= bad <= total and total > 0 of both variants")
    z = z_of((1 + level) / 2)
    old, new = control_bad / control_total, canary_bad / canary_total
    old_low, old_high = _wilson(control_bad, control_total, z)
    new_low, new_high = _wilson(canary_bad, canary_total, z)
    difference = new - old
    low = difference - math.hypot(new - new_low, old_high - old)
    high = difference + math.hypot(new_high - new, old - old_low)
    return RiskDifference(difference, low, high)


def common_language(control_mean: float, control_variance: float, canary_mean: float, canary_variance: float) -> float:
    """The chance that a canary user's value is higher than a control user's (McGraw and Wong 1992), normal values.

    Returns:
        A probability; 0.5 is no difference. nan without any variance.
    """
    spread = math.sqrt(control_variance + canary_variance)
    return normal_below((canary_mean - control_mean) / spread) if spread else math.nan


def _wilson(bad: int, total: int, z: float) -> tuple[float, float]:
    """Wilson's interval of a share (Wilson 1927)."""
    share = bad / total
    middle = (share + z**2 / (2 * total)) / (1 + z**2 / total)
    reach = z / (1 + z**2 / total) * math.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    return middle - reach, middle + reach
