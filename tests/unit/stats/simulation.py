"""Prints the numbers of docs/design/statistics.md: false rollbacks and minutes to find a fault.

It drives the same five functions as the operator. Not a test (the tests pin seeded, smaller runs of the same kind):

    .venv/bin/python tests/unit/stats/simulation.py [runs]

With the default of 1,000 runs of a healthy cell it takes about ten minutes on one core.
"""

from __future__ import annotations

import itertools
import math
import sys
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from serin.stats import Dispersion, LatencyConfig, LatencyLook, Look, RateConfig, start, update

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOOK, LOOKS, BATCH = 30.0, 720, 40
EDGES = (0.01, 0.025, 0.05, 0.075, 0.085, 0.095, 0.105, 0.12, 0.135, 0.145, 0.15, 0.165, 0.2, 0.3, 0.5, 1.0, 2.5)
SIGMA = math.log(120 / 45) / 1.645


def noise(rng: np.random.Generator, deviation: float) -> np.ndarray:
    """A log-normal factor per look, AR(1) with rho 0.8."""
    z = np.empty(LOOKS)
    z[0] = rng.normal()
    for i in range(1, LOOKS):
        z[i] = 0.8 * z[i - 1] + 0.6 * rng.normal()
    return np.exp(deviation * z - deviation**2 / 2)


def errors(
    rng: np.random.Generator,
    rps: float,
    weight: float,
    *,
    noisy: bool,
    factor: float = 1.0,
    onset: int = 0,
    base: float = 0.003,
) -> np.ndarray:
    """Six hours of (control total, bad, canary total, bad), shape (looks, 4).

    Noisy: a day's swing of load and base rate, one shared incident of 20 minutes at five times the rate, and noise of
    each arm with a log standard deviation of 0.3 (control) and 0.6 (canary).
    """
    at = np.arange(LOOKS)
    load, share = np.ones(LOOKS), np.full(LOOKS, base)
    control, canary = share, share
    if noisy:
        phase, other = rng.uniform(0, 2 * np.pi, 2)
        day = 2 * np.pi * at * LOOK / 86400
        load = 1 + 0.6 * np.sin(day + phase)
        share = base * np.exp(0.5 * np.sin(day + other))
        incident = rng.integers(0, LOOKS - BATCH)
        share = np.where((at >= incident) & (at < incident + BATCH), 5 * share, share)
        control, canary = share * noise(rng, 0.3), share * noise(rng, 0.6)
    canary = np.where(at >= onset, factor * canary, canary)
    totals = rng.poisson(np.outer(rps * LOOK * load, (1 - weight, weight)))
    bad = rng.binomial(totals, np.minimum(1, np.column_stack([control, canary])))
    return np.column_stack([totals[:, 0], bad[:, 0], totals[:, 1], bad[:, 1]])


def history(blocks: list[np.ndarray]) -> Dispersion:
    """tau^2 by moments over batches of 20 minutes: sum(S^2 - V) / sum(V^2)."""
    counts = np.concatenate(blocks).reshape(-1, BATCH, 4).astype(float)
    bad, share = counts[..., 1] + counts[..., 3], counts[..., 2] / np.maximum(counts[..., 0] + counts[..., 2], 1)
    excess = (counts[..., 3] - bad * share).sum(axis=1)
    variance = (bad * share * (1 - share)).sum(axis=1)
    return Dispersion(max(0.0, float((excess**2 - variance).sum() / (variance**2).sum())), 6.0 * len(blocks))


def error_run(
    seed: int, rps: float, weight: float, *, known: bool, noisy: bool, factor: float = 1.0, onset: int = 0
) -> float:
    """Minutes from the onset until the rollback, inf if there is none in six hours, -1 if it came before the onset."""
    rng = np.random.default_rng(seed)
    past = [errors(rng, rps, weight, noisy=noisy) for _ in range(4)] if known else []
    config = RateConfig(0.05, 0.1, None, None, 100, (21600.0,), history(past) if known else Dispersion())
    looks = errors(rng, rps, weight, noisy=noisy, factor=factor, onset=onset)
    state = start(config)
    for i, counts in enumerate(looks.tolist()):
        state = update(config, state, Look(LOOK, *counts))
        if state.failed:
            return (i + 1 - onset) * LOOK / 60 if i >= onset else -1.0
    return math.inf


