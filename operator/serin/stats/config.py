"""What a guardrail is told before its run starts.

Everything here is fixed for a run. A test that is valid at every look has to know its level, its null hypothesis and
its plan of restarts before it sees the first request.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field

MAX_EDGES = 64
"""More edges would cost power (each shares the level) and room in status."""

ASSUMED_TAU2_ERRORS = 0.12
"""tau^2 of a bad share when there is no history: two equal versions differ by a factor of e^(+-0.35), one standard
deviation, over a batch of 20 minutes. docs/design/statistics.md shows why this value, and the next."""

ASSUMED_TAU2_LATENCY = 0.03
"""tau^2 of a slow share when there is no history: a factor of e^(+-0.17), which is what latencies that differ by a few
per cent make of the share beyond a high edge."""

ASSUMED_WEIGHT = 6.0
"""Batches that an assumed tau^2 is worth beside those that are seen."""


@dataclass(frozen=True, slots=True)
class Dispersion:
    """How much two groups of equal pods differ beyond chance.

    Args:
        tau2: variance of the log ratio of the bad shares of two equal groups over a batch of 20 minutes, >= 0. None:
            not known, a cautious default is used.
        hours: hours of history that `tau2` was estimated from; 0 if none.
    """

    tau2: float | None = None
    hours: float = 0.0

    @property
    def assumed(self) -> bool:
        """True if the cautious default is used. Status says so."""
        return self.tau2 is None


@dataclass(frozen=True, slots=True)
class RateConfig:
    """The guardrail on a share of bad requests.

    Args:
        alpha: the part of the experiment's alpha that this guardrail may spend, in (0, 1).
        worse_than_control: margin as a fraction: 0.1 tolerates a bad share of 1.1 times control's. None: not judged.
        max_share: largest tolerated bad share, in (0, 1). None: not judged.
        warn_share: bad share from which on a person is warned, in (0, 1). None: never.
        min_requests: canary requests below which the verdict is Insufficient (the breaker excepted).
        stages: planned seconds of each stage in which control and canary both serve, the bake not included.
        dispersion: overdispersion, from history or assumed.

    Raises:
        ValueError: from `start`, with a sentence that says what to write instead.
    """

    alpha: float
    worse_than_control: float | None
    max_share: float | None
    warn_share: float | None
    min_requests: int
    stages: tuple[float, ...]
    dispersion: Dispersion = field(default_factory=Dispersion)


@dataclass(frozen=True, slots=True)
class LatencyConfig:
    """The guardrail on a latency quantile, judged at histogram edges.

    Args:
        alpha: as in `RateConfig`.
        worse_than_control: margin on the share of requests that are slower than an edge: 0.05 tolerates 1.05 times
            control's share. None: not judged.
        max_seconds: largest tolerated value of the quantile. It must be one of `edges`. None: not judged.
        edges: the histogram's upper bounds in seconds, ascending, without +Inf; at most 64.
        min_requests: as in `RateConfig`.
        stages: as in `RateConfig`.
        quantile: the quantile that is limited and displayed, in (0, 1).
        dispersion: one for all edges, or one per edge.

    Raises:
        ValueError: from `start`, with a sentence that says what to write instead.
    """

    alpha: float
    worse_than_control: float | None
    max_seconds: float | None
    edges: tuple[float, ...]
    min_requests: int
    stages: tuple[float, ...]
    quantile: float = 0.95
    dispersion: Dispersion | tuple[Dispersion, ...] = field(default_factory=Dispersion)


def check(config: RateConfig | LatencyConfig) -> None:
    """Refuse a config that can't be judged.

    Raises:
        ValueError: with a sentence that says what to write instead.
    """
    if not 0 < config.alpha < 1:
        raise ValueError(f"alpha is {config.alpha}; write a probability between 0 and 1, for example 0.05")
    if config.min_requests < 0:
        raise ValueError(f"minRequests is {config.min_requests}; write 0 or more")
    if not config.stages or not all(0 < s < math.inf for s in config.stages):
        raise ValueError("stages needs the planned seconds of each stage, all of them positive")
    margin = config.worse_than_control
    if margin is not None and not 0 <= margin < math.inf:
        raise ValueError(f"worseThanControl is {margin}; write a share of 0 or more, for example 10%")
    if isinstance(config, RateConfig):
        _check_rate(config)
    else:
        _check_latency(config)


def _check_rate(config: RateConfig) -> None:
    shares = {"max": config.max_share, "warn": config.warn_share}
    for name, share in shares.items():
        if share is not None and not 0 < share < 1:
            raise ValueError(f"{name} is {share}; write a share above 0% and below 100%, for example 1%")
    if config.worse_than_control is None and config.max_share is None and config.warn_share is None:
        raise ValueError("nothing to judge; give max, warn or worseThanControl")
    _check_dispersion((config.dispersion,))


def _check_latency(config: LatencyConfig) -> None:
    edges = config.edges
    if not 0 < config.quantile < 1:
        raise ValueError(f"quantile is {config.quantile}; write a number between 0 and 1, for example 0.95")
    if not 0 < len(edges) <= MAX_EDGES:
        raise ValueError(f"the histogram has {len(edges)} edges; 1 to {MAX_EDGES} can be judged")
    if edges[0] <= 0 or edges[-1] == math.inf or not all(a < b for a, b in itertools.pairwise(edges)):
        raise ValueError("edges needs the histogram's upper bounds in seconds, positive, ascending, without +Inf")
    if config.max_seconds is None and config.worse_than_control is None:
        raise ValueError("nothing to judge; give max or worseThanControl")
    if config.max_seconds is not None and config.max_seconds not in edges:
        have = ", ".join(f"{edge:g}" for edge in edges)
        raise ValueError(
            f"max is {config.max_seconds:g} s, but the histogram has no edge there (edges: {have}); "
            f"add the edge {config.max_seconds:g} to the service's buckets, or set max to one of these",
        )
    dispersion = config.dispersion
    if isinstance(dispersion, tuple) and len(dispersion) != len(edges):
        raise ValueError(f"{len(dispersion)} dispersions for {len(edges)} edges; give one, or one per edge")
    _check_dispersion(dispersion if isinstance(dispersion, tuple) else (dispersion,))


def _check_dispersion(dispersions: tuple[Dispersion, ...]) -> None:
    if not all(d.tau2 is None or 0 <= d.tau2 < math.inf for d in dispersions):
        raise ValueError("tau2 is a variance: 0 or more, or None if there is no history")
