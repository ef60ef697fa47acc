"""The ratio of the bad shares with an interval that is valid at every look.

The likelihood of the whole run, from its start and without restarts, is kept on a grid of log ratios. A ratio is in
the confidence sequence while the mixture over the grid does not beat it by a factor of 20 (Robbins 1970; Darling and
Robbins 1967). Between the grid points the log likelihood, a smooth concave function, is a cubic spline: a sum over
looks with different weights has no shorter exact form.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from serin.stats.mixture import Floats

KNOTS = 41
_STEPS = 40
FINE = (KNOTS - 1) * _STEPS + 1
REACH = float(np.log(50.0))
"""Ratios from 1/50 to 50; an interval that reaches an end is open there."""

LEVEL = 0.05
_DEEP = 60.0
"""Below the maximum by so much a ratio has no part in the mixture that a float could show, and is outside."""
LARGEST = 49.9
SMALLEST = 1 / LARGEST
"""A maximum beyond these lies at an end of the grid, or outside."""

LOG_RATIO: Floats = np.linspace(-REACH, REACH, KNOTS)
_EXCESS: Floats = np.expm1(LOG_RATIO)
_GRID: Floats = np.linspace(-REACH, REACH, FINE)


def log_likelihood(bad: Floats | float, trials: Floats | float, share: Floats | float) -> Floats:
    """What one look adds to the profile: x log psi - m log(1-w + w psi).

    Args:
        bad: x, shape (...).
        trials: m, shape (...).
        share: w, shape (...).

    Returns:
        Shape (..., KNOTS).
    """
    x, m, w = (np.asarray(each, dtype=np.float64)[..., None] for each in (bad, trials, share))
    likelihood: Floats = x * LOG_RATIO - m * np.log1p(w * _EXCESS)
    return likelihood


def interval(profile: Floats) -> tuple[float, float, float]:
    """Maximum and both ends of the 95 % confidence sequence.

    Args:
        profile: sum of `log_likelihood`, shape (KNOTS,).

    Returns:
        (ratio, low, high); low is 0 and high inf where the grid ends first.
    """
    height = profile - profile.max()
    # concave: what is near the maximum lies together, between two knots that aren't
    near = np.flatnonzero(height > -_DEEP)
    begin = max(int(near[0]) - 1, 0) * _STEPS
    fine = _spline()[begin : (int(near[-1]) + 1) * _STEPS + 1] @ height
    best = int(fine.argmax())
    relative = fine - fine[best]
    log_mixture = float(np.log(np.exp(relative).sum() / FINE))
    inside = np.flatnonzero(log_mixture - relative < -np.log(LEVEL))
    low, high = begin + int(inside[0]), begin + int(inside[-1])
    return (
        float(np.exp(_GRID[begin + best])),
        0.0 if low == 0 else float(np.exp(_GRID[low - 1])),
        np.inf if high == FINE - 1 else float(np.exp(_GRID[high + 1])),
    )


@lru_cache(maxsize=1)
def _spline() -> Floats:
    """Matrix of shape (FINE, KNOTS) from knot values to the natural cubic spline through them."""
    step = float(LOG_RATIO[1] - LOG_RATIO[0])
    second = np.zeros((KNOTS, KNOTS))
    system = np.eye(KNOTS)
    for i in range(1, KNOTS - 1):
        system[i, i - 1 : i + 2] = (1.0, 4.0, 1.0)
        second[i, i - 1 : i + 2] = (6.0, -12.0, 6.0)
    curvature = np.linalg.solve(system, second) / step**2
    at = np.linspace(0.0, KNOTS - 1.0, FINE)
    left = np.minimum(at.astype(int), KNOTS - 2)
    b = (at - left)[:, None]
    a = 1.0 - b
    identity = np.eye(KNOTS)
    bend = (a**3 - a) * curvature[left] + (b**3 - b) * curvature[left + 1]
    matrix: Floats = a * identity[left] + b * identity[left + 1] + bend * step**2 / 6.0
    return matrix
