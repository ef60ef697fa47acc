"""Whole rollouts through a real gateway: exact shares, users that stay, and every way in which a route can be hurt."""

import asyncio
import contextlib
import json
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.bench.traffic.place import GATEWAY_URL, connect, has_gateway, with_routes, without_routes
from tests.bench.traffic.probe import Probe, variants
from tests.bench.traffic.sticky import predicted
from tests.demo.follow import Seen, ended
from tests.demo.kubectl import NAMESPACE, apply, environment, get, kubectl
from tests.e2e.shop import CONTROL_PODS, LENIENT, LONG, RATE, STAGES, Shop
from tests.load import Load

SERVICE = "recommendation"
CANARY = f"{SERVICE}-phase4"
CONTROLLER = ("-n", "envoy-gateway-system", "deployment/envoy-gateway")
USERS = [f"u-{number:04}" for number in range(1000)]
EXACT = [{"name": "canary", "weight": 5, "duration": "30s"}, {"name": "ab", "weight": 50, "duration": "30s"}]
TRACE = 0.001
"""Percent: what a backend keeps for a moment before it has nothing is far below."""
FOREIGN = {
    "name": "foreign",
    "matches": [{"path": {"type": "Exact", "value": "/foreign"}}],
    "backendRefs": [{"name": f"{SERVICE}-control", "port": 80, "weight": 7}],
}


class Routed:
    """The shop behind the gateway; every load comes through it."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop

    def load(self) -> contextlib.AbstractAsyncContextManager[Load]:
        """Send requests of users to both services as long as the block runs."""
        return self.shop.load(GATEWAY_URL)

    async def start(self, name: str, *services: str, **spec: Any) -> None:
        """Apply an experiment over services whose split is their route's; only errors are judged."""
        asked = [
            {
                "name": each,
                "control": {"deployment": each},
                "canary": {"deployment": f"{each}-phase4"},
                "traffic": {"type": "HTTPRoute", "httpRoute": {"name": each}},
            }
            for each in services or (SERVICE,)
        ]
        # What is tried here is the route; a busy machine's latency is no part of it.
        await self.shop.start(name, **{"services": asked, "guardrails": LENIENT, "stages": LONG, **spec})

    async def at(self, name: str, weight: int) -> Seen:
        """Wait until an experiment is in a stage and its weight is in force."""

        def there(seen: Seen) -> bool:
            done = (seen.status.get("step") or {}).get("done")
            return bool(seen.phase == "Progressing" and seen.status["weight"] == weight and done)

        return await self.shop.until(name, there)

    async def rolled_back(self, name: str, phase: str = "RolledBack") -> Seen:
        """Wait until an experiment is rolled back and the pods are control's.

        Raises:
            AssertionError: it ends otherwise.
        """
        seen = await self.shop.until(name, ended, wait=120)
        assert seen.phase == phase, seen.status["message"]
        assert seen.condition("RolledBack")["status"] == "True"
        await self.shop.control_alone()
        return seen


@pytest.fixture
async def routed(shop: Shop) -> AsyncIterator[Routed]:
    """The shop behind the gateway, with all traffic at control; without the gateway there is nothing to test."""
    if not await has_gateway():
        pytest.skip("the cluster has no gateway: `make gateway` installs it, in 17 minutes the first time")
    await with_routes()
    yield Routed(shop)
    await shop.clean()
    await without_routes()


async def weights(name: str = SERVICE) -> list[list[int]]:
    """Return the weights of each rule of a route, canary first."""
    route = await get("-n", NAMESPACE, "httproute", name)
    return [[ref["weight"] for ref in rule["backendRefs"]] for rule in route["spec"]["rules"]]


async def until_weights(wanted: list[list[int]], wait: float = 40.0) -> None:
    """Wait until the route says these weights."""
    deadline = time.monotonic() + wait
    while (found := await weights()) != wanted:
        assert time.monotonic() < deadline, f"wanted {wanted}, found {found}"
        await asyncio.sleep(0.5)


