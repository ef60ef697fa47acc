"""What is known of one variant: how many users, the sum of their values, and the sum of the squares.

These three add up over pods, days and segments, and they are all that a t-test needs. No user's own value ever leaves
the service.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

_ROUNDING = 1e-9
"""Relative error that a sum of squares may have by rounding, before it is called impossible."""
_RESOLVED = 1e-10
"""A variance below this part of the mean square is lost in the rounding of sums."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Users of one variant.

    Args:
        count: number of users, >= 0 (a whole number, kept as a float since Prometheus gives floats).
        total: sum of their values, in the goal's unit.
        squares: sum of the squares of their values, in the unit squared.

    Raises:
        ValueError: what no set of users can have: a negative or fractional count, a sum of squares below the square
            of the sum divided by the count, or something that is not a number.
    """

    count: float
    total: float
    squares: float

    def __post_init__(self) -> None:
        """Refuse what nobody can have measured."""
        if not all(math.isfinite(value) for value in (self.count, self.total, self.squares)):
            raise ValueError("count, sum and sumOfSquares must be numbers")
        if self.count < 0 or self.count != round(self.count):
            raise ValueError(f"count is {self.count:g}: it must be a whole number of users")
        least = self.total**2 / self.count if self.count else 0.0
        if self.squares < least * (1 - _ROUNDING) or (not self.count and (self.total or self.squares)):
            raise ValueError(
                f"sumOfSquares is {self.squares:g}, but {self.count:g} users with the sum {self.total:g} have"
                f" {least:g} at least: the three must be of the same users and the same values"
            )

    def __add__(self, other: Moments) -> Moments:
        """The users of both, if nobody is in both."""
        return Moments(self.count + other.count, self.total + other.total, self.squares + other.squares)

    @property
    def mean(self) -> float:
        """Mean value; nan without users."""
        return self.total / self.count if self.count else math.nan

    @property
    def variance(self) -> float:
        """Unbiased variance over users; nan below two users, 0 where it is lost in the rounding of the sums."""
        if self.count < 2:  # noqa: PLR2004 - one user has no variance
            return math.nan
        rest = self.squares - self.total**2 / self.count
        return rest / (self.count - 1) if rest > _RESOLVED * self.squares else 0.0
