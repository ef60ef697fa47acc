"""Where rollouts of a test happen: namespaces with a shop, pods that get ready, traffic, and an experiment in each."""

import contextlib
import time
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server

from serin.api.names import API_VERSION, PLURAL
from serin.kube.client import Kube
from serin.kube.errors import Conflict, KubeError, Unavailable
from serin.kube.lease import LeaderLease
from tests.integration.cluster_plane import Plane
from tests.integration.metrics.process import free_port


class Traffic:
    """A healthy shop in any number of namespaces."""

    def __init__(self) -> None:
        registry, labels, self.port = CollectorRegistry(), ("namespace", "service", "variant"), free_port()
        self._requests = Counter("http_requests_total", "Requests.", (*labels, "code"), registry=registry)
        self._latency = Histogram(
            "http_request_duration_seconds", "Latency.", labels, registry=registry, buckets=(0.15, 1.0)
        )
        self.namespaces: set[str] = set()
        self._server, self._thread = start_http_server(self.port, "127.0.0.1", registry)

    def serve(self) -> None:
        """Some requests of both variants."""
        for namespace in list(self.namespaces):
            for variant in ("control", "canary"):
                self._requests.labels(namespace, "shop", variant, "200").inc(20)
                for _ in range(20):
                    self._latency.labels(namespace, "shop", variant).observe(0.05)

    def stop(self) -> None:
        """Nothing is exported any more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def kubelet(kube: Kube) -> None:
    """Mark every pod that waits as ready."""
    ready = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}
    waiting = kube._call("GET", "/api/v1/pods", "pods", query=[("fieldSelector", "status.phase=Pending")])
    for pod in waiting["items"]:
        meta = pod["metadata"]
        with contextlib.suppress(KubeError):
            kube.patch("v1", "pods", meta["namespace"], meta["name"], ready, subresource="status")


@dataclass
class Scene:
    """Where the rollouts are."""

    plane: Plane
    admin: Kube
    address: str
    traffic: Traffic
    lease: LeaderLease
    serial: int = field(default=0)

    def prepare(self) -> str:
        """A namespace with a shop, and an experiment whose canary Serin makes; its name."""
        self.serial += 1
        namespace = f"crash-{self.serial}"
        self._create("v1", "namespaces", None, {"metadata": {"name": namespace}})
        labels = {"app": "shop"}
        pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "shop:1"}]}}
        spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": pod}
        body: dict[str, Any] = {"metadata": {"name": "shop"}, "spec": spec}
        self._create("apps/v1", "deployments", namespace, body)
        service = {"metadata": {"name": "shop"}, "spec": {"selector": labels, "ports": [{"port": 80}]}}
        self._create("v1", "services", namespace, service)
        patch = {"spec": {"containers": [{"name": "main", "image": "shop:2"}]}}
        wanted = {
            "services": [{"name": "shop", "control": {"deployment": "shop"}, "canary": {"patch": patch}}],
            "stages": [{"name": "half", "weight": 50, "duration": "5s"}],
            "promotion": {"bake": "5s"},
            "analysis": {"interval": "5s", "minRequests": 20},
            "prometheus": {"address": self.address},
        }
        kind = {"apiVersion": API_VERSION, "kind": "CanaryExperiment", "metadata": {"name": "try"}, "spec": wanted}
        self._create(API_VERSION, PLURAL, namespace, kind)
        self.traffic.namespaces.add(namespace)
        return namespace

    def _create(self, *what: Any) -> None:
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
