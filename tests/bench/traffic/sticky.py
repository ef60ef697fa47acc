"""Whether users stay: 5,000 of them over rising weights, predicted against served, and the sample ratio."""

import argparse
import asyncio
import json
from typing import Any

from rich.console import Console
from rich.table import Table

from serin.traffic.presets import gateway_api
from serin.traffic.sticky import chosen, hashing
from tests.bench.traffic.place import GATEWAY_URL, SERVICE, Driver, connect, spec_of, with_gateway
from tests.bench.traffic.probe import variants
from tests.bench.traffic.ratio import sample_ratio
from tests.demo.kubectl import NAMESPACE, get, kubectl

WEIGHTS = (5, 10, 25, 50, 0, 5)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the bench."""
    parser.add_argument("--users", type=int, default=5000, help="users")
    parser.add_argument("--total", type=int, default=4, help="pods of control")


async def run(options: argparse.Namespace, console: Console) -> int:
    """Run the bench; 0 when nobody was mispredicted and nobody left."""
    await with_gateway()
    await kubectl("-n", NAMESPACE, "scale", f"deployment/{SERVICE}", f"--replicas={options.total}")
    users = [f"u-{number:05}" for number in range(options.users)]
    kube = connect()
    driver = Driver(kube, spec_of(SERVICE, "HTTPRoute"), options.total)
    table = Table("WEIGHT", "CANARY", "MISPREDICTED", "LEFT", "SRM", box=None, pad_edge=False, header_style="bold")
    wrong = left = 0
    before: set[str] = set()
    last = 0
    try:
        for weight in WEIGHTS:
            await driver.to(weight)
            served = await variants(GATEWAY_URL, users)
            expected = await predicted(users)
            missed = sum(one != other for one, other in zip(served, expected, strict=True))
            group = {user for user, each in zip(users, served, strict=True) if each == "canary"}
            gone = len(before - group) if weight >= last else 0
            wrong, left, before, last = wrong + missed, left + gone, group, weight
            ratio = f"{sample_ratio(served, weight).evidence:.2g}" if weight else "-"
            table.add_row(f"{weight}%", f"{100 * len(group) / len(users):.2f}%", f"{missed}", f"{gone}", ratio)
        await driver.to(25)
        quiet = sample_ratio(await variants(GATEWAY_URL, users), 25)
        # Somebody skews the sticky rule on purpose: 30 where 25 is meant.
        await _skew(30)
        loud = sample_ratio(await variants(GATEWAY_URL, users), 25)
    finally:
        await driver.to(0)
        kube.close()
    console.print(table)
    console.print(f"{len(users):,} users: {wrong} mispredicted, {left} left the canary while the weight rose")
    console.print(
        f"sample ratio at 25 %, evidence as a multiple of its limit: {quiet.evidence:.2g} on the sticky route,"
        f" {loud.evidence:.2g} when it is skewed to 30 % ({loud.reason})"
    )
    return 0 if wrong == left == 0 and loud.holds and not quiet.holds else 1


async def predicted(users: list[str]) -> list[str]:
    """Return what `kubectl serin whois` answers, from the route and the policies in the cluster."""
    route: dict[str, Any] = await get("-n", NAMESPACE, "httproute", SERVICE)
    policies = (await get("-n", NAMESPACE, "backendtrafficpolicies"))["items"]
    clients = (await get("-n", "gateway", "clienttrafficpolicies"))["items"]
    split = next(each for each in gateway_api(route, NAMESPACE) if each.name == "sticky")
    hashed = hashing(route, split.name, policies, clients)
    if hashed is None:
        raise RuntimeError("no policy makes the rule sticky")
    return [chosen(split, hashed.number(user))[0].removeprefix(f"{SERVICE}-") for user in users]


async def _skew(weight: int) -> None:
    patch = [
        {"op": "replace", "path": f"/spec/rules/0/backendRefs/{at}/weight", "value": value}
        for at, value in enumerate((weight, 100 - weight))
    ]
    await kubectl("-n", NAMESPACE, "patch", "httproute", SERVICE, "--type=json", "-p", json.dumps(patch))
    await asyncio.sleep(3)  # until the proxies have it
