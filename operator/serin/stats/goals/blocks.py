"""A cross-check that knows the hour and the weekday: both variants compared within blocks of time.

In a block of 10 to 60 minutes both variants met the same hour, the same outage and the same advertising, and the
difference of their means is free of it. Differences of neighbouring blocks may be alike, so their variance is Newey and
West's (1987). The sums are kept as the blocks arrive: thirteen days need no more room than one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from serin.stats.goals.distributions import t_below, t_of

if TYPE_CHECKING:
    from collections.abc import Iterable

LAGS = 6
"""Neighbours that are remembered: enough for 600 blocks by the usual rule."""
_LEAST = 3
"""Blocks below which there is no test."""


@dataclass(frozen=True, slots=True)
class BlockTest:
    """A paired t-test over blocks.

    Attributes:
        blocks: how many.
        difference: mean of (canary - control), in the goal's unit, each block alike.
        error: its standard error, Newey-West.
        df: blocks - 1.
        p: two-sided.
        lags: neighbours taken into account.
    """

    blocks: int
    difference: float
    error: float
    df: int
    p: float
    lags: int

    def confidence(self, level: float = 0.95) -> tuple[float, float]:
        """The interval of the difference at a level in (0, 1)."""
        reach = t_of((1 + level) / 2, self.df) * self.error
        return self.difference - reach, self.difference + reach


@dataclass(frozen=True, slots=True)
class BlockSums:
    """What is remembered of all blocks so far. Numbers are relative to the first block's difference, `origin`.

    Attributes:
        count: blocks. origin: difference of the first one. total: sum. products: sums of d_b d_(b-lag) for lags 0 to
            LAGS. first, last: the first and the last LAGS differences, in their order.
    """

    count: int = 0
    origin: float = 0.0
    total: float = 0.0
    products: tuple[float, ...] = (0.0,) * (LAGS + 1)
    first: tuple[float, ...] = ()
    last: tuple[float, ...] = ()

    def add(self, difference: float) -> BlockSums:
        """The sums with one more block, the newest.

        Raises:
            ValueError: the difference is not a number.
        """
        if not math.isfinite(difference):
            raise ValueError("a block's difference must be a number: leave out a block without users of both variants")
        origin = difference if not self.count else self.origin
        here = difference - origin
        back = (here, *reversed(self.last))
        products = tuple(
            product + here * back[lag] if lag < len(back) else product for lag, product in enumerate(self.products)
        )
        return replace(
            self,
            count=self.count + 1,
            origin=origin,
            total=self.total + here,
            products=products,
            first=(*self.first, here)[:LAGS],
            last=(*self.last, here)[-LAGS:],
        )

    def test(self, lags: int | None = None) -> BlockTest | None:
        """The test of all blocks so far; None below three blocks, or when the differences do not vary.

        Args:
            lags: neighbours to take into account, 0 to LAGS; None: Newey and West's rule 4 (B/100)^(2/9).

        Raises:
            ValueError: more lags than are remembered.
        """
        if lags is not None and not 0 <= lags <= LAGS:
            raise ValueError(f"lags is {lags}: 0 to {LAGS} are remembered")
        if self.count < _LEAST:
            return None
        rule = math.floor(4 * (self.count / 100) ** (2 / 9))
        used = min(rule if lags is None else lags, LAGS, self.count - 1)
        mean = self.total / self.count
        long_run = self._covariance(0, mean)
        for lag in range(1, used + 1):
            long_run += 2 * (1 - lag / (used + 1)) * self._covariance(lag, mean)
        error = math.sqrt(max(0.0, long_run) / (self.count - 1))
        if not error > 0:
            return None
        difference = self.origin + mean
        p = min(1.0, 2 * t_below(-abs(difference / error), self.count - 1))
        return BlockTest(self.count, difference, error, self.count - 1, p, used)

    def _covariance(self, lag: int, mean: float) -> float:
        """Sum of (d_b - mean)(d_(b-lag) - mean), divided by the number of blocks."""
        late = self.total - sum(self.first[:lag])
        early = self.total - sum(self.last[len(self.last) - lag :])
        return (self.products[lag] - mean * (late + early) + (self.count - lag) * mean**2) / self.count


def paired_blocks(differences: Iterable[float], lags: int | None = None) -> BlockTest | None:
    """The paired t-test of blocks that are all known, oldest first; shape (blocks,), in the goal's unit.

    Returns:
        The test; None below three blocks, or when the differences do not vary.

    Raises:
        ValueError: a difference that is not a number, or more lags than `LAGS`.
    """
    sums = BlockSums()
    for difference in differences:
        sums = sums.add(float(difference))
    return sums.test(lags)
