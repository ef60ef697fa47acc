"""Critical values for a planned number of looks at data that still arrives.

Looking every day at level 5 % would find something in one healthy experiment of five. The level is spent instead, a
little at each look: alpha t^3 until the fraction t of the stage (Lan and DeMets 1983; the power family of Kim and
DeMets 1987). Early looks then need very strong evidence, and the last one costs almost nothing. What was spent is all
that counts, so looks may be missed or come at other times than planned.

The bounds follow from the recursion of Armitage, McPherson and Rowe (1969), by Gauss-Legendre quadrature over the
score, whose steps from look to look are independent and normal.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from serin.stats.goals.distributions import normal_below, normals_below, z_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serin.stats.goals.distributions import Floats

_FAR = 8.5
"""Standard deviations beyond which a normal score is not followed: 2e-17."""
_PANEL = 3.0
"""Width of a panel of the quadrature, in standard deviations of a step."""
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)
_NOTHING = 1e-13
"""A level below this is not spent but kept for the next look."""
_SMALLEST = 1e-12
"""p-values below this are given as this."""
_EXACT = 1e-12
_TWO_SIDED = 2

_Grid = tuple["Floats", "Floats"]
"""Nodes of the score and the probability that each stands for; both of shape (nodes,)."""


def spent(fraction: float, alpha: float) -> float:
    """The level spent until a fraction of the stage: alpha t^3, all of it from 1 on."""
    return alpha * min(max(fraction, 0.0), 1.0) ** 3


def bounds(
    fractions: Sequence[float], alpha: float = 0.05, *, information: Sequence[float] | None = None, sides: int = 2
) -> tuple[float, ...]:
    """The critical z of each look: reject at look k when |z| (or z, for one side) is at least the k-th.

    Args:
        fractions: of the stage at each look that was taken, ascending, > 0; shape (looks,). Looks that were missed are
            simply not in it. From 1 on everything is spent.
        alpha: the level over all looks, in (0, 1); half of it on either side when two-sided.
        information: 1/variance of the difference at each look, ascending, in any unit; None: grows with `fractions`.
        sides: 2, or 1 for a bound above alone (and the same below, for the other direction, at a level of its own).

    Returns:
        Shape (looks,); inf where nothing is spent.

    Raises:
        ValueError: looks that do not ascend, or a level that is not one.
    """
    grown = tuple(float(value) for value in (fractions if information is None else information))
    taken = tuple(float(value) for value in fractions)
    if not 0 < alpha < 1 or sides not in {1, _TWO_SIDED}:
        raise ValueError("bounds need a level between 0 and 1, on 1 or 2 sides")
    if len(grown) != len(taken) or not _ascending(taken) or not _ascending(grown):
        raise ValueError("looks need fractions and information above 0 that rise from look to look")
    return limits_of(tuple(spent(fraction, alpha) for fraction in taken), grown, sides)


def crossing(
    limits: Sequence[float], information: Sequence[float], drift: float = 0.0, *, sides: int = 2
) -> tuple[Floats, Floats]:
    """The probability to cross the upper and the lower bound at each look for the first time.

    Args:
        limits: critical z of each look, as from `bounds`; shape (looks,).
        information: at each look, ascending; shape (looks,).
        drift: expected z at information 1: the true difference in standard deviations of the score's unit. With
            information as a fraction of the last look's it is the expected z of the last look.
        sides: 2, or 1 when there is no lower bound.

    Returns:
        (upper, lower), each of shape (looks,); their sums over looks are powers.
    """
    upper, lower = np.zeros(len(limits)), np.zeros(len(limits))
    grid: _Grid | None = None
    known = [0.0, *information]
    for look, limit in enumerate(limits):
        size = known[look + 1]
        step = size - known[look]
        high = limit * math.sqrt(size)
        upper[look] = _beyond(grid, high, step, drift)
        if sides == _TWO_SIDED:
            lower[look] = _beyond(_mirrored(grid), high, step, -drift)
        if look + 1 < len(limits):
            low = -high if sides == _TWO_SIDED else -math.inf
            finest = min(step, known[look + 2] - size)
            grid = _next(grid, (low, high), size, step, finest, drift)
    return upper, lower


def repeated_p_value(
    statistics: Sequence[float], fractions: Sequence[float], information: Sequence[float] | None = None
) -> float:
    """The smallest two-sided level at which any look so far would have rejected (Jennison and Turnbull 1989).

    Valid whatever look it is read at, unlike the p-value of one look.

    Args:
        statistics: z of each look taken; shape (looks,).
        fractions: as in `bounds`.
        information: as in `bounds`.

    Returns:
        A p-value in (0, 1], to two digits; 1 when no level below 1 would do.
    """
    # No bound is below that of a single look, so neither is the level.
    single = 2 * normal_below(-max((abs(z) for z in statistics), default=0.0))
    low, high = math.log(max(single, _SMALLEST)), 0.0
    while high - low > 5e-3:  # noqa: PLR2004 - relative precision
        middle = (low + high) / 2
        limits = bounds(fractions, math.exp(middle), information=information)
        if any(abs(z) >= limit for z, limit in zip(statistics, limits, strict=True)):
            high = middle
        else:
            low = middle
    return math.exp(high)


@lru_cache(maxsize=512)
def limits_of(levels: tuple[float, ...], information: tuple[float, ...], sides: int) -> tuple[float, ...]:
    """The critical z of each look for any way of spending: `levels` is what is spent until each look, rising."""
    found: list[float] = []
    grid: _Grid | None = None
    used, before = 0.0, 0.0
    for look, (total, size) in enumerate(zip(levels, information, strict=True)):
        step, level = size - before, total - used
        limit = math.inf
        if level > _NOTHING:
            limit = _limit(grid, level / sides, size, step)
            used = total
        found.append(limit)
        if look + 1 < len(levels):
            high = limit * math.sqrt(size)
            low = -high if sides == _TWO_SIDED else -math.inf
            grid = _next(grid, (low, high), size, step, min(step, information[look + 1] - size), 0.0)
        before = size
    return tuple(found)


def _limit(grid: _Grid | None, level: float, size: float, step: float) -> float:
    """The z beyond which a part `level` of what is still inside would get.

    Newton's method on the log of that part. It is concave in z, and the start is at or above the root, so every step
    stays there.
    """
    z = -z_of(min(level, 0.5))
    for _ in range(60):
        high = z * math.sqrt(size)
        beyond = _beyond(grid, high, step, 0.0)
        slope = _there(grid, high, step) * math.sqrt(size)
        if not (beyond > 0 and slope > 0):
            break
        change = math.log(beyond / level) * beyond / slope
        z += change
        if abs(change) < _EXACT:
            return z
    return _limit_by_halves(grid, level, size, step)


def _limit_by_halves(grid: _Grid | None, level: float, size: float, step: float) -> float:
    """The same by bisection, where a part is too small for a logarithm."""
    low, high = -_FAR, 2 * _FAR
    for _ in range(44):
        middle = (low + high) / 2
        if _beyond(grid, middle * math.sqrt(size), step, 0.0) > level:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _beyond(grid: _Grid | None, high: float, step: float, drift: float) -> float:
    """P(the next score is above `high`, and no bound was crossed before)."""
    if math.isinf(high):
        return 0.0
    spread = math.sqrt(step)
    if grid is None:
        return normal_below((drift * step - high) / spread)
    nodes, mass = grid
    return float(mass @ normals_below((nodes + drift * step - high) / spread))


def _there(grid: _Grid | None, high: float, step: float) -> float:
    """The density of the next score at `high`, without a drift."""
    if grid is None:
        return float(_density(np.array(high), step))
    nodes, mass = grid
    return float(mass @ _density(nodes - high, step))


def _mirrored(grid: _Grid | None) -> _Grid | None:
    return None if grid is None else (-grid[0], grid[1])


def _next(
    grid: _Grid | None, region: tuple[float, float], size: float, step: float, finest: float, drift: float
) -> _Grid:
    """The score within `region` after one more step, fine enough for the step after it."""
    reach, centre = _FAR * math.sqrt(size), drift * size
    low, high = max(region[0], centre - reach), min(region[1], centre + reach)
    if high <= low:
        return np.zeros(1), np.zeros(1)
    panels = max(1, math.ceil((high - low) / (_PANEL * math.sqrt(finest))))
    half = (high - low) / panels / 2
    middles = low + half * (2 * np.arange(panels) + 1)
    nodes = (middles[:, None] + half * _NODES).reshape(-1)
    weights = np.tile(half * _WEIGHTS, panels)
    if grid is None:
        density = _density(nodes - centre, step)
    else:
        density = _density(nodes[:, None] - grid[0] - drift * step, step) @ grid[1]
    return nodes, weights * density


def _density(x: Floats, variance: float) -> Floats:
    result: Floats = np.exp(-(x**2) / (2 * variance)) / math.sqrt(2 * math.pi * variance)
    return result


def _ascending(values: tuple[float, ...]) -> bool:
    return all(late > early for early, late in zip((0.0, *values), values, strict=False))
