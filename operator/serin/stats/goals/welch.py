"""Two variants compared on their users: Welch's t-test (Welch 1947) from counts, sums and sums of squares.

Equal variances are not assumed, for a new version often changes the spread too. The relative difference gets Fieller's
interval (Fieller 1954), which stays right when control's mean is near zero, where the delta method is not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from serin.stats.goals.distributions import t_below, t_of, z_of_t

if TYPE_CHECKING:
    from serin.stats.goals.moments import Moments

_LEAST = 2
"""Users of each variant below which there is no variance."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The canary's mean minus control's, and how sure that is.

    Attributes:
        control: control's users. canary: the canary's.
        difference: mean of the canary minus mean of control, in the goal's unit.
        error: standard error of the difference, > 0.
        df: Welch-Satterthwaite degrees of freedom.
        p: two-sided p-value of "no difference", valid for one look that was planned.
        cohen_d: difference in pooled standard deviations of users (Cohen 1988).
    """

    control: Moments
    canary: Moments
    difference: float
    error: float
    df: float
    p: float
    cohen_d: float

    @property
    def statistic(self) -> float:
        """The difference in standard errors."""
        return self.difference / self.error

    @property
    def z(self) -> float:
        """The normal z that is as improbable as `statistic`: what bounds are compared with."""
        return z_of_t(self.statistic, self.df)

    @property
    def information(self) -> float:
        """1 / error^2: what looks are spaced in."""
        return 1 / self.error**2

    @property
    def relative(self) -> float:
        """The difference as a part of control's mean; nan when that is 0."""
        return self.difference / abs(self.control.mean) if self.control.mean else math.nan

    def interval(self, critical: float) -> tuple[float, float]:
        """The difference plus and minus `critical` standard errors, in the goal's unit."""
        return self.difference - critical * self.error, self.difference + critical * self.error

    def confidence(self, level: float = 0.95) -> tuple[float, float]:
        """The interval of a single look at a confidence level in (0, 1)."""
        return self.interval(t_of((1 + level) / 2, self.df))

    def relative_interval(self, critical: float) -> tuple[float, float] | None:
        """Fieller's interval of `relative`, shares of 1; None where control's mean can't be told from 0.

        Args:
            critical: standard errors, as for `interval`.
        """
        mean, other = self.control.mean, self.canary.mean
        own = critical**2 * self.control.variance / self.control.count
        theirs = critical**2 * self.canary.variance / self.canary.count
        scale = mean**2 - own
        if scale <= 0:
            return None
        root = math.sqrt(max(0.0, (mean * other) ** 2 - scale * (other**2 - theirs)))
        ends = sorted(math.copysign(1, mean) * ((mean * other + sign * root) / scale - 1) for sign in (-1, 1))
        return ends[0], ends[1]


def welch(control: Moments, canary: Moments) -> Comparison | None:
    """Welch's test.

    Args:
        control: control's users.
        canary: the canary's users.

    Returns:
        The comparison; None when there is nothing to compare: fewer than two users of a variant, or values that do
        not vary at all (what never varied in the sample may do so in the next one, so no test is valid).
    """
    if min(control.count, canary.count) < _LEAST:
        return None
    parts = control.variance / control.count, canary.variance / canary.count
    variance = parts[0] + parts[1]
    if not variance > 0:
        return None
    df = variance**2 / (parts[0] ** 2 / (control.count - 1) + parts[1] ** 2 / (canary.count - 1))
    difference, error = canary.mean - control.mean, math.sqrt(variance)
    pooled = (control.count - 1) * control.variance + (canary.count - 1) * canary.variance
    spread = math.sqrt(pooled / (control.count + canary.count - 2))
    return Comparison(
        control=control,
        canary=canary,
        difference=difference,
        error=error,
        df=df,
        p=min(1.0, 2 * t_below(-abs(difference / error), df)),
        cohen_d=difference / spread,
    )
