"""Whole rollouts through a real gateway: exact shares, users that stay, and every way in which a route can be hurt."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.bench.traffic.place import GATEWAY_URL, has_gateway, with_routes, without_routes
from tests.bench.traffic.probe import Probe, variants
from tests.demo.follow import ended
from tests.demo.kubectl import NAMESPACE, get, kubectl
from tests.e2e.shop import CONTROL_PODS, LONG, Shop

SERVICE = "recommendation"
CANARY = f"{SERVICE}-phase4"
RATE = 25.0
CONTROLLER = ("-n", "envoy-gateway-system", "deployment/envoy-gateway")
USERS = [f"u-{number:04}" for number in range(1000)]


@pytest.fixture
async def routed(shop: Shop) -> AsyncIterator[Shop]:
    """The shop behind the gateway, with all traffic at control; without the gateway there is nothing to test."""
    if not await has_gateway():
        pytest.skip("the cluster has no gateway: `make gateway` installs it, in 17 minutes the first time")
    await with_routes()
    yield shop
    await shop.clean()
    await without_routes()


def through(*services: str) -> list[dict[str, Any]]:
    """Return services of the shop whose split is their route's."""
    return [
        {
            "name": name,
            "control": {"deployment": name},
            "canary": {"deployment": f"{name}-phase4"},
            "traffic": {"type": "HTTPRoute", "httpRoute": {"name": name}},
        }
        for name in services
    ]


async def weights(name: str = SERVICE) -> list[list[int]]:
    """Return the weights of each rule of a route, canary first."""
    route = await get("-n", NAMESPACE, "httproute", name)
    return [[ref["weight"] for ref in rule["backendRefs"]] for rule in route["spec"]["rules"]]


async def at(shop: Shop, name: str, weight: int) -> None:
    """Wait until an experiment is in a stage and its weight is in force."""

    def there(seen: Any) -> bool:
        done = (seen.status.get("step") or {}).get("done")
        return bool(seen.phase == "Progressing" and seen.status["weight"] == weight and done)

    await shop.until(name, there)


async def share(seconds: float) -> float:
    """Return the canary's share of requests without a user, in percent."""
    async with Probe(GATEWAY_URL, 100) as probe:
        await asyncio.sleep(seconds)
    assert not probe.lost, probe.lost
    counts = Counter(each.variant for each in probe.answers)
    return 100 * counts["canary"] / counts.total()


async def test_a_good_release_is_promoted_through_the_route(routed: Shop) -> None:
    """Both services reach their weights exactly and together, are promoted, and no request fails on the way."""
    async with Probe(GATEWAY_URL, RATE) as probe, routed.load():
        await routed.start("routed", services=through(SERVICE, "conversation"))
        await at(routed, "routed", 25)
        assert await weights() == [[25, 75], [25, 75]]
        assert (await routed.replicas())[SERVICE] == CONTROL_PODS, "control stays whole"
        seen = await routed.until("routed", ended, wait=300)
    assert seen.phase == "Succeeded", seen.status["message"]
    assert await weights() == [[0, 100], [0, 100]]
    await routed.control_alone()
    assert await routed.engine(SERVICE) == "phase4"
    assert not probe.lost, probe.lost


async def test_users_stay_and_shares_are_exact(routed: Shop) -> None:
    """From 25 to 50 % nobody leaves the canary, the status says the exact share, and anonymous requests split too."""
    async with routed.load():
        await routed.start("sticky", services=through(SERVICE))
        await at(routed, "sticky", 25)
        first = await variants(GATEWAY_URL, USERS)
        assert abs(await share(10) - 25) < 5.5  # 1,000 requests: four standard errors
        await at(routed, "sticky", 50)
        second = await variants(GATEWAY_URL, USERS)
    assert not [user for user, one, two in zip(USERS, first, second, strict=True) if one == "canary" != two]
    assert Counter(first)["canary"] / len(USERS) == pytest.approx(0.25, abs=0.05)
    assert Counter(second)["canary"] / len(USERS) == pytest.approx(0.50, abs=0.05)


async def test_a_dead_canary_is_left_at_once(routed: Shop) -> None:
    """With no canary pod left, an abort brings all traffic back without waiting for anything."""
    async with routed.load():
        await routed.start("dead", services=through(SERVICE), stages=LONG)
        await at(routed, "dead", 25)
        await kubectl("-n", NAMESPACE, "scale", f"deployment/{CANARY}", "--replicas=0")
        pods = f"app.kubernetes.io/name={SERVICE},serin.dev/variant=canary"
        await kubectl("-n", NAMESPACE, "delete", "pod", "-l", pods, "--grace-period=0", "--force")
        begun = time.monotonic()
        await routed.patch("dead", abort=True)
        await until_weights([[0, 100], [0, 100]])
        assert time.monotonic() - begun < 15
        seen = await routed.until("dead", ended, wait=90)
    assert seen.phase == "RolledBack", seen.status["message"]


