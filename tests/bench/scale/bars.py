"""What has to hold, and whether it does."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tests.bench.scale.found import Found
from tests.bench.scale.peers import PEERS

_THOUSAND: Final = 1000
_MOST: Final = 5000
_PEERS: Final = 300
_SPREAD: Final = 1.25
"""Largest over smallest rate of queries that still counts as independent of N."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A number that must not exceed its limit.

    Attributes:
        name: what it is of.
        value: measured.
        limit: the most.
        unit: behind both.
    """

    name: str
    value: float
    limit: float
    unit: str = ""

    @property
    def holds(self) -> bool:
        """True if the value is there and at most the limit."""
        return math.isfinite(self.value) and self.value <= self.limit


def bars(found: Sequence[Found]) -> list[Bar]:
    """All that apply to the sizes that were measured."""
    made = [bar for each in found for bar in _of(each)]
    rates = [each.used.queries() for each in found]
    if len(rates) > 1:
        text = "Prometheus queries, largest N against smallest"
        made.append(Bar(text, found[-1].used.queries() / max(min(rates), 1e-9), _SPREAD, "x"))
    return made


def _of(each: Found) -> Iterator[Bar]:
    n = f"N={each.size:,}"
    yield Bar(f"{n}: API writes per idle look", each.idle_writes, 0.0)
    yield Bar(f"{n}: looks that are missing", max(0.0, 100 * (1 - each.looks / each.expected)), 1.0, "%")
    if each.size == _THOUSAND:
        yield Bar(f"{n}: look lag P99", each.lag(0.99), 1.0, "s")
        yield Bar(f"{n}: CPU", each.used.cores("operator"), 0.25, "cores")
        yield Bar(f"{n}: RSS", each.used.rss("operator"), 200.0, "MiB")
    if each.size == _MOST:
        yield Bar(f"{n}: look lag P99", each.lag(0.99), each.interval, "s")
    if each.size == _PEERS:
        yield Bar(f"{n}: API requests", each.requests, 1.0, "/s")
        yield Bar(f"{n}: Prometheus queries", each.used.queries(), 0.2, "/s")
        yield Bar(f"{n}: CPU", each.used.cores("operator"), 0.1, "cores")
        yield Bar(f"{n}: gap between looks P99", each.gap(0.99), each.interval + 1, "s")
    if each.back:
        yield Bar(f"{n}: spoilt canaries that kept traffic", float(sum(map(math.isinf, each.back))), 0.0)


def beaten(each: Found) -> dict[str, bool]:
    """By measure: whether the figure is better than that of each peer at the same N."""
    peers = PEERS.get(each.size, {}).values()
    if not peers:
        return {}
    return {
        "requests": each.requests < min(peer.requests for peer in peers),
        "queries": each.used.queries() < min(peer.queries for peer in peers),
        "cpu": each.used.cores("operator") < min(peer.cpu for peer in peers),
        "rss": each.used.rss("operator") < min(peer.rss for peer in peers),
        "gap": each.gap(0.99) <= min(peer.gap[1] for peer in peers),
        "apiserver": each.used.cores("kube-apiserver") < min(peer.apiserver for peer in peers),
    }
