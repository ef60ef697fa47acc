"""Where rollouts of a test happen: namespaces with a shop, pods that get ready, traffic, and an experiment in each."""

import contextlib
import math
import random
import time
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server

from serin.api.names import API_VERSION, PLURAL
from serin.kube.client import Kube
from serin.kube.errors import Conflict, KubeError, Unavailable
from serin.kube.lease import LeaderLease
from tests.integration.cluster_plane import Plane, control_plane
from tests.integration.controller.process import TRAFFIC, repeated
from tests.integration.metrics.process import prometheus
from tests.ports import free_port

SERVED_EVERY: Final = 0.5
"""Seconds between two portions of requests."""
_PORTION: Final = 20


@dataclass(frozen=True, slots=True)
class Version:
    """How a version serves: shares of its requests that fail, and that take longer than 150 ms."""

    errors: float = 0.0
    slow: float = 0.0
    requests: int = _PORTION


class Traffic:
    """A shop in any number of namespaces, healthy unless something else is said."""

    def __init__(self) -> None:
        registry, labels, self.port = CollectorRegistry(), ("namespace", "service", "variant"), free_port()
        self._requests = Counter("http_requests_total", "Requests.", (*labels, "code"), registry=registry)
        self._latency = Histogram(
            "http_request_duration_seconds",
            "Latency.",
            labels,
            registry=registry,
            buckets=(0.1, 0.15, 0.2, 1.0),
        )
        self._chance = random.Random(1)
        self.shops: set[tuple[str, str]] = set()
        """(namespace, service) of those that have users."""
        self.versions: defaultdict[tuple[str, str, str], Version] = defaultdict(Version)
        """What (namespace, service, variant) serves."""
        self.served: defaultdict[tuple[str, str, str], int] = defaultdict(int)
        """Requests so far, by the same."""
        self._server, self._thread = start_http_server(self.port, "127.0.0.1", registry)

    def serve(self) -> None:
        """Some requests of both variants."""
        for namespace, service in list(self.shops):
            for variant in ("control", "canary"):
                self._serve((namespace, service, variant))

    def forget(self, namespace: str, service: str, variant: str) -> None:
        """Its pods are not scraped any more."""
        self.shops.discard((namespace, service))
        for code in ("200", "500"):
            with contextlib.suppress(KeyError):
                self._requests.remove(namespace, service, variant, code)
        with contextlib.suppress(KeyError):
            self._latency.remove(namespace, service, variant)

    def close(self, namespace: str) -> None:
        """Nobody comes to a namespace any more."""
        self.shops = {each for each in self.shops if each[0] != namespace}

    def _serve(self, labels: tuple[str, str, str]) -> None:
        version = self.versions[labels]
        failed, slow = self._some(version.requests, version.errors), self._some(version.requests, version.slow)
        self._requests.labels(*labels, "200").inc(version.requests - failed)
        if failed:
            self._requests.labels(*labels, "500").inc(failed)
        latency = self._latency.labels(*labels)
        for number in range(version.requests):
            latency.observe(0.18 if number < slow else 0.05)
        self.served[labels] += version.requests

    def _some(self, requests: int, share: float) -> int:
        """A share of so few requests is a fraction: the rest is by chance."""
        exact = requests * share
        return math.floor(exact) + (self._chance.random() < exact % 1)

    def stop(self) -> None:
        """Nothing is exported any more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


_NEVER: Final[dict[str, dict[str, Any]]] = {
    "r71": {
        "waiting": {
            "reason": "ImagePullBackOff",
            "message": 'Back-off pulling image "registry.example/shop:r71": not found',
        }
    },
    "r72": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s restarting failed container"}},
}
"""What a container whose image has such a tag waits for: the one is not in the registry, the other crashes."""
_NO_NODE: Final = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/3 nodes are available: 3 Insufficient cpu.",
}
"""What the scheduler says of a pod that there is no room for."""


def kubelet(kube: Kube, full: Collection[str] = ()) -> None:
    """Mark every pod that waits as ready, or as what its image's tag says will never be; there is no room in `full`."""
    waiting = kube._call("GET", "/api/v1/pods", "pods", query=[("fieldSelector", "status.phase=Pending")])
    for pod in waiting["items"]:
        meta = pod["metadata"]
        status = _status_of(pod, room=meta["namespace"] not in full)
        if status is not None:
            with contextlib.suppress(KubeError):
                patch = {"status": status}
                kube.patch("v1", "pods", meta["namespace"], meta["name"], patch, subresource="status")


