"""tau^2 from the time before a run, when the pods of one version are split in two as if they were an experiment.

Method of moments over batches of 20 minutes. A batch with V expected variance by chance says the less about tau^2 the
more of its difference is chance, so it counts with (tau0^2 / (tau0^2 + 1/V))^2, the same weight that the run's own
batches get. The cautious default is worth some batches too: with little history it stays, with a day it is forgotten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from serin.stats.config import ASSUMED_TAU2_ERRORS, ASSUMED_TAU2_LATENCY, Dispersion
from serin.stats.plan import ASSUMED_WEIGHT
from serin.stats.refine import SMALLEST_FACTOR

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def dispersion_of(totals: ArrayLike, bad: ArrayLike, *, hours: float, latency: bool = False) -> Dispersion:
    """How much two equal halves differed beyond chance.

    Args:
        totals: requests of each half in each batch of 20 minutes, shape (batches, 2).
        bad: those of them that were bad (failed, or slower than an edge), same shape, 0 <= bad <= totals.
        hours: length of all batches together.
        latency: whether bad means slow; chooses the cautious default.

    Returns:
        The dispersion; with `tau2` None where the batches say nothing (no requests in one half, nothing bad, or
        everything), so that the cautious default is used.

    Raises:
        ValueError: the shapes differ or are not (batches, 2), or a count is impossible.
    """
    n, x = np.asarray(totals, dtype=float), np.asarray(bad, dtype=float)
    if n.shape != x.shape or n.ndim != 2 or n.shape[1] != 2:  # noqa: PLR2004 - two halves
        raise ValueError(f"totals and bad have the shapes {n.shape} and {x.shape}; give (batches, 2) for both")
    if np.any(x < 0) or np.any(x > n):
        raise ValueError("bad must be between 0 and totals in each half of each batch")
    m = x.sum(axis=1)
    served = n.sum(axis=1)
    share = np.divide(n[:, 1], served, out=np.zeros_like(served), where=served > 0)
    # with a large share of bad requests a half can't have more than its requests: the variance is hypergeometric
    finite = np.divide(served - m, served - 1, out=np.zeros_like(served), where=served > 1)
    chance = m * share * (1 - share) * finite
    telling = chance > 0
    if not telling.any():
        return Dispersion()
    chance, score = chance[telling], (x[:, 1] - m * share)[telling]
    spread = (m * share * (1 - share))[telling]
    assumed = ASSUMED_TAU2_LATENCY if latency else ASSUMED_TAU2_ERRORS
    weight = (assumed / (assumed + chance / spread**2)) ** 2
    excess = (score**2 - chance) / spread**2
    tau2 = (ASSUMED_WEIGHT * assumed + float(weight @ excess)) / (ASSUMED_WEIGHT + float(weight.sum()))
    return Dispersion(max(tau2, SMALLEST_FACTOR * assumed), hours)
