"""A stage that is not whole weeks has too much of some weekdays: here each weekday gets its due again.

Post-stratification (Holt and Smith 1979): the difference within each weekday, averaged with the weekdays' shares of a
whole week. It takes out that users of a Sunday differ from those of a Monday, and costs a little precision.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from serin.stats.goals.distributions import t_below
from serin.stats.goals.welch import welch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serin.stats.goals.moments import Moments

DAYS = 7


def reweighted(
    control: Sequence[Moments], canary: Sequence[Moments], shares: Sequence[float] | None = None
) -> tuple[float, float, float, float] | None:
    """The difference of means in a whole week.

    Args:
        control: control's users by weekday, shape (7,), Monday first.
        canary: the canary's, likewise.
        shares: each weekday's share of a usual week's users, shape (7,), >= 0, of any sum; None: all alike.

    Returns:
        (difference, standard error, df by Satterthwaite, two-sided p), in the goal's unit. Weekdays without two users
        of both variants are left out and their share goes to the others; None when no weekday is left.

    Raises:
        ValueError: not seven weekdays, or shares that are negative or all 0.
    """
    weights = [1.0] * DAYS if shares is None else [float(share) for share in shares]
    if not len(control) == len(canary) == len(weights) == DAYS:
        raise ValueError("weekdays come in seven, Monday first")
    if min(weights) < 0 or not sum(weights) > 0:
        raise ValueError("shares of weekdays must be 0 or more, and not all 0")
    compared = [
        (weight, each)
        for weight, old, new in zip(weights, control, canary, strict=True)
        if weight and (each := welch(old, new)) is not None
    ]
    if not compared:
        return None
    whole = sum(weight for weight, _ in compared)
    difference = sum(weight / whole * each.difference for weight, each in compared)
    parts = [((weight / whole * each.error) ** 2, each.df) for weight, each in compared]
    variance = sum(part for part, _ in parts)
    df = variance**2 / sum(part**2 / own for part, own in parts)
    error = math.sqrt(variance)
    return difference, error, df, min(1.0, 2 * t_below(-abs(difference / error), df))