def _status_of(pod: dict[str, Any], *, room: bool) -> dict[str, Any] | None:
    """What a node, or the scheduler, would write; None when it has."""
    image = pod["spec"]["containers"][0]["image"]
    tag = image.rpartition(":")[2]
    if not room:
        return None if "conditions" in pod["status"] else {"conditions": [_NO_NODE]}
    if tag not in _NEVER:
        return {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    if "containerStatuses" in pod["status"]:
        return None
    last = {"terminated": {"exitCode": 1, "reason": "Error"}} if tag == "r72" else {}
    state = {"name": "main", "image": image, "imageID": "", "ready": False, "restartCount": 3 if last else 0}
    return {"containerStatuses": [{**state, "state": _NEVER[tag], "lastState": last}]}


def shop(size: int = 2, name: str = "shop") -> dict[str, Any]:
    """Return the Deployment of a shop."""
    labels = {"app": name}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "shop:1"}]}}
    spec = {"replicas": size, "selector": {"matchLabels": labels}, "template": pod}
    return {"metadata": {"name": name}, "spec": spec}


def service_of(name: str = "shop", image: str = "shop:2") -> dict[str, Any]:
    """Return the service of an experiment whose canary differs from control by its image."""
    patch = {"spec": {"containers": [{"name": "main", "image": image}]}}
    return {"name": name, "control": {"deployment": name}, "canary": {"patch": patch}}


@dataclass
class Scene:
    """Where the rollouts are."""

    plane: Plane
    admin: Kube
    address: str
    traffic: Traffic
    lease: LeaderLease
    full: set[str] = field(default_factory=set)
    """Namespaces whose new pods find no node."""
    serial: int = field(default=0)

    def prepare(self, namespace: str = "", **spec: Any) -> str:
        """A namespace with a shop, and an experiment whose canary Serin makes; its name."""
        self.serial += 1
        namespace = namespace or f"crash-{self.serial}"
        self.create("v1", "namespaces", None, {"metadata": {"name": namespace}})
        self.open(namespace)
        self.experiment(namespace, **spec)
        return namespace

    def open(self, namespace: str, name: str = "shop", size: int = 2, **deployment: Any) -> None:
        """A shop that has users: its Deployment and its Service."""
        body = shop(size, name)
        body["spec"] |= deployment
        self.create("apps/v1", "deployments", namespace, body)
        service = {"metadata": {"name": name}, "spec": {"selector": {"app": name}, "ports": [{"port": 80}]}}
        self.create("v1", "services", namespace, service)
        self.traffic.shops.add((namespace, name))

    def experiment(self, namespace: str, name: str = "try", shop: str = "shop", **spec: Any) -> None:
        """An experiment on a shop of a namespace, a whole rollout in less than a minute."""
        wanted = {
            "services": [service_of(shop)],
            "stages": [{"name": "half", "weight": 50, "duration": "5s"}],
            "promotion": {"bake": "5s"},
            "analysis": {"interval": "5s", "minRequests": 20},
            "prometheus": {"address": self.address},
            **spec,
        }
        kind = {"apiVersion": API_VERSION, "kind": "CanaryExperiment", "metadata": {"name": name}, "spec": wanted}
        self.create(API_VERSION, PLURAL, namespace, kind)

    def create(self, *what: Any) -> None:
        """Creates an object; again when a busy API server did not answer in time."""
        for _ in range(10):
            try:
                self.admin.create(*what)
            except Conflict:  # the one that was not answered has made it
                return
            except Unavailable:
                time.sleep(1.0)
            else:
                return


@contextlib.contextmanager
def scenery(home: Path) -> Iterator[Scene]:
    """A control plane, pods that get ready, traffic and its Prometheus; and a Lease that is held."""
    with contextlib.ExitStack() as stack:
        plane = stack.enter_context(control_plane(home))
        admin, traffic = plane.connect(), Traffic()
        stack.callback(admin.close)
        stack.callback(traffic.stop)
        admin.create("v1", "namespaces", None, {"metadata": {"name": "serin-system"}})
        lease = LeaderLease(admin, "serin-system", "mortal", "mortal")
        assert lease.acquire()
        stack.enter_context(repeated(lease.acquire, 2.0, despite=(KubeError,)))
        stack.enter_context(repeated(traffic.serve, SERVED_EVERY))
        address = stack.enter_context(prometheus(home / "tsdb", TRAFFIC.format(port=traffic.port)))
        scene = Scene(plane, admin, address, traffic, lease)
        stack.enter_context(repeated(lambda: kubelet(admin, scene.full), despite=(KubeError,)))
        yield scene
