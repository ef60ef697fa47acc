"""Histograms with known truth, and Serin's latency guardrail on them.

Durations are log-normal with P50 45 ms and P95 120 ms, and a Pareto tail of 2 %. Noise of the arms stretches all
durations of a look by a factor.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import ndtr

from serin.stats import Dispersion, LatencyConfig
from serin.stats.config import ASSUMED_TAU2_LATENCY
from serin.stats.fleet import Looks
from serin.stats.history import shrunken, windows
from tests.bench.statistics.guardrails import rollback_looks
from tests.bench.statistics.streams import LOOK, LOOKS, WEIGHT, ar1

if TYPE_CHECKING:
    from numpy.typing import NDArray

EDGES = (0.01, 0.025, 0.05, 0.075, 0.085, 0.095, 0.105, 0.12, 0.135, 0.145, 0.15, 0.165, 0.2, 0.3, 0.5, 1.0, 2.5)
SIGMA = math.log(120 / 45) / 1.645
MARGINS = (0.05, 0.0)
"""Of `worseThanControl`. On a share: 5 % more slow requests than control are tolerated, which +5 % of duration is near
to where half of all requests are slow."""

HEALTHY = ((0.0, "history"), (0.05, "history"), (0.05, "nothing"), (0.1, "nothing"), (0.05, "no phi"))
"""By how much the arms differ in the healthy cells, and what is known of it."""

BARS = {(1.25, 50.0, 0.05): 2.5, (1.25, 1000.0, 0.05): 2.5, (1.05, 50.0, 0.0): 26.0, (1.05, 1000.0, 0.0): 1.5}
"""Minutes at most, by factor, requests a second and margin."""

MERGED = 10
"""Looks of history that are merged into one of five minutes."""


def slower(rng: np.random.Generator, totals: NDArray[np.int64], scale: NDArray[np.float64]) -> NDArray[np.int64]:
    """Requests slower than each edge, shape (runs, edges), durations stretched by `scale`, shape (runs,)."""
    edges = np.array(EDGES) / scale[:, None]
    body = ndtr(np.log(edges / 0.045) / SIGMA)
    tail = np.where(edges > 0.1, 1 - np.maximum(edges / 0.1, 1) ** -1.5, 0.0)
    below = 0.98 * body + 0.02 * tail
    full = np.column_stack([np.zeros(len(scale)), below, np.ones(len(scale))])
    parts = rng.multinomial(totals, np.maximum(np.diff(full, axis=1), 0))
    return totals[:, None] - np.cumsum(parts, axis=1)[:, :-1]


def dispersions(rng: np.random.Generator, runs: int, rps: float, noise: float) -> list[tuple[Dispersion, ...]]:
    """tau^2 by edge from 24 hours of two equal arms, for each run."""
    sums = np.zeros((4 * LOOKS // MERGED, 2, runs, len(EDGES) + 1))
    for block in range(4):
        scales = [ar1(rng, LOOKS, runs, noise) for _ in range(2)]
        for i in range(LOOKS):
            for arm, part in enumerate((1 - WEIGHT, WEIGHT)):
                totals = rng.poisson(rps * LOOK * part, runs)
                at = sums[(block * LOOKS + i) // MERGED, arm]
                at[:, :-1] += slower(rng, totals, scales[arm][i])
                at[:, -1] += totals
    flat = [sums[:, arm, :, :-1].reshape(len(sums), -1) for arm in (0, 1)]
    totals = [np.repeat(sums[:, arm, :, -1], len(EDGES), axis=1) for arm in (0, 1)]
    blocks = np.repeat(np.arange(4), LOOKS // MERGED)
    batches, used = windows(totals, flat, seconds=LOOK * MERGED, blocks=blocks)
    tau2 = shrunken(batches, used / 3600, ASSUMED_TAU2_LATENCY).reshape(runs, -1)
    return [tuple(Dispersion(each, used / 3600) for each in row) for row in tau2.tolist()]


class Cell(NamedTuple):
    """What is simulated.

    Attributes:
        rps: requests a second.
        noise: log standard deviation of each arm's durations by look.
        factor: of the canary's durations.
        known: "history" (24 h of the same process), "nothing" (the cautious default), or "no phi" (tau^2 = 0).
        margin: `worseThanControl`.
    """

    rps: float
    noise: float
    factor: float
    known: str
    margin: float


def minutes(seed: list[int], runs: int, cell: Cell) -> NDArray[np.float64]:
    """Minutes until the rollback of each run; inf if there is none in six hours."""
    rng = np.random.default_rng(seed)
    rps, noise, factor, known, margin = cell
    given: list[Dispersion | tuple[Dispersion, ...]] = [Dispersion(0.0) if known == "no phi" else Dispersion()] * runs
    if known == "history":
        given = list(dispersions(rng, runs, rps, noise))
    stages = (LOOK * LOOKS,)
    configs = [LatencyConfig(0.05, margin, 0.15, EDGES, 100, stages, quantile=0.95, dispersion=each) for each in given]
    scales = ar1(rng, LOOKS, runs, noise), factor * ar1(rng, LOOKS, runs, noise)

    def look(i: int) -> Looks:
        counts = []
        for part, scale in zip((1 - WEIGHT, WEIGHT), scales, strict=True):
            totals = rng.poisson(rps * LOOK * part, runs)
            counts.append(np.column_stack([slower(rng, totals, scale[i]), totals]))
        return Looks(np.full(runs, LOOK), np.zeros(runs, dtype=bool), *counts)

    return rollback_looks(configs, look, LOOKS) * LOOK / 60
