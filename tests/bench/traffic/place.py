"""The shop on the test cluster, and the operator's own routers to drive it.

The routers are used without the operator: what is measured is a router, and an experiment would add its stages. So no
experiment may exist meanwhile.
"""

import asyncio
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
ROUTES = REPOSITORY / "manifests/gateway/shop"
_LOOK = 0.5


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


def connect() -> Kube:
    """Return a client with the test cluster's kubeconfig."""
    settings = client.Configuration()
    config.load_kube_config(str(from_environment().kubeconfig), client_configuration=settings)
    settings.retries = urllib3.Retry(0)
    return Kube(client.ApiClient(settings))


@dataclass
class Driver:
    """Drives one service to a weight, look by look, as the operator does.

    Args:
        kube: the API client.
        service: what is split, and by which router.
        total: control's size.
    """

    kube: Kube
    service: Service
    total: int
    writes: int = 0

    def __post_init__(self) -> None:
        """Make the router."""
        self._routers = Routers(self.kube)
        self._deployments = Deployments(self.kube)

    def _read(self, weight: int) -> RouteReading:
        names = self.service.control.deployment, self.service.canary.deployment or ""
        control, canary = (workload(self._deployments.find(NAMESPACE, name)) for name in names)
        return self._routers.read(self.service, control, canary, weight=weight, total=self.total, namespace=NAMESPACE)

    async def to(self, weight: int, wait: float = 180.0) -> RouteReading:
        """Bring it to a weight, and return the settled reading.

        Raises:
            RuntimeError: it does not settle in time; the text says what it waits for.
        """
        deadline = time.monotonic() + wait
        while not (seen := await asyncio.to_thread(self._read, weight)).settled:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.service.name} does not settle at {weight}%: {seen.note}")
            await asyncio.to_thread(self._routers.write, NAMESPACE, self.service, weight=weight, total=self.total)
            self.writes += 1
            await asyncio.sleep(_LOOK)
        return seen

    def weigh(self, weight: int) -> None:
        """Write one weight, with no regard to pods: for measuring how soon the proxies have it."""
        self._routers.write(NAMESPACE, self.service, weight=weight, total=self.total)
