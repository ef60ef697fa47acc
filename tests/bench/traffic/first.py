"""What a backend's first and last share cost: weights written at once, and with a trace before and after them.

The weights alone are changed, by hand and with all pods there, so nothing else can fail a request. `switching` has the
routers and the pods.
"""

import argparse
import asyncio

from rich.console import Console
from rich.table import Table

from serin.kube.client import JSON_PATCH
from serin.traffic.approach import following
from serin.traffic.presets import HTTP_ROUTE, gateway_api
from serin.traffic.splits import FULL, Pair
from tests.bench.traffic.place import GATEWAY_URL, SERVICE, Watched, connect, with_gateway
from tests.bench.traffic.probe import Probe
from tests.demo.kubectl import NAMESPACE, kubectl

API, PLURAL = HTTP_ROUTE.api_version, HTTP_ROUTE.plural


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the bench."""
    parser.add_argument("--repeats", type=int, default=20, help="times there and back")
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second")
    parser.add_argument("--gap", type=float, default=1.0, help="seconds between two writes")
    parser.add_argument("--total", type=int, default=2, help="pods of each variant")


async def run(options: argparse.Namespace, console: Console) -> int:
    """Run the bench; 0 when nothing was lost with a trace."""
    await with_gateway()
    for name in (SERVICE, f"{SERVICE}-phase4"):
        await kubectl("-n", NAMESPACE, "scale", f"deployment/{name}", f"--replicas={options.total}")
        await kubectl("-n", NAMESPACE, "rollout", "status", f"deployment/{name}", "--timeout=180s", wait=190)
    table = Table("WEIGHTS", "WRITTEN", "CHANGES", "REQUESTS", "LOST", box=None, pad_edge=False, header_style="bold")
    kube, lost = connect(), 0
    try:
        for high in (50, FULL):
            for finest, how in ((FULL, "at once"), (HTTP_ROUTE.finest, "with a trace")):
                async with Probe(GATEWAY_URL, options.rate) as probe:
                    for _ in range(options.repeats):
                        for weight in (high, 0):
                            await _go(kube, weight, finest, options.gap)
                lost += probe.lost.total() if finest > FULL else 0
                table.add_row(
                    f"0 <-> {high}%",
                    how,
                    f"{2 * options.repeats}",
                    f"{len(probe.answers):,}",
                    f"{dict(probe.lost) or 0}",
                )
                console.print(f"0 <-> {high}% {how}: {len(probe.answers):,} requests, lost {dict(probe.lost) or 0}")
    finally:
        await _go(kube, 0, FULL, 0.0)
        kube.close()
    console.print(table)
    return 1 if lost else 0


async def _go(kube: Watched, weight: int, finest: int, gap: float) -> None:
    """Write every number on the way to a weight, each after a gap for the proxies."""
    while True:
        route = await asyncio.to_thread(kube.get, API, PLURAL, NAMESPACE, SERVICE)
        rules = [Pair(each, each.backends[1], each.backends[0]) for each in gateway_api(route, NAMESPACE)]
        if all(each.written(weight) for each in rules):
            return
        patch = []
        for each in rules:
            both = following(each, weight, finest, urgent=False)
            for backend, number in zip((each.canary, each.control), both, strict=True):
                patch.append({"op": "replace", "path": backend.path, "value": number})
        await asyncio.to_thread(kube.patch, API, PLURAL, NAMESPACE, SERVICE, patch, JSON_PATCH)
        await asyncio.sleep(gap)