async def until_left(wait: float) -> None:
    """Wait until every rule that leads to both leads nobody to the canary, but for a trace."""
    deadline = time.monotonic() + wait
    while any(100 * both[0] / sum(both) > TRACE for both in await weights() if len(both) > 1):
        assert time.monotonic() < deadline, await weights()
        await asyncio.sleep(0.2)


async def patch_route(*patch: dict[str, Any]) -> None:
    """Change the route as somebody else would."""
    await kubectl("-n", NAMESPACE, "patch", "httproute", SERVICE, "--type=json", "-p", json.dumps(patch))


async def share(seconds: float) -> float:
    """Return the canary's share of requests without a user, in percent."""
    async with Probe(GATEWAY_URL, 100) as probe:
        await asyncio.sleep(seconds)
    assert not probe.lost, probe.sentence()
    counts = Counter(each.variant for each in probe.answers)
    return 100 * counts["canary"] / counts.total()


async def whois(experiment: str, user: str) -> str:
    """Return what `kubectl serin whois` prints."""
    command = (str(Path(sys.executable).with_name("serin")), "whois", "-n", NAMESPACE, experiment, user)
    process = await asyncio.create_subprocess_exec(*command, env=environment(), stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode()


async def test_a_good_release_is_promoted_through_the_route(routed: Routed) -> None:
    """Both services go 5 -> 50 -> 100, exactly and together, and are promoted; no request fails on the way."""
    async with Probe(GATEWAY_URL, RATE) as probe, routed.load() as load:
        await routed.start("routed", SERVICE, "conversation", stages=EXACT)
        for weight in (5, 50):
            await routed.at("routed", weight)
            split = [[weight, 100 - weight]] * 2
            assert [await weights(), await weights("conversation")] == [split, split]
            assert (await routed.shop.replicas())[SERVICE] == CONTROL_PODS, "control stays whole"
        seen = await routed.shop.until("routed", ended, wait=400)
    assert seen.phase == "Succeeded", seen.status["message"]
    assert await weights() == [[0, 100], [0, 100]]
    await routed.shop.control_alone()
    assert await routed.shop.engine(SERVICE) == "phase4"
    assert not probe.lost, probe.sentence()
    assert not load.report.unanswered, load.report.sentence()


async def test_users_stay_and_shares_are_exact(routed: Routed) -> None:
    """From 25 to 50 % nobody leaves the canary, everybody is where whois says, and anonymous requests split too."""
    async with routed.load():
        await routed.start("sticky", stages=STAGES)
        await routed.at("sticky", 25)
        first = await variants(GATEWAY_URL, USERS)
        assert first == await predicted(USERS)
        assert f" {first[0]} " in await whois("sticky", USERS[0])
        assert abs(await share(10) - 25) < 5.5  # 1,000 requests: four standard errors
        await routed.at("sticky", 50)
        second = await variants(GATEWAY_URL, USERS)
        assert second == await predicted(USERS)
    assert not [user for user, one, two in zip(USERS, first, second, strict=True) if one == "canary" != two]
    assert Counter(first)["canary"] / len(USERS) == pytest.approx(0.25, abs=0.05)
    assert Counter(second)["canary"] / len(USERS) == pytest.approx(0.50, abs=0.05)


async def test_a_dead_canary_is_left(routed: Routed) -> None:
    """A canary whose pods are gone and can't come back is rolled back by itself, though no metric shows its errors."""
    async with routed.load():
        await routed.start("dead")
        await routed.at("dead", 25)
        async with no_new_pods():
            pods = f"app.kubernetes.io/name={SERVICE},serin.dev/variant=canary"
            await kubectl("-n", NAMESPACE, "delete", "pod", "-l", pods, "--grace-period=0", "--force")
            await until_left(60)
            seen = await routed.rolled_back("dead", "Failed")
    assert "has had no ready pod" in seen.status["message"]
    assert await weights() == [[0, 100], [0, 100]]


@contextlib.asynccontextmanager
async def no_new_pods() -> AsyncIterator[None]:
    """Keep the namespace from getting any new pod while the block runs."""
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none", "namespace": NAMESPACE}}
    await apply({**quota, "spec": {"hard": {"pods": "0"}}})
    try:
        yield
    finally:
        await kubectl("-n", NAMESPACE, "delete", "resourcequota", "none")


async def test_a_rollback_while_the_controller_is_down(routed: Routed) -> None:
    """The weights are written, the canary keeps its pods while it is still served, and the status says why."""
    async with Probe(GATEWAY_URL, RATE) as probe, routed.load():
        await routed.start("headless")
        await routed.at("headless", 25)
        await kubectl(*CONTROLLER[:2], "scale", CONTROLLER[2], "--replicas=0")
        try:
            await kubectl(*CONTROLLER[:2], "wait", "--for=delete", "pod", "-l", "control-plane=envoy-gateway",
                          "--timeout=60s", wait=70)  # fmt: skip
            await routed.shop.patch("headless", abort=True)
            await until_left(15)
            lagging = "has not taken the present"
            seen = await routed.shop.until("headless", lambda seen: lagging in seen.status.get("message", ""))
            assert seen.phase == "RollingBack"
            await asyncio.sleep(15)
            assert (await routed.shop.replicas())[CANARY] == 1, "it is still served"
            assert min(canary for canary, _ in await weights()) > 0, (
                "the proxies must not lose it in the step that they take later"
            )
        finally:
            await kubectl(*CONTROLLER[:2], "scale", CONTROLLER[2], "--replicas=1")
            await kubectl(*CONTROLLER[:2], "rollout", "status", CONTROLLER[2], "--timeout=120s", wait=130)
        await routed.rolled_back("headless")
        assert await weights() == [[0, 100], [0, 100]]
    assert not probe.lost, probe.sentence()


async def test_a_deleted_route_holds_and_can_be_aborted(routed: Routed) -> None:
    """A route that is gone in a stage is named and holds; an abort then ends, for the route leads nobody anywhere."""
    async with routed.load():
        await routed.start("lost")
        await routed.at("lost", 25)
        await kubectl("-n", NAMESPACE, "delete", "httproute", SERVICE)
        seen = await routed.shop.until("lost", lambda seen: seen.phase == "Holding", wait=60)
        assert seen.status["reason"] == "RouteNotFollowed"
        assert f"HTTPRoute {SERVICE} is gone: create it again" in seen.status["message"]
        await routed.shop.patch("lost", abort=True)
        await routed.rolled_back("lost")


async def test_somebody_elses_edit_is_kept_and_their_weights_are_not(routed: Routed) -> None:
    """A foreign rule stays through a rollback; weights that somebody set are set right, and counted anew."""
    async with routed.load():
        await routed.start("edited")
        await routed.at("edited", 25)
        await patch_route(
            {"op": "add", "path": "/spec/rules/0", "value": FOREIGN},
            {"op": "replace", "path": "/spec/rules/1/backendRefs/0/weight", "value": 90},
        )
        await until_weights([[7], [25, 75], [25, 75]])
        await routed.at("edited", 25)
        await routed.shop.patch("edited", abort=True)
        await routed.rolled_back("edited")
    assert await weights() == [[7], [0, 100], [0, 100]]


async def test_somebody_who_edits_all_the_time_stops_no_rollback(routed: Routed) -> None:
    """Edits between read and write refuse the write; the next look writes, and neither side's words are lost."""
    stop, edits = asyncio.Event(), 0

    def edit(number: int) -> None:
        path = {"op": "replace", "path": "/spec/rules/0/matches/0/path/value", "value": f"/foreign/{number}"}
        kube.patch(
            "gateway.networking.k8s.io/v1", "httproutes", NAMESPACE, SERVICE, [path], "application/json-patch+json"
        )

    async def keep_editing() -> None:
        nonlocal edits
        while not stop.is_set():
            edits += 1
            await asyncio.to_thread(edit, edits)
            await asyncio.sleep(0.05)

    kube = connect()
    try:
        async with routed.load():
            await routed.start("contended")
            await routed.at("contended", 25)
            await patch_route({"op": "add", "path": "/spec/rules/0", "value": FOREIGN})
            await routed.at("contended", 25)
            editor = asyncio.create_task(keep_editing())
            try:
                await routed.shop.patch("contended", abort=True)
                await until_left(30)
                assert edits > 1
            finally:
                stop.set()
                await editor
            await routed.rolled_back("contended")
    finally:
        kube.close()
    route = await get("-n", NAMESPACE, "httproute", SERVICE)
    assert route["spec"]["rules"][0]["matches"][0]["path"]["value"] == f"/foreign/{edits}"
    assert await weights() == [[7], [0, 100], [0, 100]]


async def test_two_experiments_behind_one_gateway(routed: Routed) -> None:
    """One is aborted, and the other's route, weight and phase do not move."""
    async with routed.load():
        await routed.start("one", SERVICE)
        await routed.start("two", "conversation")
        await routed.at("one", 25)
        await routed.at("two", 25)
        before = (await get("-n", NAMESPACE, "httproute", "conversation"))["metadata"]["generation"]
        await routed.shop.patch("one", abort=True)
        seen = await routed.shop.until("one", ended, wait=90)
        assert seen.phase == "RolledBack"
        calm = ("Progressing", 25)
        await routed.shop.stays("two", lambda seen: (seen.phase, seen.status["weight"]) == calm, seconds=15)
        assert (await get("-n", NAMESPACE, "httproute", "conversation"))["metadata"]["generation"] == before
    assert await weights("conversation") == [[25, 75], [25, 75]]


COPIES = [{"name": "copies", "mirror": 100, "duration": "30s"}, *LONG]


async def mirrors() -> list[dict[str, Any]]:
    """Return the filters of the route that copy requests."""
    route = await get("-n", NAMESPACE, "httproute", SERVICE)
    found = [each for rule in route["spec"]["rules"] for each in rule.get("filters", ())]
    return [each["requestMirror"] for each in found if each["type"] == "RequestMirror"]


async def copying(routed: Routed, name: str) -> Seen:
    """Wait until the canary gets copies, and some of them are counted."""

    def counted(seen: Seen) -> bool:
        services = seen.status.get("services", ())
        found = [each.get("canaryRequests", 0) for service in services for each in service.get("guardrails", ())]
        return bool(seen.status.get("mirror") == 100 and seen.status["step"].get("done") and any(found))

    return await routed.shop.until(name, counted)


async def test_copies_come_before_shares(routed: Routed) -> None:
    """The canary answers copies of all requests, users get control's answers alone; then it gets a share."""
    async with routed.load():
        async with Probe(GATEWAY_URL, RATE) as probe:
            await routed.start("copied", stages=COPIES)
            seen = await copying(routed, "copied")
            assert seen.status["weight"] == 0
            assert [each["backendRef"]["name"] for each in await mirrors()] == [f"{SERVICE}-canary"] * 2
            assert await weights() == [[0, 100], [0, 100]]
        assert not probe.lost, probe.sentence()
        assert Counter(each.variant for each in probe.answers).keys() == {"control"}
        await routed.at("copied", 25)
        assert await mirrors() == []
        await routed.shop.patch("copied", abort=True)
        await routed.rolled_back("copied")


async def test_a_bad_canary_is_found_by_copies(routed: Routed) -> None:
    """Errors in the answers that nobody gets are evidence: rolled back, and no user has met it."""
    await routed.shop.clean({"SERIN_FAULT_ERROR_SHARE": "0.3"})
    async with routed.load(), Probe(GATEWAY_URL, RATE) as probe:
        await routed.start("bad-copies", stages=[{**COPIES[0], "duration": "1h"}, *LONG])
        seen = await routed.rolled_back("bad-copies")
    assert seen.status["stage"] == "copies"
    assert "canary fails" in seen.status["message"]
    assert await mirrors() == []
    assert not probe.lost, probe.sentence()
    assert Counter(each.variant for each in probe.answers).keys() == {"control"}
