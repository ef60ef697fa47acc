"""What a guardrail is told before its run starts.

Everything here is fixed for a run. A test that is valid at every look has to know its level, its null hypothesis and
its plan of restarts before it sees the first request.
"""

from __future__ import annotations

from dataclasses import dataclass, field

ASSUMED_TAU2 = 0.1
"""tau^2 when there is no history: two equal versions differ by a factor of e^(+-0.32) in a batch of 20 minutes.
docs/design/statistics.md shows why this value."""


@dataclass(frozen=True, slots=True)
class Dispersion:
    """How much two groups of equal pods differ beyond chance.

    Args:
        tau2: variance of the log ratio of the bad shares of two equal groups over a batch of 20 minutes, >= 0. None:
            not known, a cautious default is used (`ASSUMED_TAU2`).
        hours: hours of history that `tau2` was estimated from; 0 if none.
    """

    tau2: float | None = None
    hours: float = 0.0

    @property
    def assumed(self) -> bool:
        """True if the cautious default is used. Status says so."""
        return self.tau2 is None

    @property
    def value(self) -> float:
        """The tau^2 in force."""
        return ASSUMED_TAU2 if self.tau2 is None else self.tau2


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