def bake_run(seed: int, rps: float, *, noisy: bool, limit: float | None) -> float:
    """Minutes until a healthy version is rolled back in the bake of an hour that follows five hours at 50 %."""
    rng = np.random.default_rng(seed)
    config = RateConfig(0.05, 0.1, limit, None, 100, (18000.0,))
    state = start(config)
    for i, (control, control_bad, canary, canary_bad) in enumerate(errors(rng, rps, 0.5, noisy=noisy).tolist()):
        baking = i >= 600
        look = Look(LOOK, 0, 0, canary, canary_bad, baking=True)
        state = update(config, state, look if baking else Look(LOOK, control, control_bad, canary, canary_bad))
        if state.failed:
            return (i + 1) * LOOK / 60 if baking else math.inf
    return math.inf


def buckets(rng: np.random.Generator, total: int, scale: float) -> tuple[int, ...]:
    """Cumulative counts of a log-normal with P50 45 ms and P95 120 ms and a Pareto tail of 2 %, times `scale`."""
    z = (np.log(EDGES) - math.log(0.045 * scale)) / SIGMA
    body = np.array([0.5 * math.erfc(-x / math.sqrt(2)) for x in z])
    ratio = np.array(EDGES) / (0.1 * scale)
    below = 0.98 * body + 0.02 * np.where(ratio > 1, 1 - np.maximum(ratio, 1) ** -1.5, 0)
    parts = np.maximum(np.diff(np.concatenate([[0.0], below, [1.0]])), 0)
    return tuple(np.cumsum(rng.multinomial(total, parts / parts.sum()))[:-1].tolist())


def latency_run(seed: int, rps: float, weight: float, *, deviation: float, factor: float, tau2: float | None) -> float:
    """The same for latency: each arm's durations vary by `deviation`, the canary's are `factor` times longer."""
    rng = np.random.default_rng(seed)
    config = LatencyConfig(0.05, 0.05, 0.15, EDGES, 100, (21600.0,), dispersion=Dispersion(tau2))
    state = start(config)
    scales = zip(noise(rng, deviation), factor * noise(rng, deviation), strict=True)
    for i, (slow, slower) in enumerate(scales):
        control, canary = (int(n) for n in rng.poisson((rps * LOOK * (1 - weight), rps * LOOK * weight)))
        look = LatencyLook(LOOK, EDGES, buckets(rng, control, slow), buckets(rng, canary, slower), control, canary)
        state = update(config, state, look)
        if state.failed:
            return (i + 1) * LOOK / 60
    return math.inf


def short_run(seed: int, rps: float, weight: float, *, latency: bool) -> float:
    """Seconds until a fault that begins after 60 s of looks of 5 s, in stages of two minutes, without history."""
    rng = np.random.default_rng(seed)
    stages, seconds = (120.0, 120.0, 120.0), 5.0
    rate = RateConfig(0.0125, 0.1, 0.01, 0.005, 100, stages)
    slow = LatencyConfig(0.0125, 0.05, 0.15, EDGES, 100, stages)
    by_rate, by_latency = start(rate), start(slow)
    for i in range(180):
        bad = i >= 12
        control, canary = (int(n) for n in rng.poisson((rps * seconds * (1 - weight), rps * seconds * weight)))
        if latency:
            times = [rng.lognormal(math.log(0.045), math.log(110 / 45) / 1.645, n) for n in (control, canary)]
            fast = [
                tuple(np.searchsorted(np.sort(t + extra), EDGES, side="right").tolist())
                for t, extra in zip(times, (0.0, 0.06 if bad else 0.0), strict=True)
            ]
            by_latency = update(slow, by_latency, LatencyLook(seconds, EDGES, fast[0], fast[1], control, canary))
        else:
            failed = int(rng.binomial(control, 0.002)), int(rng.binomial(canary, 0.05 if bad else 0.002))
            by_rate = update(rate, by_rate, Look(seconds, control, failed[0], canary, failed[1]))
        if by_rate.failed or by_latency.failed:
            return (i - 11) * seconds if bad else -1.0
    return math.inf


