"""How long a harmful canary would live: the operator's own statistics over generated looks, seeded.

No formula: `serin.stats` is run as the operator runs it. Looks grow with the time since the fault began, by two per
cent, since merging looks is safe for the tests and a delay needs no more precision than that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from serin.engine.configs import latency_config, rate_config
from serin.engine.shown import ERROR_RATE
from serin.stats import LatencyConfig, LatencyLook, Look, RateConfig, start, update_all

if TYPE_CHECKING:
    from collections.abc import Callable

    from serin.api.spec import Spec, Stage
    from serin.cli.plan_figures import ServiceFigures
    from serin.stats import State

_GROWTH: Final = 0.02
_HEALTHY_LOOKS: Final = 40
"""Looks in which the healthy stages before the fault are replayed."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with the canary: errors multiplied, or every request slower by a factor."""

    name: str
    errors: float = 1.0
    latency: float = 1.0


FAULTS: Final = (Fault("errors x2", errors=2.0), Fault("errors x5", errors=5.0), Fault("P95 +25 %", latency=1.25))


@dataclass(frozen=True, slots=True)
class Delay:
    """Seconds from the fault to the verdict Failing, over the runs of one service, stage and fault.

    Attributes:
        runs: how many.
        found: in how many of them the verdict came before the stage ended.
        median: seconds, 50th percentile of all runs; None where fewer found it.
        late: seconds, 95th percentile; None likewise.
    """

    runs: int
    found: int
    median: float | None
    late: float | None


def delay(spec: Spec, figures: ServiceFigures, stage: int, fault: Fault, *, runs: int, seed: int) -> Delay | None:
    """The delay when `fault` begins together with a stage; None when it can't be simulated.

    Args:
        spec: the experiment.
        figures: the service's traffic.
        stage: index of the stage.
        fault: what is wrong with the canary.
        runs: how many experiments.
        seed: of the random numbers.
    """
    if figures.rate is None or (fault.latency != 1 and not figures.edges):
        return None
    random = np.random.default_rng((seed, stage))
    config: RateConfig | LatencyConfig
    generate: Callable[..., Look | LatencyLook]
    if fault.latency == 1:
        config, generate = rate_config(spec, ERROR_RATE, figures.noise), _errors
    else:
        if spec.guardrails.latency_p95.max.seconds not in figures.edges:
            return None
        config, generate = latency_config(spec, figures.edges, figures.edge_noise), _latencies
    states: list[State] = [start(config)] * runs
    healthy = Fault("none")
    for before in spec.stages[:stage]:
        seconds = before.duration.seconds / _HEALTHY_LOOKS
        for _ in range(_HEALTHY_LOOKS):
            looks = [generate(random, figures, before, seconds, healthy) for _ in states]
            states = update_all([(config, state, look) for state, look in zip(states, looks, strict=True)])
    wrong = {index for index, state in enumerate(states) if state.failed}
    return _found(config, states, wrong, _Stage(spec, figures, stage, fault), generate, random)


@dataclass(frozen=True, slots=True)
class _Stage:
    spec: Spec
    figures: ServiceFigures
    index: int
    fault: Fault


def _found(
    config: RateConfig | LatencyConfig,
    states: list[State],
    wrong: set[int],
    where: _Stage,
    generate: Callable[..., Look | LatencyLook],
    random: np.random.Generator,
) -> Delay:
    """Goes through the stage until every run has found the fault, or it ends. Runs that failed before do not count."""
    stage = where.spec.stages[where.index]
    interval, length = where.spec.analysis.interval.seconds, stage.duration.seconds
    going = {index: state for index, state in enumerate(states) if index not in wrong}
    runs, at, after = len(going), 0.0, []
    while going and at < length:
        seconds = max(interval, round(at * _GROWTH / interval) * interval)
        at += seconds
        looks = [generate(random, where.figures, stage, seconds, where.fault) for _ in going]
        updated = update_all([(config, state, look) for state, look in zip(going.values(), looks, strict=True)])
        going = dict(zip(going, updated, strict=True))
        for index in [index for index, state in going.items() if state.failed]:
            after.append(at)
            del going[index]
    return Delay(runs, len(after), _percentile(after, runs, 0.5), _percentile(after, runs, 0.95))


def _percentile(after: list[float], runs: int, share: float) -> float | None:
    """Of all runs, those without an end at infinity."""
    rank = max(0, int(np.ceil(runs * share)) - 1)
    return sorted(after)[rank] if rank < len(after) else None


def canary_percent(stage: Stage) -> int:
    """The canary's requests in a stage, in percent of all that users send: a share of them, or copies."""
    return stage.mirror or stage.weight


def _split(random: np.random.Generator, figures: ServiceFigures, stage: Stage, seconds: float) -> tuple[int, int]:
    assert figures.rate is not None
    total = int(random.poisson(figures.rate * seconds))
    canary = int(random.binomial(total, canary_percent(stage) / 100))
    return (total if stage.mirror else total - canary), canary


def _errors(random: np.random.Generator, figures: ServiceFigures, stage: Stage, seconds: float, fault: Fault) -> Look:
    control, canary = _split(random, figures, stage, seconds)
    worse = min(1.0, figures.errors * fault.errors)
    bad, bad_canary = int(random.binomial(control, figures.errors)), int(random.binomial(canary, worse))
    return Look(seconds, control, bad, canary, bad_canary)


def _latencies(
    random: np.random.Generator, figures: ServiceFigures, stage: Stage, seconds: float, fault: Fault
) -> LatencyLook:
    control, canary = _split(random, figures, stage, seconds)
    own, slower = np.array(figures.within), _slower(figures, fault.latency)
    return LatencyLook(
        seconds,
        figures.edges,
        _buckets(random, own, control),
        _buckets(random, slower, canary),
        control,
        canary,
    )


def _slower(figures: ServiceFigures, factor: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The share within each edge when every request takes `factor` times as long, on a line of log durations."""
    edges = np.log(np.array(figures.edges))
    shares = np.interp(edges - np.log(factor), edges, np.array(figures.within), left=0.0)
    return np.asarray(shares, dtype=np.float64)


def _buckets(
    random: np.random.Generator, within: np.ndarray[tuple[int], np.dtype[np.float64]], requests: int
) -> tuple[int, ...]:
    parts = np.diff(np.concatenate(([0.0], np.maximum.accumulate(within), [1.0]))).clip(0.0)
    return tuple(int(value) for value in np.cumsum(random.multinomial(requests, parts / parts.sum()))[:-1])
