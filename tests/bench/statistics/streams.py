"""Traffic with known truth: arrays of looks, many runs side by side, from a seed.

The cells of the comparison are `noisy` and its calm twin. They are what the bars are checked on; the robustness cells
are in `troubles`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LOOK, LOOKS = 30.0, 720
"""Seconds of a look, and looks in six hours."""
INCIDENT = 40
"""Looks of the incident that both arms have: 20 minutes."""
BASE, WEIGHT = 0.003, 0.05


@dataclass(frozen=True)
class Stream:
    """Counts of each look and run, all of shape (looks, runs)."""

    control_total: NDArray[np.int64]
    control_bad: NDArray[np.int64]
    canary_total: NDArray[np.int64]
    canary_bad: NDArray[np.int64]


def ar1(rng: np.random.Generator, looks: int, runs: int, deviation: float) -> NDArray[np.float64]:
    """A log-normal factor of mean 1 per look, AR(1) with rho 0.8."""
    z = np.empty((looks, runs))
    z[0] = rng.normal(size=runs)
    for i in range(1, looks):
        z[i] = 0.8 * z[i - 1] + 0.6 * rng.normal(size=runs)
    return np.exp(deviation * z - deviation**2 / 2)


def counted(
    rng: np.random.Generator,
    requests: NDArray[np.float64],
    control: NDArray[np.float64],
    canary: NDArray[np.float64],
    weight: float = WEIGHT,
) -> Stream:
    """Poisson arrivals at `requests` per look, binomial errors at the two shares."""
    totals = [rng.poisson(requests * part) for part in (1 - weight, weight)]
    bads = [rng.binomial(n, np.clip(p, 0, 1)) for n, p in zip(totals, (control, canary), strict=True)]
    return Stream(totals[0], bads[0], totals[1], bads[1])


def errors(
    rng: np.random.Generator,
    runs: int,
    rps: float,
    *,
    noisy: bool,
    factor: float = 1.0,
    onset: int = 0,
    weight: float = WEIGHT,
) -> Stream:
    """Six hours. Noisy: a day's swing of load and base rate, one shared incident of x5, and noise of each arm."""
    at = np.arange(LOOKS)[:, None]
    load, share = np.ones((LOOKS, runs)), np.full((LOOKS, runs), BASE)
    control = canary = share
    if noisy:
        phase, other = rng.uniform(0, 2 * np.pi, (2, runs))
        day = 2 * np.pi * at * LOOK / 86400
        load = 1 + 0.6 * np.sin(day + phase)
        share = BASE * np.exp(0.5 * np.sin(day + other))
        incident = rng.integers(0, LOOKS - INCIDENT, runs)
        share = np.where((at >= incident) & (at < incident + INCIDENT), 5 * share, share)
        control, canary = share * ar1(rng, LOOKS, runs, 0.3), share * ar1(rng, LOOKS, runs, 0.6)
    canary = np.where(at >= onset, factor * canary, canary)
    return counted(rng, rps * LOOK * load, control, canary, weight)
