"""Plain bounds on counts: the baseline of the bake, and quantiles for display."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def upper_share(bad: int, total: int, log_odds: float) -> float:
    """Upper confidence bound of a share, by Chernoff's bound: the largest p with total * KL(bad/total, p) <= log_odds.

    Args:
        bad: bad requests.
        total: all requests; 0 gives the bound 1.
        log_odds: log(1/level), times the overdispersion if there is any.

    Source:
        Hoeffding 1963, theorem 1.
    """
    if total == 0 or bad >= total:
        return 1.0
    observed = bad / total
    low, high = observed, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        divergence = (1 - observed) * (math.log1p(-observed) - math.log1p(-middle))
        if observed > 0:
            divergence += observed * math.log(observed / middle)
        low, high = (middle, high) if total * divergence <= log_odds else (low, middle)
    return high


def interpolated_quantile(edges: Sequence[float], counts: Sequence[int], total: int, quantile: float) -> float | None:
    """A quantile as Prometheus' histogram_quantile gives it: linear within a bucket. For display only.

    Args:
        edges: upper bounds in seconds, ascending.
        counts: cumulative counts, one per edge.
        total: all requests.
        quantile: in (0, 1).

    Returns:
        Seconds; the last edge if the quantile lies above it; None without requests.
    """
    if total == 0:
        return None
    rank = quantile * total
    below_edge, below = 0.0, 0
    for edge, count in zip(edges, counts, strict=True):
        if count >= rank:
            inside = count - below
            return below_edge + (edge - below_edge) * ((rank - below) / inside if inside else 1.0)
        below_edge, below = edge, count
    return edges[-1]
