"""The shop on the test cluster, and the operator's own routers to drive it.

The routers are used without the operator: what is measured is a router, and an experiment would add its stages. So no
experiment may exist meanwhile.
"""

import asyncio
import copy
import time
from dataclasses import dataclass
from typing import Any

import aiohttp
import urllib3
from kubernetes import client, config

from serin.api.spec import Service, parse_spec
from serin.engine.observation import RouteReading
from serin.kube.client import Kube
from serin.kube.deployments import Deployments, workload
from serin.traffic.router import Routers
from tests.bench.traffic.probe import ask
from tests.cluster.places import REPOSITORY, from_environment
from tests.demo.install import SERVICES
from tests.demo.kubectl import NAMESPACE, KubectlError, get, kubectl

GATEWAY_URL = "http://127.0.0.1:30080"
NODE_PORTS = {"recommendation": "http://127.0.0.1:30081", "conversation": "http://127.0.0.1:30082"}
SERVICE = "recommendation"
"""The one that the benches drive."""
ROUTES = REPOSITORY / "manifests/gateway/shop"
_LOOK = 0.5
_NEAR = 0.01
"""Percent: far more than a trace, far less than a weight."""


async def alone() -> None:
    """Check that nobody else drives the routers.

    Raises:
        RuntimeError: there are experiments.
    """
    if (await get("-n", NAMESPACE, "cex"))["items"]:
        raise RuntimeError(f"there are experiments in namespace {NAMESPACE}: delete them first")


async def with_gateway() -> None:
    """Put the shop behind the Gateway, for a bench that has it for itself.

    Raises:
        RuntimeError: there is no gateway, or there are experiments.
    """
    if not await has_gateway():
        raise RuntimeError("the cluster has no gateway: run `make gateway` first")
    await alone()
    await with_routes()


async def has_gateway() -> bool:
    """Tell whether a Gateway answers on port 30080."""
    try:
        found = await get("-n", "gateway", "gateway", "serin")
    except KubectlError:
        return False
    conditions = {each["type"]: each["status"] for each in found.get("status", {}).get("conditions", ())}
    return conditions.get("Programmed") == "True"


async def with_routes() -> None:
    """Put the shop behind the Gateway, with all traffic at control."""
    await kubectl("apply", "-k", str(ROUTES))
    for service in SERVICES:
        await kubectl(
            "-n", NAMESPACE, "wait", f"httproute/{service}", "--timeout=60s",
            "--for=jsonpath={.status.parents[0].conditions[?(@.type=='Accepted')].status}=True",
        )  # fmt: skip
    await _until_answered()


async def _until_answered(wait: float = 60.0) -> None:
    """Wait until a request comes to a pod through the Gateway: its proxy may only just have got its listener.

    Raises:
        RuntimeError: it does not.
    """
    deadline = time.monotonic() + wait
    async with aiohttp.ClientSession() as session:
        while True:
            _, trouble = await ask(session, GATEWAY_URL, "")
            if not trouble:
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"the Gateway does not answer at {GATEWAY_URL}: {trouble}")
            await asyncio.sleep(0.5)


async def without_routes() -> None:
    """Take the routes away again."""
    await kubectl("delete", "--ignore-not-found", "-k", str(ROUTES))


def spec_of(service: str, router: str) -> Service:
    """Return a service of the shop with its traffic split by a router."""
    traffic: dict[str, Any] = {"type": router}
    if router == "HTTPRoute":
        traffic["httpRoute"] = {"name": service}
    body = {"name": service, "control": {"deployment": service}, "canary": {"deployment": f"{service}-phase4"}}
    return parse_spec({"services": [{**body, "traffic": traffic}]}).services[0]


class Watched(Kube):
    """A client that notes when its patches of anything but pods began: a change takes effect from there."""

    def __init__(self, api: client.ApiClient) -> None:
        """See `Kube`."""
        super().__init__(api)
        self.patches: list[tuple[float, str, list[dict[str, Any]]]] = []

    def patch(
        self, api_version: str, plural: str, namespace: str | None, name: str, body: Any, *rest: Any, **more: Any
    ) -> dict[str, Any]:
        """See `Kube.patch`; notes the time, the kind and the JSON patch."""
        begun = time.monotonic()
        found = super().patch(api_version, plural, namespace, name, body, *rest, **more)
        self.patches.append((begun, plural, body))
        return found


def connect() -> Watched:
    """Return a client with the test cluster's kubeconfig."""
    settings = client.Configuration()
    config.load_kube_config(str(from_environment().kubeconfig), client_configuration=settings)
    settings.retries = urllib3.Retry(0)
    return Watched(client.ApiClient(settings))


def moves(weight: int, patch: list[dict[str, Any]]) -> bool:
    """Tell whether a JSON patch of a route gives the canary, which comes first, this share but for a trace."""
    values = [each["value"] for each in patch if each["path"].endswith("/weight")]
    return len(values) > 1 and abs(100 * values[0] / (values[0] + values[1]) - weight) < _NEAR


@dataclass
class Driver:
    """Drives one service to a weight, look by look, as the operator does.

    Args:
        kube: the API client.
        service: what is split, and by which router.
        total: control's size.
    """

    kube: Watched
    service: Service
    total: int

    def __post_init__(self) -> None:
        """Make the router."""
        self._routers = Routers(self.kube)
        self._deployments = Deployments(self.kube)

    def _read(self, weight: int) -> RouteReading:
        names = self.service.control.deployment, self.service.canary.deployment or ""
        control, canary = (workload(self._deployments.find(NAMESPACE, name)) for name in names)
        return self._routers.read(self.service, control, canary, weight=weight, total=self.total, namespace=NAMESPACE)

    async def to(self, weight: int, wait: float = 180.0) -> float:
        """Bring it to a weight; return when the write began that moved the requests, by `time.monotonic()`.

        With pods as the split that is the first write, for every new pod gets requests.

        Raises:
            RuntimeError: it does not settle in time; the text says what it waits for.
        """
        deadline, self.kube.patches = time.monotonic() + wait, []
        while not (seen := await asyncio.to_thread(self._read, weight)).settled:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.service.name} does not settle at {weight}%: {seen.note}")
            await asyncio.to_thread(self._routers.write, NAMESPACE, self.service, weight=weight, total=self.total)
            await asyncio.sleep(_LOOK)
        if self.service.traffic.type == "Replicas":
            return min((begun for begun, *_ in self.kube.patches), default=time.monotonic())
        return next(
            (begun for begun, plural, body in self.kube.patches if plural == "httproutes" and moves(weight, body)),
            time.monotonic(),
        )

    async def promote(self, mark: str, wait: float = 180.0) -> None:
        """Replace all of control's pods, as a promotion does while the canary has all traffic.

        Args:
            mark: anything that no template has had before.
            wait: seconds.

        Raises:
            RuntimeError: control does not get ready in time.
        """
        name, deadline = self.service.control.deployment, time.monotonic() + wait
        control = await asyncio.to_thread(self._deployments.find, NAMESPACE, name)
        assert control is not None
        template = copy.deepcopy(control["spec"]["template"])
        template["metadata"].setdefault("annotations", {})["serin.dev/bench"] = mark
        await asyncio.to_thread(self._deployments.set_template, control, template)
        while not (seen := workload(await asyncio.to_thread(self._deployments.find, NAMESPACE, name))) or (
            not seen.rolled_out
        ):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{name} does not roll out: {seen}")
            await asyncio.sleep(_LOOK)
