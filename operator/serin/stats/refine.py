"""tau^2 learns from the run itself, batch by batch.

A history can be short, old or missing. The run's own batches of 20 minutes say how much two arms differ from one batch
to the next. Differences of *successive* batches are used (von Neumann 1941): a canary that is worse all the time has
the same excess in both, so that harm is not mistaken for noise. A fault that begins in the run gives one large
difference; each difference is therefore cut at a few tau^2. The result is applied to later looks only, so each bet is
still made with a phi that was fixed before its look, and stays fair.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from serin.stats.mixture import BATCH_SECONDS

if TYPE_CHECKING:
    from serin.stats.mixture import Floats

LARGEST_DIFFERENCE = 4.0
"""Half a squared difference counts as so many tau^2 at most."""

SMALLEST_FACTOR, LARGEST_FACTOR = 0.05, 20.0

SECONDS, SCORE, VARIANCE, BEFORE, BEFORE_CHANCE, SUM, WEIGHT, FACTOR = range(8)
"""Columns of the noise: the present batch's seconds, score and variance; the excess of the batch before and its chance
variance (0: there is none); weighted sum and weights of the differences; the factor on the tau^2 of the config."""


def refined(noise: Floats, tau2: Floats, weight: Floats, *, seconds: Floats, score: Floats, variance: Floats) -> Floats:
    """The noise after one look of each guardrail.

    Args:
        noise: shape (n, NOISE).
        tau2: of the config at the reported edge, shape (n,). Where it is 0 nothing is refined: 0 was meant.
        weight: batches that it is worth, shape (n,).
        seconds: length of the looks, 0 where control did not serve; shape (n,).
        score: x - m w, shape (n,).
        variance: m w (1-w), shape (n,).

    Returns:
        Shape (n, NOISE); its last column is the factor for the looks to come.
    """
    after = noise.copy()
    after[:, SECONDS] += seconds
    after[:, SCORE] += score
    after[:, VARIANCE] += variance
    full = np.flatnonzero((after[:, SECONDS] >= BATCH_SECONDS) & (after[:, VARIANCE] > 0) & (tau2 > 0))
    if len(full):
        after[full] = _closed(after[full], tau2[full], weight[full])
    return after


def _closed(noise: Floats, tau2: Floats, weight: Floats) -> Floats:
    excess = noise[:, SCORE] / noise[:, VARIANCE]
    chance = 1.0 / noise[:, VARIANCE]
    both = (chance + noise[:, BEFORE_CHANCE]) / 2
    known = tau2 * noise[:, FACTOR]
    difference = np.minimum((excess - noise[:, BEFORE]) ** 2 / 2 - both, LARGEST_DIFFERENCE * known)
    # a batch says the less the more of it is chance
    telling = np.where(noise[:, BEFORE_CHANCE] > 0, (known / (known + both)) ** 2, 0.0)
    total = noise[:, SUM] + telling * difference / tau2
    weights = noise[:, WEIGHT] + telling
    factor = np.clip((weight + total) / (weight + weights), SMALLEST_FACTOR, LARGEST_FACTOR)
    nothing = np.zeros_like(excess)
    return np.column_stack([nothing, nothing, nothing, excess, chance, total, weights, factor])
