"""Bets on slow requests, which are not rare: at a low edge of a histogram half of all requests are slow.

The bet on the split of m bad requests is fair whatever control's share p is, but it takes the variance of rare events,
m w (1-w), where chance has 1-p times that. Half of what such an edge could tell would be lost. So each request is a
bet of its own here: L is the likelihood of a canary and a control with the shares t1 and c1 over that of the null point
(psi0 c0, c0) next to them.

Fair for every share, rare or not, and without knowing it: with E[L] = exp(N F), F(p) = w log(psi0 p a + (1 - psi0 p) b)
+ (1-w) log(p c + (1-p) d) is concave in control's share p. F(c0) = 0, and c0 is chosen so that F'(c0) = 0. Therefore
F <= 0 along the edge of the null, and less inside of it, as a > b. What is guessed (c1) decides how much is won, never
whether the bet is fair. For psi0 = 1 it is the test of Turner, Ly and Gruenwald 2024, "Generic E-variables for exact
sequential k-sample tests that allow for optional stopping".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from serin.stats.mixture import Floats

SMALLEST_SHARE, LARGEST_SHARE = 1e-9, 0.98
"""A guess beyond them is cut, for both arms: an edge that all requests are slower than has nothing to tell."""


def log_ratio_of_shares(
    excess: Floats,
    *,
    bad: Floats,
    trials: Floats,
    served: Floats,
    share: Floats,
    null_ratio: Floats,
    guess: Floats,
) -> Floats:
    """Log L of one look.

    The alternatives are ratios of *odds*: a canary that is slower by a factor has about the same one at every edge.

    Args:
        excess: odds ratio above the null minus 1 of each alternative, shape (columns,).
        bad: the canary's bad requests, shape (..., rows).
        trials: bad ones of both arms, shape (..., rows).
        served: all requests of both arms, shape (..., rows).
        share: the canary's part w of `served`, shape (..., rows).
        null_ratio: psi0 >= 1, shape (..., rows).
        guess: control's share of bad requests, from before the look, shape (..., rows).

    Returns:
        Shape (..., rows, columns); finite for all finite input.
    """
    x, m, n, w, psi = (each[..., None] for each in (bad, trials, served, share, null_ratio))
    c1 = np.clip(guess[..., None], SMALLEST_SHARE, LARGEST_SHARE / psi)
    t1 = psi * c1 * (1.0 + excess) / (1.0 + psi * c1 * excess)
    # psi c0^2 - middle c0 + end = 0, from F'(c0) = 0; the smaller root
    middle = w * (t1 + psi) + (1.0 - w) * (1.0 + psi * c1)
    end = w * t1 + (1.0 - w) * c1
    c0 = 2.0 * end / (middle + np.sqrt(np.maximum(middle**2 - 4.0 * psi * end, 0.0)))
    t0 = psi * c0
    canary = _log_likelihood(x, w * n - x, t1, t0)
    return canary + _log_likelihood(m - x, (1.0 - w) * n - (m - x), c1, c0)


def _log_likelihood(bad: Floats, good: Floats, share: Floats, null: Floats) -> Floats:
    likelihood: Floats = bad * np.log(share / null) + good * np.log1p((null - share) / (1.0 - null))
    return likelihood
