"""How many users a goal needs, and what a stage can find: asked before the start, when it can still be changed.

The reference case: 3,500 users of each variant (14 days at 250 a day and variant) find a difference of 0.067 standard
deviations with 80 % power at a two-sided level of 5 %, or 0.0775 with 90 %.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from serin.stats.goals.distributions import normal_below, z_of
from serin.stats.goals.sequential import bounds, crossing

if TYPE_CHECKING:
    from collections.abc import Sequence


def sample_size(effect: float, alpha: float = 0.05, power: float = 0.8, ratio: float = 1.0) -> int:
    """Users that control needs for one look at the end; the canary needs `ratio` times as many.

    (1 + 1/k) (z_(1-alpha/2) + z_power)^2 / d^2, and Guenther's (1981) and Schouten's (1999) correction
    z_(1-alpha/2)^2 / (2 (1+k)) for the unknown variance.

    Args:
        effect: the difference to be found, in standard deviations of users; its sign does not matter. For
            non-inferiority the margin plus the difference that is expected.
        alpha: two-sided level in (0, 1). For non-inferiority half of it is used, on the one side.
        power: the probability to find it, in (alpha/2, 1).
        ratio: the canary's users divided by control's, > 0: 1 for 50/50, 1/19 for a canary of 5 %.

    Raises:
        ValueError: an effect of 0 needs infinitely many users; levels that are none.
    """
    z, level = _needed_z(alpha, power)
    if not (effect and math.isfinite(effect)) or not ratio > 0:
        raise ValueError("a sample size needs an effect other than 0 and a ratio above 0")
    exact = (1 + 1 / ratio) * (z / effect) ** 2 + level**2 / (2 * (1 + ratio))
    return math.ceil(exact - 1e-9)


def smallest_effect(users: float, alpha: float = 0.05, power: float = 0.8, ratio: float = 1.0) -> float:
    """The inverse of `sample_size`: what `users` of control (and `ratio` times as many of the canary) can find.

    Returns:
        Standard deviations of users, > 0; inf when there are too few to find anything.

    Raises:
        ValueError: levels that are none.
    """
    z, level = _needed_z(alpha, power)
    left = users - level**2 / (2 * (1 + ratio))
    return z * math.sqrt((1 + 1 / ratio) / left) if left > 0 else math.inf


def power_of(effect: float, users: float, alpha: float = 0.05, ratio: float = 1.0) -> float:
    """The probability to find `effect` (in its direction) with one look at the end.

    Args:
        effect: in standard deviations of users.
        users: users of control.
        alpha: two-sided level, as in `sample_size`.
        ratio: as in `sample_size`.
    """
    level = z_of(1 - alpha / 2)
    left = users - level**2 / (2 * (1 + ratio))
    return normal_below(abs(effect) * math.sqrt(left / (1 + 1 / ratio)) - level) if left > 0 else alpha / 2


def inflation(fractions: Sequence[float], alpha: float = 0.05, power: float = 0.8) -> float:
    """How many times the users of a single look a design with looks at `fractions` needs: 1.0 and a little.

    Args:
        fractions: of the stage at each look, ascending, the last one 1; shape (looks,).
        alpha: two-sided level over all looks.
        power: to be reached until the last look.

    Raises:
        ValueError: see `bounds`.
    """
    limits = bounds(fractions, alpha)
    single = z_of(1 - alpha / 2) + z_of(power)
    low, high = single, 2 * single
    while high - low > 1e-6:  # noqa: PLR2004 - in z
        middle = (low + high) / 2
        if float(crossing(limits, fractions, middle)[0].sum()) < power:
            low = middle
        else:
            high = middle
    return ((low + high) / 2 / single) ** 2


def days_needed(users: float, users_per_day: float) -> float:
    """Whole days until a variant has `users`, at so many new ones a day; inf without any.

    3,500 users at 250 a day are 14 days.
    """
    return math.ceil(users / users_per_day - 1e-9) if users_per_day > 0 else math.inf


def _needed_z(alpha: float, power: float) -> tuple[float, float]:
    if not 0 < alpha < 1 or not alpha / 2 < power < 1:
        raise ValueError("alpha must be between 0 and 1, and power between alpha/2 and 1")
    level = z_of(1 - alpha / 2)
    return level + z_of(power), level
