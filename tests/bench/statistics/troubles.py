"""What real clusters do and the comparison's cells do not: each healthy, and with a fault of three times the errors.

Each trouble draws six hours of two arms (and, for its history, the same process without a fault). Pods are drawn one by
one where pods are the trouble: twenty of them, of which the canary is one.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from serin.stats import Dispersion
from serin.stats.history import from_pods
from tests.bench.statistics import guardrails
from tests.bench.statistics.streams import BASE, INCIDENT, LOOK, LOOKS, WEIGHT, Stream, ar1, counted, errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

PODS = 20
FAULT = 3.0


class Draw(NamedTuple):
    """What a trouble is asked for."""

    rng: np.random.Generator
    runs: int
    rps: float
    factor: float
    """Of the canary's error share; 1 is healthy."""


def _flat(draw: Draw) -> NDArray[np.float64]:
    return np.full((LOOKS, draw.runs), BASE)


def _load(draw: Draw) -> NDArray[np.float64]:
    return np.full((LOOKS, draw.runs), draw.rps * LOOK)


def pod_restarts(draw: Draw) -> Stream:
    """Every pod restarts once an hour, each at its own minute: 20 % errors for 30 s. The canary is one pod of 20."""
    minute = draw.rng.integers(0, 120, (PODS, draw.runs))
    at = np.arange(LOOKS)[:, None]
    canary = np.where(at % 120 == minute[0], 0.2, BASE * draw.factor)
    control = sum(np.where(at % 120 == minute[pod], 0.2, BASE) for pod in range(1, PODS)) / (PODS - 1)
    return counted(draw.rng, _load(draw), control, canary)


def pod_history(rng: np.random.Generator, runs: int, rps: float) -> list[Dispersion]:
    """24 h of twenty such pods, each seen alone: `from_pods` for an experiment of 19 and 1."""
    found = []
    looks = 4 * LOOKS
    for _ in range(runs):
        minute = rng.integers(0, 120, PODS)
        share = np.where(np.arange(looks)[:, None] % 120 == minute, 0.2, BASE)
        total = rng.poisson(rps * LOOK / PODS, (looks, PODS))
        bad = rng.binomial(total, share)
        one = from_pods(total, bad, seconds=LOOK, control_pods=PODS - 1, canary_pods=1)
        assert isinstance(one, Dispersion)
        found.append(one)
    return found


def bad_pod(draw: Draw) -> Stream:
    """One pod of twenty fails twenty times as often for an hour; in one run of twenty it is the canary's only pod."""
    pod = draw.rng.integers(0, PODS, draw.runs)
    begin = draw.rng.integers(0, LOOKS - 120, draw.runs)
    at = np.arange(LOOKS)[:, None]
    ill = (at >= begin) & (at < begin + 120)
    canary = BASE * draw.factor * np.where(ill & (pod == 0), 20, 1)
    control = BASE * np.where(ill & (pod > 0), 1 + 19 / (PODS - 1), 1)
    return counted(draw.rng, _load(draw), control, canary)


def bursts(draw: Draw) -> Stream:
    """Errors come in clusters of a Pareto size (exponent 1.5, at most 200): a client that sends a batch."""
    requests, shares = _load(draw), (_flat(draw), _flat(draw) * draw.factor)
    mean = 2.6
    arms = []
    for part, share in zip((1 - WEIGHT, WEIGHT), shares, strict=True):
        total = draw.rng.poisson(requests * part)
        clusters = draw.rng.poisson(requests * part * share / mean)
        size = np.minimum(np.floor(draw.rng.pareto(1.5, int(clusters.sum())) + 1), 200).astype(np.int64)
        ends = np.concatenate([[0], np.cumsum(size)])
        last = np.cumsum(clusters.ravel())
        bad = (ends[last] - ends[last - clusters.ravel()]).reshape(clusters.shape)
        arms.append((np.maximum(total, bad), bad))
    return Stream(arms[0][0], arms[0][1], arms[1][0], arms[1][1])


