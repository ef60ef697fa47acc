"""Requests as users would make them, drawn at random: what a simulated world's Prometheus would have counted."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from serin.engine.observation import VariantCounts

EDGES = (0.01, 0.025, 0.05, 0.075, 0.085, 0.095, 0.105, 0.12, 0.135, 0.145, 0.15, 0.165, 0.2, 0.3, 0.5, 1.0, 2.5)
"""The buckets of the services that come with Serin."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What the generated requests are like, each service alike.

    Args:
        rate: requests per second of each service, both variants together.
        errors: share of requests that fail in both variants.
        p50: median latency in seconds.
        p95: 95th percentile of latency in seconds; the distribution between is log-normal.
    """

    rate: float = 50.0
    errors: float = 0.002
    p50: float = 0.045
    p95: float = 0.110


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with the new version from `after` to `until` seconds after the start.

    Args:
        errors: share of its requests that fail in addition.
        latency: seconds added to each of its requests.
        after: seconds from the start of the experiment.
        service: the service that has it; empty: all.
        until: seconds from the start of the experiment.
        shared: both versions have it: an incident that is nobody's fault.
        split: the canary's share of the traffic, 0 to 1, whatever its route says; None: the route is right.
    """

    errors: float = 0.0
    latency: float = 0.0
    after: float = 0.0
    service: str = ""
    until: float = math.inf
    shared: bool = False
    split: float | None = None

    def active(self, service: str, at: float) -> bool:
        """Whether a service has it so many seconds after the start."""
        return self.after <= at < self.until and self.service in {"", service}


def combined(active: Sequence[Fault], traffic: Traffic) -> tuple[float, float]:
    """(error share, added latency) of a version that has these faults."""
    share = 1 - (1 - traffic.errors) * math.prod(1 - each.errors for each in active)
    return share, sum(each.latency for each in active)


def variant(random: np.random.Generator, traffic: Traffic, requests: int, wrong: tuple[float, float]) -> VariantCounts:
    """What would be counted of so many requests to a version.

    Args:
        random: draws errors and latencies.
        traffic: what the requests are like.
        requests: how many there were.
        wrong: the version's error share, and the seconds that it adds to each request.
    """
    share, latency = wrong
    sigma = math.log(traffic.p95 / traffic.p50) / 1.6448536269514722
    shifted = np.maximum(np.array(EDGES) - latency, 1e-9)
    z = (np.log(shifted) - math.log(traffic.p50)) / sigma
    cdf = np.array([0.5 * math.erfc(-value / math.sqrt(2)) for value in z])
    parts = np.diff(np.concatenate(([0.0], cdf, [1.0]))).clip(0.0)
    buckets = random.multinomial(requests, parts / parts.sum())
    within = tuple(int(value) for value in np.cumsum(buckets)[:-1])
    errors = int(random.binomial(requests, min(1.0, share)))
    return VariantCounts(requests, errors, EDGES, within, requests)