async def until_weights(wanted: list[list[int]], wait: float = 30.0) -> None:
    """Wait until the route says these weights."""
    deadline = time.monotonic() + wait
    while (found := await weights()) != wanted:
        assert time.monotonic() < deadline, f"wanted {wanted}, found {found}"
        await asyncio.sleep(0.5)


async def test_a_rollback_while_the_controller_is_down(routed: Shop) -> None:
    """The weights are written, the canary keeps its pods while it is still served, and the status says why."""
    async with Probe(GATEWAY_URL, RATE) as probe, routed.load():
        await routed.start("headless", services=through(SERVICE), stages=LONG)
        await at(routed, "headless", 25)
        await kubectl(*CONTROLLER[:2], "scale", CONTROLLER[2], "--replicas=0")
        try:
            await kubectl(*CONTROLLER[:2], "wait", "--for=delete", "pod", "-l", "control-plane=envoy-gateway",
                          "--timeout=60s", wait=70)  # fmt: skip
            await routed.patch("headless", abort=True)
            await until_weights([[0, 100], [0, 100]])
            seen = await routed.until("headless", lambda seen: "follows generation" in seen.status.get("message", ""))
            assert seen.phase == "RollingBack"
            await asyncio.sleep(15)
            assert (await routed.replicas())[CANARY] == 1, "it is still served"
        finally:
            await kubectl(*CONTROLLER[:2], "scale", CONTROLLER[2], "--replicas=1")
            await kubectl(*CONTROLLER[:2], "rollout", "status", CONTROLLER[2], "--timeout=120s", wait=130)
        seen = await routed.until("headless", ended, wait=120)
        await routed.control_alone()
    assert seen.phase == "RolledBack", seen.status["message"]
    assert not probe.lost, probe.lost


async def test_a_deleted_route_holds_and_can_be_aborted(routed: Shop) -> None:
    """A route that is gone in a stage is named and holds; an abort then ends, for the route leads nobody anywhere."""
    async with routed.load():
        await routed.start("lost", services=through(SERVICE), stages=LONG)
        await at(routed, "lost", 25)
        await kubectl("-n", NAMESPACE, "delete", "httproute", SERVICE)
        seen = await routed.until("lost", lambda seen: seen.phase == "Holding", wait=60)
        assert seen.status["reason"] == "RouteNotFollowed"
        assert f"HTTPRoute {SERVICE} is gone: create it again" in seen.status["message"]
        await routed.patch("lost", abort=True)
        seen = await routed.until("lost", ended, wait=90)
        await routed.control_alone()
    assert seen.phase == "RolledBack", seen.status["message"]


async def test_somebody_elses_edit_is_kept_and_their_weights_are_not(routed: Shop) -> None:
    """A foreign rule stays through a rollback; weights that somebody set are set right, and counted anew."""
    async with routed.load():
        await routed.start("edited", services=through(SERVICE), stages=LONG)
        await at(routed, "edited", 25)
        rule = {
            "name": "foreign",
            "matches": [{"path": {"type": "Exact", "value": "/foreign"}}],
            "backendRefs": [{"name": f"{SERVICE}-control", "port": 80}],
        }
        patch = [
            {"op": "add", "path": "/spec/rules/0", "value": rule},
            {"op": "replace", "path": "/spec/rules/1/backendRefs/0/weight", "value": 90},
        ]
        await kubectl("-n", NAMESPACE, "patch", "httproute", SERVICE, "--type=json", "-p", json.dumps(patch))
        await until_weights([[1], [25, 75], [25, 75]])
        await at(routed, "edited", 25)
        await routed.patch("edited", abort=True)
        seen = await routed.until("edited", ended, wait=90)
    assert seen.phase == "RolledBack", seen.status["message"]
    assert await weights() == [[1], [0, 100], [0, 100]]


async def test_two_experiments_behind_one_gateway(routed: Shop) -> None:
    """One is aborted, and the other's route, weight and phase do not move."""
    async with routed.load():
        await routed.start("one", services=through(SERVICE), stages=LONG)
        await routed.start("two", services=through("conversation"), stages=LONG)
        await at(routed, "one", 25)
        await at(routed, "two", 25)
        before = (await get("-n", NAMESPACE, "httproute", "conversation"))["metadata"]["generation"]
        await routed.patch("one", abort=True)
        seen = await routed.until("one", ended, wait=90)
        assert seen.phase == "RolledBack"
        await routed.stays("two", lambda seen: (seen.phase, seen.status["weight"]) == ("Progressing", 25), seconds=15)
        assert (await get("-n", NAMESPACE, "httproute", "conversation"))["metadata"]["generation"] == before
    assert await weights("conversation") == [[25, 75], [25, 75]]