def line(name: str, runs: int, one: Callable[[int], float], *, healthy: bool) -> None:
    """Print one cell."""
    found = np.array([one(seed) for seed in range(runs)])
    if healthy:
        part = float(np.isfinite(found).mean())
        print(f"{name:64s} {100 * part:5.2f} % (+-{100 * math.sqrt(part * (1 - part) / runs):.2f}), {runs} runs")
        return
    found = found[found >= 0]
    middle, late = np.quantile(found, [0.5, 0.95], method="lower")
    print(f"{name:64s} median {middle:6.1f}, 95th percentile {late:6.1f}, {len(found)} runs", flush=True)


def cells() -> Iterator[tuple[float, bool, str]]:
    """The four cells of errors."""
    for rps in (50.0, 1000.0):
        for noisy in (False, True):
            yield rps, noisy, f"{rps:.0f} requests/s {'noisy' if noisy else 'iid'}"


def print_errors(runs: int) -> None:
    """The cells of errors."""
    print("Errors, false rollbacks of a healthy canary in 6 h, alpha 0.05, control 95 %")
    for rps, noisy, name in cells():
        for known in (True, False):
            line(
                f"  {name}, {'24 h history' if known else 'no history'}",
                runs,
                partial(error_run, rps=rps, weight=0.05, known=known, noisy=noisy),
                healthy=True,
            )
    print("Errors, minutes until the rollback, 24 h history")
    for rps, noisy, name in cells():
        for factor, onset in ((1.5, 0), (2.0, 0), (5.0, 0), (5.0, 360)):
            line(
                f"  {name}, x{factor:g}{' after 3 h' if onset else ''}",
                max(20, runs // 5),
                partial(error_run, rps=rps, weight=0.05, known=True, noisy=noisy, factor=factor, onset=onset),
                healthy=False,
            )
    print("Errors, false rollbacks in a bake of 1 h after 5 h at 50 %, no history")
    for rps, noisy, name in cells():
        for limit in (0.01, None):
            line(
                f"  {name}, {'no max' if limit is None else 'max 1 %'}",
                max(20, runs // 2),
                partial(bake_run, rps=rps, noisy=noisy, limit=limit),
                healthy=True,
            )


def print_latency(runs: int) -> None:
    """The cells of latency."""
    print("Latency, false rollbacks in 6 h at 1000 requests/s, no history")
    for deviation in (0.0, 0.05, 0.1):
        line(
            f"  arms differ by {100 * deviation:.0f} %",
            max(20, runs // 5),
            partial(latency_run, rps=1000.0, weight=0.05, deviation=deviation, factor=1.0, tau2=None),
            healthy=True,
        )
    print("Latency, minutes until the rollback, arms do not differ")
    for rps, factor, tau2 in itertools.product((50.0, 1000.0), (1.25, 1.5), (0.0, 0.005, None)):
        line(
            f"  {rps:.0f} requests/s, x{factor:g}, {'no history' if tau2 is None else f'tau2 {tau2:g}'}",
            max(20, runs // 20),
            partial(latency_run, rps=rps, weight=0.05, deviation=0.0, factor=factor, tau2=tau2),
            healthy=False,
        )


def print_short(runs: int) -> None:
    """The cells of a demonstration."""
    print("Stages of 2 minutes without history, seconds until the rollback")
    for rps, weight, latency in itertools.product((50.0, 20.0), (0.1, 0.5), (False, True)):
        line(
            f"  {rps:.0f} requests/s, canary {100 * weight:.0f} %, {'+60 ms' if latency else '5 % against 0.2 %'}",
            max(20, runs // 10),
            partial(short_run, rps=rps, weight=weight, latency=latency),
            healthy=False,
        )


if __name__ == "__main__":
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    print_errors(number)
    print_latency(number)
    print_short(number)