def retries(draw: Draw) -> Stream:
    """Each failed request is sent again, and fails again in four of five cases: errors come in pairs."""
    first = counted(draw.rng, _load(draw), _flat(draw) / 1.8, _flat(draw) * draw.factor / 1.8)
    again = [draw.rng.binomial(bad, 0.8) for bad in (first.control_bad, first.canary_bad)]
    return Stream(
        first.control_total + first.control_bad,
        first.control_bad + again[0],
        first.canary_total + first.canary_bad,
        first.canary_bad + again[1],
    )


def night(draw: Draw) -> Stream:
    """Traffic falls to nothing for about two of the six hours, and comes back."""
    phase = draw.rng.uniform(0, 2 * np.pi, draw.runs)
    load = np.maximum(0.0, 1 + 2 * np.sin(2 * np.pi * np.arange(LOOKS)[:, None] / LOOKS + phase))
    return counted(draw.rng, _load(draw) * load, _flat(draw), _flat(draw) * draw.factor)


def control_deployed(draw: Draw) -> Stream:
    """After three hours control itself is rolled: two minutes of 5 % errors, ten of double."""
    at = np.arange(LOOKS)[:, None] - LOOKS // 2
    control = np.where((at >= 0) & (at < 4), 0.05, np.where((at >= 4) & (at < 24), 2 * BASE, BASE))
    return counted(draw.rng, _load(draw), control + 0 * _flat(draw), _flat(draw) * draw.factor)


def skewed_clocks(draw: Draw) -> Stream:
    """The canary's counters arrive one look late while an incident of x5 begins and ends (20 minutes, shared)."""
    begin = draw.rng.integers(2, LOOKS - INCIDENT, draw.runs)
    at = np.arange(LOOKS)[:, None]
    share = BASE * np.where((at >= begin) & (at < begin + INCIDENT), 5, 1)
    late = np.roll(share, 1, axis=0)
    return counted(draw.rng, _load(draw), share, late * draw.factor)


def noisy(draw: Draw) -> Stream:
    """The comparison's noisy cell, for what is lost or merged."""
    return errors(draw.rng, draw.runs, draw.rps, noisy=True, factor=draw.factor)


def drifting(draw: Draw) -> Stream:
    """The canary's error share wanders by itself: a random walk that has a log standard deviation of 0.3 in 6 h."""
    steps = draw.rng.normal(0, 0.3 / np.sqrt(LOOKS), (LOOKS, draw.runs))
    return counted(draw.rng, _load(draw), _flat(draw), _flat(draw) * draw.factor * np.exp(np.cumsum(steps, axis=0)))


@dataclasses.dataclass(frozen=True)
class Trouble:
    """A cell: its sentence, how to draw it, and which looks are measured."""

    name: str
    stream: Callable[[Draw], Stream]
    kept: Callable[[np.random.Generator], NDArray[np.bool_]] | None = None
    by_pod: bool = False


def _gaps(rng: np.random.Generator) -> NDArray[np.bool_]:
    """One look of ten is lost, and twenty minutes in one piece."""
    kept = rng.random(LOOKS) > 0.1
    kept[200:240] = False
    return kept


TROUBLES = (
    Trouble("every pod restarts hourly", pod_restarts, by_pod=True),
    Trouble("the same, pods split in halves only", pod_restarts),
    Trouble("one pod of twenty is bad for an hour", bad_pod),
    Trouble("errors in heavy-tailed bursts", bursts),
    Trouble("retries double the errors", retries),
    Trouble("no traffic at night", night),
    Trouble("control is deployed in the middle", control_deployed),
    Trouble("clocks skewed by a look, shared x5", skewed_clocks),
    Trouble("noisy, with scrape gaps", noisy, kept=_gaps),
    Trouble("canary drifts (random walk, sd 0.3)", drifting),
)


