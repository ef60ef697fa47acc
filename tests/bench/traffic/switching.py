"""Requests lost by switching 0 -> 5 -> 50 -> 100, promotion, -> 0 under load; exactness; time to take effect."""

import argparse
import asyncio
import json
import math
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from tests.bench.traffic.place import GATEWAY_URL, NODE_PORTS, SERVICE, Driver, alone, connect, spec_of, with_gateway
from tests.bench.traffic.probe import Answer, Probe
from tests.demo.kubectl import NAMESPACE, kubectl

WEIGHTS = (5, 50, 100, 0)
_TAKEN = 0.99
_SOME = 20
"""Requests in a row that must be at the new weight: 99 % of fewer would be a matter of luck."""


@dataclass
class Found:
    """What came of the repeats so far."""

    requests: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    shares: dict[int, Counter[str]] = field(default_factory=lambda: {weight: Counter() for weight in WEIGHTS})
    """By weight: who answered while it was in force."""
    taken: dict[int, list[float]] = field(default_factory=lambda: {weight: [] for weight in WEIGHTS[-2:]})
    """By weight: seconds from the write that moved the requests to 99 % of them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the bench."""
    parser.add_argument("--router", choices=("HTTPRoute", "Replicas"), default="HTTPRoute", help="which router")
    parser.add_argument("--repeats", type=int, default=20, help="times through all weights")
    parser.add_argument("--rate", type=float, default=50.0, help="requests a second")
    parser.add_argument("--total", type=int, default=4, help="pods of control")
    parser.add_argument("--hold", type=float, default=5.0, help="seconds at each weight")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers here")


async def run(options: argparse.Namespace, console: Console) -> int:
    """Run the bench; 0 when nothing was lost."""
    routed = options.router == "HTTPRoute"
    await (with_gateway() if routed else alone())
    await kubectl("-n", NAMESPACE, "scale", f"deployment/{SERVICE}", f"--replicas={options.total}")
    kube = connect()
    driver, found = Driver(kube, spec_of(SERVICE, options.router), options.total), Found()
    url = GATEWAY_URL if routed else NODE_PORTS[SERVICE]
    try:
        await driver.to(0)
        for number in range(options.repeats):
            # A probe for each: what is under way at the end of a repeat is waited for, and memory stays flat.
            async with Probe(url, options.rate, keep=routed) as probe:
                for weight in WEIGHTS:
                    begun = await driver.to(weight)
                    settled = time.monotonic()
                    await asyncio.sleep(options.hold)
                    found.shares[weight].update(each.variant for each in probe.since(settled) if not each.trouble)
                    if weight in found.taken:
                        wanted = "canary" if weight else "control"
                        found.taken[weight].append(taken_after(probe.since(begun), wanted, begun))
                    if weight == max(WEIGHTS):
                        await driver.promote(f"{time.time():.0f}")
            found.requests += len(probe.answers)
            found.lost += probe.lost
            console.print(_so_far(number, found))
    finally:
        await driver.to(0)
        kube.close()
    _show(console, options, found)
    if options.json:
        options.json.write_text(json.dumps(as_json(options, found), indent=2) + "\n", encoding="utf-8")
    return 1 if found.lost else 0


def _so_far(number: int, found: Found) -> str:
    times = ", ".join(f"all at {weight}% after {each[-1] * 1000:.0f} ms" for weight, each in found.taken.items())
    return f"repeat {number + 1}: {found.requests:,} requests, lost {dict(found.lost) or 0}; {times}"


def taken_after(answers: list[Answer], wanted: str, begun: float) -> float:
    """Return seconds from `begun` to the request from which on 99 % were answered by the wanted variant."""
    right = [each.variant == wanted for each in answers]
    for at in range(len(right) - _SOME):
        rest = right[at:]
        if right[at] and sum(rest) >= _TAKEN * len(rest):
            return answers[at].due - begun
    return math.inf


def _show(console: Console, options: argparse.Namespace, found: Found) -> None:
    table = Table("WEIGHT", "REQUESTS", "CANARY", "STANDARD ERROR", box=None, pad_edge=False, header_style="bold")
    for weight, counts in found.shares.items():
        total = counts.total()
        error = 100 * math.sqrt(weight * (100 - weight) / 1e4 / total) if total else math.nan
        share = 100 * counts["canary"] / total if total else math.nan
        table.add_row(f"{weight}%", f"{total:,}", f"{share:.2f}%", f"{error:.2f}")
    console.print(table)
    changes = options.repeats * len(WEIGHTS)
    console.print(
        f"{options.router}: {found.requests:,} requests at {options.rate:g}/s over {changes} changes of weight and"
        f" {options.repeats} promotions, {found.lost.total()} lost {dict(found.lost) or ''}"
    )
    for weight, times in found.taken.items():
        low, middle, high = np.percentile(np.array(times) * 1000, (0, 50, 100))
        console.print(
            f"from the start of the write to 99 % of the requests at {weight}%: {low:.0f} to {high:.0f} ms, median"
            f" {middle:.0f} ms ({len(times)} changes)"
        )


def as_json(options: argparse.Namespace, found: Found) -> dict[str, Any]:
    """Return everything that was measured; milliseconds."""
    return {
        "router": options.router,
        "repeats": options.repeats,
        "rate": options.rate,
        "requests": found.requests,
        "lost": dict(found.lost),
        "answered": {str(weight): dict(counts) for weight, counts in found.shares.items()},
        "taken_ms": {str(weight): [round(each * 1000, 1) for each in times] for weight, times in found.taken.items()},
    }
