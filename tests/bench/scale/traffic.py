"""The metrics of all services as one program: counters that rise as those of pods with users do.

    python -m tests.bench.scale.traffic --port 9100

Requests are Poisson, errors binomial, latencies multinomial over the buckets of the services that come with Serin, all
drawn at each scrape for the time since the last one. Prometheus scrapes it as it would scrape pods, in parts.

GET /metrics/<part>; POST /size/<experiments>; POST /worse/<factor> with a JSON list of experiments.
"""

import argparse
import time
from typing import Final

import numpy as np
from aiohttp import web

from serin.engine.generated import EDGES, Traffic
from tests.bench.scale.shop import SERVICES, namespace, service_names

PART: Final = 250
"""Experiments in one answer."""
_VARIANTS: Final = ("control", "canary")
_USUAL: Final = Traffic()
_CELLS: Final = 2 + len(EDGES) + 3
"""Series of a variant: two codes, the buckets with +Inf, sum and count."""


class Part:
    """The counters of some experiments.

    Args:
        first: number of the first experiment.
        seed: of the random numbers.
    """

    def __init__(self, first: int, seed: int) -> None:
        self._first, self._size = first, 0
        self._random = np.random.default_rng([seed, first])
        self._names: list[str] = []
        self._counts = np.zeros((0, _CELLS), dtype=np.int64)
        self._errors = np.zeros(0)
        self._at = time.monotonic()

    def grow(self, size: int) -> None:
        """Have `size` experiments."""
        self._advance()
        new = range(self._first + self._size, self._first + size)
        for number in new:
            for service in service_names(number):
                for variant in _VARIANTS:
                    self._names += _series(namespace(number), service, variant)
        rows = len(new) * SERVICES * len(_VARIANTS)
        self._counts = np.concatenate([self._counts, np.zeros((rows, _CELLS), dtype=np.int64)])
        self._errors = np.concatenate([self._errors, np.full(rows, _USUAL.errors)])
        self._size = max(size, self._size)

    def spoil(self, number: int, factor: float) -> None:
        """Multiply the errors of an experiment's canaries, from now on."""
        self._advance()
        rows = SERVICES * len(_VARIANTS)
        begin = (number - self._first) * rows
        self._errors[begin + 1 : begin + rows : 2] = _USUAL.errors * factor

    def text(self) -> str:
        """Return the page that Prometheus reads."""
        self._advance()
        values = self._counts.reshape(-1).tolist()
        return "".join([f"{name} {value}\n" for name, value in zip(self._names, values, strict=True)])

    def _advance(self) -> None:
        now = time.monotonic()
        elapsed, self._at = now - self._at, now
        if not self._size:
            return
        requests = self._random.poisson(_USUAL.rate / len(_VARIANTS) * elapsed, len(self._counts))
        failed = self._random.binomial(requests, self._errors)
        buckets = self._random.multinomial(requests, SHARES)
        self._counts[:, 0] += requests - failed
        self._counts[:, 1] += failed
        self._counts[:, 2:-2] += buckets.cumsum(axis=1)
        self._counts[:, -2] += (requests * _USUAL.p50).astype(np.int64)
        self._counts[:, -1] += requests


def _shares() -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """The share of requests in each bucket: latencies are log-normal, as in `kubectl serin simulate`."""
    from scipy.special import ndtr  # noqa: PLC0415 - slow to import, once

    sigma = np.log(_USUAL.p95 / _USUAL.p50) / 1.6448536269514722
    below = ndtr((np.log(EDGES) - np.log(_USUAL.p50)) / sigma)
    shares: np.ndarray[tuple[int], np.dtype[np.float64]] = np.diff(np.concatenate([[0.0], below, [1.0]]))
    shares /= shares.sum()
    return shares


SHARES: Final = _shares()
"""Shares of requests by bucket, the last one beyond all edges."""


def _series(namespace: str, service: str, variant: str) -> list[str]:
    labels = f'namespace="{namespace}",service="{service}",variant="{variant}",pod="{service}-{variant}-x7k2p"'
    duration = "http_request_duration_seconds"
    return [
        *(f'http_requests_total{{{labels},code="{code}"}}' for code in (200, 500)),
        *(f'{duration}_bucket{{{labels},le="{edge}"}}' for edge in (*EDGES, "+Inf")),
        f"{duration}_sum{{{labels}}}",
        f"{duration}_count{{{labels}}}",
    ]


class Shop:
    """All parts, as pages."""

    def __init__(self) -> None:
        self._parts: dict[int, Part] = {}

    async def metrics(self, request: web.Request) -> web.Response:
        """One part."""
        part = self._parts.get(int(request.match_info["part"]))
        return web.Response(text=part.text() if part is not None else "", content_type="text/plain")

    async def size(self, request: web.Request) -> web.Response:
        """Have so many experiments."""
        size = int(request.match_info["size"])
        for index in range(-(-size // PART)):
            part = self._parts.setdefault(index, Part(index * PART, seed=1))
            part.grow(min(PART, size - index * PART))
        return web.Response(text="ok\n")

    async def worse(self, request: web.Request) -> web.Response:
        """Spoil the canaries of some experiments."""
        for number in await request.json():
            self._parts[number // PART].spoil(number, float(request.match_info["factor"]))
        return web.Response(text="ok\n")


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="on the loopback")
    options = parser.parse_args()
    shop, app = Shop(), web.Application()
    app.add_routes(
        [
            web.get("/metrics/{part}", shop.metrics),
            web.post("/size/{size}", shop.size),
            web.post("/worse/{factor}", shop.worse),
        ]
    )
    web.run_app(app, host="127.0.0.1", port=options.port, access_log=None, print=None)


if __name__ == "__main__":
    main()