def minutes(trouble: Trouble, seed: list[int], runs: int, rps: float, factor: float) -> NDArray[np.float64]:
    """Minutes until the rollback of each run, with 24 h of history; inf if there is none in six hours."""
    rng = np.random.default_rng(seed)
    if trouble.by_pod:
        dispersions = pod_history(rng, min(runs, 50), rps)
        dispersions = [dispersions[i % len(dispersions)] for i in range(runs)]
    else:
        blocks = [trouble.stream(Draw(rng, runs, rps, 1.0)) for _ in range(4)]
        dispersions = guardrails.history(blocks, LOOK)
    stream = trouble.stream(Draw(rng, runs, rps, factor))
    look = guardrails.looks_of(stream, LOOK)
    kept = np.ones(LOOKS, dtype=bool) if trouble.kept is None else trouble.kept(rng)
    found = guardrails.rollback_looks(
        guardrails.rate_configs(dispersions), lambda i: look(i) if kept[i] else None, LOOKS
    )
    return found * LOOK / 60


def weeks(seed: list[int], runs: int, factor: float) -> NDArray[np.float64]:
    """Hours until the rollback in 14 days of looks of five minutes: a day's and a week's swing, noise of the arms."""
    rng = np.random.default_rng(seed)
    looks, seconds = 14 * 288, 300.0
    at = np.arange(looks)[:, None]
    day, week = (2 * np.pi * at * seconds / period + rng.uniform(0, 2 * np.pi, runs) for period in (86400, 604800))
    load = 15000 * (1 + 0.6 * np.sin(day)) * (1 + 0.3 * np.sin(week))
    share = BASE * np.exp(0.5 * np.sin(day) + 0.3 * np.sin(week))
    stream = counted(
        rng, load, share * ar1(rng, looks, runs, 0.1), factor * share * ar1(rng, looks, runs, 0.2), weight=0.5
    )
    head = Stream(*(getattr(stream, field.name)[:288] for field in dataclasses.fields(Stream)))
    dispersions = guardrails.history([head], seconds) if factor == 1 else [Dispersion()] * runs
    configs = guardrails.rate_configs(dispersions, hours=14 * 24)
    return guardrails.rollback_looks(configs, guardrails.looks_of(stream, seconds), looks) * seconds / 3600


def bake(
    seed: list[int], runs: int, rps: float, *, incident: bool, factor: float, limit: float | None, hot: bool
) -> NDArray[np.float64]:
    """Minutes of the bake until the rollback: 5 h at 50 % before it, then an hour in which there is no control.

    Args:
        seed: of the generator.
        runs: runs.
        rps: requests a second.
        incident: an incident of x5 for 20 minutes begins in the bake, at any time.
        factor: of the new version's errors from the beginning of the bake on.
        limit: `max`.
        hot: noise and a day's swing as in the noisy cell.
    """
    rng = np.random.default_rng(seed)
    begin = 600
    at = np.arange(LOOKS)[:, None]
    share = np.full((LOOKS, runs), BASE)
    control = canary = share
    if hot:
        share = BASE * np.exp(0.5 * np.sin(2 * np.pi * at * LOOK / 86400 + rng.uniform(0, 2 * np.pi, runs)))
        control, canary = share * ar1(rng, LOOKS, runs, 0.3), share * ar1(rng, LOOKS, runs, 0.6)
    if incident:
        start = rng.integers(begin, LOOKS - INCIDENT, runs)
        canary = np.where((at >= start) & (at < start + INCIDENT), 5 * canary, canary)
    canary = np.where(at >= begin, factor * canary, canary)
    stream = counted(rng, np.full((LOOKS, runs), rps * LOOK), control, canary, weight=0.5)
    also = rng.binomial(stream.control_total, np.clip(canary, 0, 1))
    whole = dataclasses.replace(
        stream,
        canary_total=np.where(at >= begin, stream.canary_total + stream.control_total, stream.canary_total),
        canary_bad=np.where(at >= begin, stream.canary_bad + also, stream.canary_bad),
    )
    configs = guardrails.rate_configs([Dispersion()] * runs, hours=5, max_share=limit)
    found = guardrails.rollback_looks(configs, guardrails.looks_of(whole, LOOK, baking_from=begin), LOOKS)
    return np.where(found > begin, (found - begin) * LOOK / 60, np.where(np.isinf(found), np.inf, -1.0))
