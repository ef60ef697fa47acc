"""A shop behind a route: two Deployments, a Service for each, and whoever plays the route's controller.

The API server is real and so are its schemas; there is no gateway here, so a test says itself what a controller
reports. The real gateway is in the end-to-end tests.
"""

from typing import Any

from serin.api.spec import Service
from serin.engine.observation import RouteReading
from serin.kube.client import MERGE, Kube
from serin.kube.deployments import Deployments, workload
from serin.traffic import httproute, weights
from serin.traffic.routes import RouteRouter
from tests.integration.shapes import deployment, make_ready, service

APPS = "apps/v1"
GATEWAY = "gateway.networking.k8s.io/v1"
TOTAL = 10
CONTROLLER = "gateway.example/controller"
TRACE = [1, 999_999]
"""What the canary, which comes first, gets before its first share and after its last."""


def backend(name: str, weight: int | None = None, **more: Any) -> dict[str, Any]:
    """Return a backendRef."""
    return {"name": name, "port": 80, **({} if weight is None else {"weight": weight}), **more}


def http_route(name: str, *rules: dict[str, Any]) -> dict[str, Any]:
    """Return an HTTPRoute of the Gateway `shop`."""
    parents = [{"name": "shop", "kind": "Gateway", "group": "gateway.networking.k8s.io"}]
    spec = {"parentRefs": parents, "rules": list(rules)}
    return {"apiVersion": GATEWAY, "kind": "HTTPRoute", "metadata": {"name": name}, "spec": spec}


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


class Routed:
    """The shop, its router and its route."""

    def __init__(self, kube: Kube, namespace: str, asked: Service, *, deployments: bool = True) -> None:
        self.kube, self.namespace, self.service = kube, namespace, asked
        self.clock = Clock()
        self._goal: tuple[int, int | None] | None = None
        address = httproute.address if asked.traffic.type == "HTTPRoute" else weights.Addresses(kube)
        self.router = RouteRouter(kube, address, self.clock)
        self._deployments = Deployments(kube)
        if not deployments:
            return
        control, canary = asked.control.deployment, asked.canary.deployment or ""
        for name, size, role in ((control, TOTAL, "control"), (canary, 0, "canary")):
            body = deployment(name, size, role=role)
            labels = {**body["spec"]["selector"]["matchLabels"], "app": control}
            body["spec"]["selector"]["matchLabels"] = body["spec"]["template"]["metadata"]["labels"] = labels
            kube.create(APPS, "deployments", namespace, body)
            make_ready(kube, namespace, name)
            spec = {"selector": labels, "ports": [{"port": 80}]}
            kube.create("v1", "services", namespace, {"metadata": {"name": name}, "spec": spec})

    def read(self, weight: int, *, mirror: int | None = None, after: float = 0.0) -> RouteReading:
        """Return the split, as a look sees it that comes `after` seconds later."""
        self.clock.now += after
        names = self.service.control.deployment, self.service.canary.deployment or ""
        control, canary = (workload(self._deployments.find(self.namespace, name)) for name in names)
        return self.router.read(
            self.service, control, canary, weight=weight, total=TOTAL, mirror=mirror, namespace=self.namespace
        )

    def write(self, weight: int, *, mirror: int | None = None) -> None:
        """Go one step."""
        self._goal = weight, mirror
        self.router.write(self.namespace, self.service, weight=weight, total=TOTAL, mirror=mirror)

    def restore(self, *, mirror: int | None = None) -> None:
        """Go one step of a rollback; `mirror` is 0 for a run that has copied."""
        self.router.restore(self.namespace, self.service, total=TOTAL, mirror=mirror)

    def ready(self) -> None:
        """Let all pods become ready."""
        for name in (self.service.control.deployment, self.service.canary.deployment or ""):
            make_ready(self.kube, self.namespace, name)
        if self._goal is not None:  # a look sees them ready, and the next comes when their endpoints are known
            self.write(self._goal[0], mirror=self._goal[1])
            self.clock.now += 2.1

    def sizes(self) -> tuple[int, int]:
        """Return the wanted sizes of control and canary."""
        names = self.service.control.deployment, self.service.canary.deployment or ""
        both = [self.kube.get(APPS, "deployments", self.namespace, name) for name in names]
        return both[0]["spec"]["replicas"], both[1]["spec"]["replicas"]

    def route(self, name: str = "shop") -> dict[str, Any]:
        """Return the HTTPRoute."""
        return self.kube.get(GATEWAY, "httproutes", self.namespace, name)

    def edit(self, body: dict[str, Any], name: str = "shop") -> None:
        """Change the HTTPRoute as somebody else would."""
        self.kube.patch(GATEWAY, "httproutes", self.namespace, name, body, MERGE)

    def follow(self, name: str = "shop", *, behind: int = 0, accepted: str = "True", message: str = "") -> None:
        """Report as the route's controller does, `behind` generations late."""
        route = self.route(name)
        seen = {
            "observedGeneration": route["metadata"]["generation"] - behind,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
            "reason": "Accepted",
            "message": message,
        }
        conditions = [
            {**seen, "type": "Accepted", "status": accepted},
            {**seen, "type": "ResolvedRefs", "status": "True"},
        ]
        parents = [
            {"parentRef": route["spec"]["parentRefs"][0], "controllerName": CONTROLLER, "conditions": conditions}
        ]
        self.kube.patch(GATEWAY, "httproutes", self.namespace, name, {"status": {"parents": parents}}, MERGE, "status")

    def weights(self, rule: int = 0, name: str = "shop") -> list[int]:
        """Return the weights of a rule."""
        return [each["weight"] for each in self.route(name)["spec"]["rules"][rule]["backendRefs"]]

    def bring(self, weight: int, name: str = "shop", *, mirror: int | None = None) -> RouteReading:
        """Drive to a weight as the operator does, look by look, with a controller that follows; the last reading."""
        for _ in range(20):
            if (found := self.read(weight, mirror=mirror, after=1.0)).settled:
                return found
            self.write(weight, mirror=mirror)
            self.ready()
            self.follow(name)
        return found


def routed(kube: Kube, namespace: str, *rules: dict[str, Any], **ref: Any) -> Routed:
    """Return a shop behind an HTTPRoute with these rules; without any, one rule with control at 100."""
    made = Routed(kube, namespace, service(type="HTTPRoute", httpRoute={"name": "shop", **ref}))
    rules = rules or ({"backendRefs": [backend("shop-next", 0), backend("shop", 100)]},)
    kube.create(GATEWAY, "httproutes", namespace, http_route("shop", *rules))
    made.follow()
    return made
