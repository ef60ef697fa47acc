"""What situations are made of: a namespace with a shop each, people who meddle, and a gateway that follows routes."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from serin.api.names import API_VERSION, PLURAL
from serin.kube.client import Kube
from serin.kube.errors import KubeError
from tests.integration.controller.scene import Scene, Version, service_of
from tests.integration.proxy import Proxy

GATEWAY_API: Final = "gateway.networking.k8s.io/v1"

Status = dict[str, Any]
Seen = Callable[[Status], bool]


@dataclass
class Stage:
    """One situation's place: namespace and experiment have the same name, which says nothing.

    Attributes:
        scene: The control plane, the traffic and Prometheus.
        name: Of namespace and experiment.
        proxy: Stands between the operator and Prometheus for this one.
        gateway: Follows the routes.
    """

    scene: Scene
    name: str
    proxy: Proxy
    gateway: "Gateway"

    @property
    def kube(self) -> Kube:
        """The administrator's client."""
        return self.scene.admin

    def serves(self, variant: str, **how: Any) -> None:
        """A version serves like this from now on."""
        self.scene.traffic.versions[self.name, "shop", variant] = Version(**how)

    def start(self, image: str = "shop:2", name: str = "", **spec: Any) -> None:
        """Make the experiment, whose stage is half of the traffic for two days unless `spec` says otherwise."""
        usual = {
            "services": [service_of(image=image)],
            "stages": [{"name": "half", "weight": 50, "duration": "2d"}],
            "promotion": {"bake": "1h"},
            "prometheus": {"address": self.proxy.address},
        }
        self.scene.experiment(self.name, name or self.name, **{**usual, **spec})

    def service(self, image: str) -> dict[str, Any]:
        """The service of the experiment, with another image for its canary."""
        return service_of(image=image)

    def status(self, name: str = "") -> Status:
        """Of the experiment; empty while there is none, or the API server is busy."""
        try:
            found = self.kube.get(API_VERSION, PLURAL, self.name, name or self.name)
        except KubeError:
            return {}
        return found.get("status") or {}

    def edit(self, **spec: Any) -> None:
        """Somebody edits the experiment."""
        self.kube.patch(API_VERSION, PLURAL, self.name, self.name, {"spec": spec})

    def deployment(self, name: str = "shop", **spec: Any) -> None:
        """Somebody edits a Deployment."""
        self.kube.patch("apps/v1", "deployments", self.name, name, {"spec": spec})

    def image(self, image: str, name: str = "shop") -> None:
        """Somebody rolls a Deployment."""
        container = {"name": "main", "image": image}
        self.deployment(name, template={"spec": {"containers": [container]}})

    def route(self) -> None:
        """A route between two Deployments of the user's, and the Services of each."""
        for role, name, size in (("control", "shop", 4), ("canary", "shop-next", 0)):
            labels = {"app": "shop", "version": name, "serin.dev/variant": role}
            container = {"name": "main", "image": f"{name}:1"}
            template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
            made = {"replicas": size, "selector": {"matchLabels": labels}, "template": template}
            self.scene.create("apps/v1", "deployments", self.name, {"metadata": {"name": name}, "spec": made})
            service = {"metadata": {"name": name}, "spec": {"selector": labels, "ports": [{"port": 80}]}}
            self.scene.create("v1", "services", self.name, service)
        refs = [{"name": "shop-next", "port": 80, "weight": 0}, {"name": "shop", "port": 80, "weight": 100}]
        spec = {"parentRefs": [{"name": "web"}], "rules": [{"backendRefs": refs}]}
        body = {"apiVersion": GATEWAY_API, "kind": "HTTPRoute", "metadata": {"name": "shop"}, "spec": spec}
        self.scene.create(GATEWAY_API, "httproutes", self.name, body)
        self.scene.traffic.shops.add((self.name, "shop"))

    def routed(self) -> dict[str, Any]:
        """The service of an experiment that is split by the route."""
        made = {"name": "shop", "control": {"deployment": "shop"}, "canary": {"deployment": "shop-next"}}
        return {**made, "traffic": {"type": "HTTPRoute", "httpRoute": {"name": "shop"}}}


@dataclass
class Gateway:
    """The controller of every HTTPRoute; it follows what it is not told to leave alone."""

    kube: Kube
    ignored: set[str] = field(default_factory=set)

    def work(self) -> None:
        """Report what it has seen."""
        for route in self.kube.list(GATEWAY_API, "httproutes"):
            meta = route["metadata"]
            if meta["namespace"] in self.ignored:
                continue
            seen = {"observedGeneration": meta["generation"], "reason": "Accepted", "message": "", "status": "True"}
            seen |= {"lastTransitionTime": "2026-01-01T00:00:00Z"}
            conditions = [{**seen, "type": kind} for kind in ("Accepted", "ResolvedRefs")]
            parent = {"parentRef": route["spec"]["parentRefs"][0], "controllerName": "gateway.example/one"}
            patch = {"status": {"parents": [{**parent, "conditions": conditions}]}}
            with contextlib.suppress(KubeError):
                self.kube.patch(GATEWAY_API, "httproutes", meta["namespace"], meta["name"], patch, subresource="status")


def phase(*names: str, reason: str = "") -> Seen:
    """The experiment is in one of these phases, with this reason if one is named."""
    return lambda status: status.get("phase") in names and reason in {"", status.get("reason")}


def counting(status: Status) -> bool:
    """The split is in force, and looks are judged."""
    return status.get("phase") == "Progressing" and status.get("verdict") not in {None, "", "Insufficient"}


def said(part: str) -> Seen:
    """The message has these words."""
    return lambda status: part in status.get("message", "")


def noted(reason: str) -> Seen:
    """A transition has this reason."""
    return lambda status: any(each["reason"] == reason for each in status.get("transitions", ()))
