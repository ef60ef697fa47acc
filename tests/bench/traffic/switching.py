"""Requests lost by switching 0 -> 5 -> 50 -> 100 -> 0 under load, exactness of each weight, and time to take effect."""

import argparse
import asyncio
import math
import time
from collections import Counter

import numpy as np
from rich.console import Console
from rich.table import Table

from tests.bench.traffic.place import GATEWAY_URL, NODE_PORTS, Driver, connect, has_gateway, spec_of, with_routes
from tests.bench.traffic.probe import Answer, Probe
from tests.demo.kubectl import NAMESPACE, get, kubectl

WEIGHTS = (5, 50, 100, 0)
SERVICE = "recommendation"
_TAKEN = 0.99
_SOME = 20
"""Requests in a row that must be at the new weight: 99 % of fewer would be a matter of luck."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the bench."""
    parser.add_argument("--router", choices=("HTTPRoute", "Replicas"), default="HTTPRoute", help="which router")
    parser.add_argument("--repeats", type=int, default=20, help="times through all weights")
    parser.add_argument("--rate", type=float, default=50.0, help="requests a second")
    parser.add_argument("--total", type=int, default=4, help="pods of control")
    parser.add_argument("--hold", type=float, default=10.0, help="seconds at each weight")


async def run(options: argparse.Namespace, console: Console) -> int:
    """Run the bench; 0 when nothing was lost."""
    routed = options.router == "HTTPRoute"
    if (await get("-n", NAMESPACE, "cex"))["items"]:
        raise RuntimeError("there are experiments in namespace shop: delete them first")
    if routed:
        if not await has_gateway():
            raise RuntimeError("the cluster has no gateway: run `make gateway` first")
        await with_routes()
    await kubectl("-n", NAMESPACE, "scale", f"deployment/{SERVICE}", f"--replicas={options.total}")
    kube = connect()
    driver = Driver(kube, spec_of(SERVICE, options.router), options.total)
    url = GATEWAY_URL if routed else NODE_PORTS[SERVICE]
    try:
        await driver.to(0)
        shares: dict[int, Counter[str]] = {weight: Counter() for weight in WEIGHTS}
        async with Probe(url, options.rate, keep=routed) as probe:
            for number in range(options.repeats):
                for weight in WEIGHTS:
                    await driver.to(weight)
                    begun = time.monotonic()
                    await asyncio.sleep(options.hold)
                    shares[weight].update(each.variant for each in probe.since(begun) if not each.trouble)
                console.print(f"repeat {number + 1}: {len(probe.answers):,} requests, lost {dict(probe.lost) or 0}")
        times = await _taking_effect(driver, options, console) if routed else []
    finally:
        await driver.to(0)
        kube.close()
    _show(console, options, probe, shares, times)
    return 1 if probe.lost else 0


async def _taking_effect(driver: Driver, options: argparse.Namespace, console: Console) -> list[float]:
    """Return, for each of some changes 0 <-> 100, seconds from the start of the write to 99 % at the new weight."""
    # Both variants have all pods, so that a write is nothing but the two numbers.
    await driver.to(100)
    found = []
    async with Probe(GATEWAY_URL, max(200.0, options.rate)) as probe:
        await asyncio.sleep(1)
        for at in range(options.repeats):
            wanted = ("control", "canary")[at % 2]
            begun = time.monotonic()
            await asyncio.to_thread(driver.weigh, 0 if wanted == "control" else 100)
            await asyncio.sleep(4)
            seconds = taken_after(probe.since(begun), wanted, begun)
            found.append(seconds)
            console.print(f"change {at + 1}: all at {wanted} after {seconds * 1000:.0f} ms")
    return found


def taken_after(answers: list[Answer], wanted: str, begun: float) -> float:
    """Return seconds from `begun` to the request from which on 99 % were answered by the wanted variant."""
    right = [each.variant == wanted for each in answers]
    for at in range(len(right) - _SOME):
        rest = right[at:]
        if right[at] and sum(rest) >= _TAKEN * len(rest):
            return answers[at].due - begun
    return math.inf


def _show(
    console: Console,
    options: argparse.Namespace,
    probe: Probe,
    shares: dict[int, Counter[str]],
    times: list[float],
) -> None:
    table = Table("WEIGHT", "REQUESTS", "CANARY", "STANDARD ERROR", box=None, pad_edge=False, header_style="bold")
    for weight, counts in shares.items():
        total = counts.total()
        error = 100 * math.sqrt(weight * (100 - weight) / 1e4 / total) if total else math.nan
        share = 100 * counts["canary"] / total if total else math.nan
        table.add_row(f"{weight}%", f"{total:,}", f"{share:.2f}%", f"{error:.2f}")
    console.print(table)
    changes = options.repeats * len(WEIGHTS)
    console.print(
        f"{options.router}: {len(probe.answers):,} requests at {options.rate:g}/s over {changes} changes of weight,"
        f" {probe.lost.total()} lost {dict(probe.lost) or ''}"
    )
    if times:
        low, middle, high = np.percentile(np.array(times) * 1000, (0, 50, 100))
        console.print(
            f"from the start of the write to 99 % of the requests: {low:.0f} to {high:.0f} ms, median {middle:.0f} ms"
            f" ({len(times)} changes between 0 and 100)"
        )
