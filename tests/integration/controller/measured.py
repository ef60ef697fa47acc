"""A Prometheus whose hours were written down before: healthy and bad shops, and hours in which nobody scraped them.

Counters are written at times in the past and in the future, so that an hour of looks can be taken in seconds: a look
names its time, and Prometheus answers for that time as it would have then.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.integration.metrics.process import prometheus_of

SCRAPE: Final = 15
RATE: Final = 10
"""Requests a second of each variant."""
_BUCKETS: Final = (("0.1", 0.9), ("0.15", 0.99), ("0.2", 1.0), ("+Inf", 1.0))


@dataclass(frozen=True, slots=True)
class Shop:
    """What Prometheus knows of the shop in one namespace.

    Args:
        namespace: where it is.
        bad_from: Unix time from which a tenth of the canary's requests fail.
        gap: (from, until): Unix times between which there is no sample.
    """

    namespace: str
    bad_from: float = float("inf")
    gap: tuple[float, float] = (0.0, 0.0)


def _lines(shop: Shop, start: int, end: int) -> Iterator[tuple[str, str]]:
    """(metric, line) of all samples of a shop."""
    times = [at for at in range(start, end, SCRAPE) if not shop.gap[0] <= at < shop.gap[1]]
    for variant in ("control", "canary"):
        whose = f'namespace="{shop.namespace}",service="shop",variant="{variant}",pod="{variant}-1"'
        for at in times:
            served = (at - start) * RATE
            failed = max(0, at - shop.bad_from) * RATE // 10 if variant == "canary" else served // 500
            yield "http_requests_total", f'http_requests_total{{{whose},code="200"}} {served - failed:g} {at}'
            yield "http_requests_total", f'http_requests_total{{{whose},code="500"}} {failed:g} {at}'
            for edge, share in _BUCKETS:
                name = "http_request_duration_seconds_bucket"
                yield name, f'{name}{{{whose},le="{edge}"}} {int(served * share)} {at}'


@contextlib.contextmanager
def history(folder: Path, shops: Sequence[Shop], start: int, end: int) -> Iterator[str]:
    """Run Prometheus on the hours from `start` to `end` (Unix times); its address."""
    names = ("http_request_duration_seconds_bucket", "http_requests_total")
    lines = (line for name in names for shop in shops for of, line in _lines(shop, start, end) if of == name)
    with prometheus_of(folder, lines) as address:
        yield address
