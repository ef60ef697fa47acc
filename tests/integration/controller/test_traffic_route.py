"""Whole rollouts through an HTTPRoute by the operator as a process: promoted, held, aborted, deleted.

The API server, Prometheus and the operator with its manifest's rights are real. Beside the test one thread does what a
node does, one what a gateway's controller does: it reports the generation that it has seen, unless it is told not to.
"""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.places import REPOSITORY
from tests.integration.controller.process import (
    TRAFFIC,
    Cluster,
    deployment,
    exporter,
    kubelet,
    operator,
    repeated,
    sizes,
    until,
)
from tests.integration.metrics.process import prometheus

STAGES = [{"name": "half", "weight": 50, "duration": "5s"}]


@dataclass
class Gateway:
    """The controller of every HTTPRoute in `default`."""

    cluster: Cluster
    follows: bool = True

    def work(self) -> None:
        """Report what it has seen."""
        routes = json.loads(self.cluster.kubectl("get", "httproutes", "-o", "json"))["items"]
        for route in routes if self.follows else ():
            seen = {"observedGeneration": route["metadata"]["generation"], "reason": "Accepted", "message": ""}
            seen |= {"lastTransitionTime": "2026-01-01T00:00:00Z", "status": "True"}
            conditions = [{**seen, "type": kind} for kind in ("Accepted", "ResolvedRefs")]
            parent = {"parentRef": route["spec"]["parentRefs"][0], "controllerName": "gateway.example/one"}
            patch = {"status": {"parents": [{**parent, "conditions": conditions}]}}
            words = ("patch", "httproute", route["metadata"]["name"], "--subresource=status", "--type=merge", "-p")
            with contextlib.suppress(AssertionError):
                self.cluster.kubectl(*words, json.dumps(patch))


@dataclass
class Routes:
    """Experiments through routes, and the gateway that they have."""

    cluster: Cluster
    gateway: Gateway
    address: str

    def start(self, name: str, **spec: Any) -> None:
        """Create two Deployments, a Service for each, a route, and an experiment on them."""
        for each, role, replicas in ((name, "control", 4), (f"{name}-next", "canary", 0)):
            made = deployment(each)
            labels = {"app": name, "version": each, "serin.dev/variant": role}
            made["spec"] |= {"replicas": replicas, "selector": {"matchLabels": labels}}
            made["spec"]["template"]["metadata"]["labels"] = labels
            made["spec"]["template"]["spec"]["containers"][0]["image"] = each
            service = {"metadata": {"name": each}, "spec": {"selector": labels, "ports": [{"port": 80}]}}
            self.cluster.kubectl("apply", "-f", "-", given=made)
            self.cluster.kubectl("apply", "-f", "-", given={"apiVersion": "v1", "kind": "Service", **service})
        refs = [{"name": f"{name}-next", "port": 80, "weight": 0}, {"name": name, "port": 80, "weight": 100}]
        route = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": name}}
        route |= {"spec": {"parentRefs": [{"name": "shop"}], "rules": [{"backendRefs": refs}]}}
        self.cluster.kubectl("apply", "-f", "-", given=route)
        service = {"name": "shop", "control": {"deployment": name}, "canary": {"deployment": f"{name}-next"}}
        service |= {"traffic": {"type": "HTTPRoute", "httpRoute": {"name": name}}}
        wanted = {
            "services": [service],
            "stages": STAGES,
            "promotion": {"bake": "5s"},
            "analysis": {"interval": "5s", "minRequests": 20},
            "prometheus": {"address": self.address},
            **spec,
        }
        kind = {"apiVersion": "serin.dev/v1alpha1", "kind": "CanaryExperiment", "metadata": {"name": name}}
        self.cluster.kubectl("apply", "-f", "-", given={**kind, "spec": wanted})

    def weights(self, name: str) -> list[int]:
        """Return the weights of a route's rule, canary first."""
        words = ("get", "httproute", name, "-o", "jsonpath={.spec.rules[0].backendRefs[*].weight}")
        return [int(each) for each in self.cluster.kubectl(*words).split()]

    def phase(self, name: str, *wanted: str, seconds: float = 90.0) -> dict[str, Any]:
        """Wait for a phase; return the status."""

        def there() -> dict[str, Any] | None:
            status = self.cluster.status(name)
            return status if status.get("phase") in wanted else None

        found: dict[str, Any] = until(there, f"{name} is {wanted}: {self.cluster.status(name)}", seconds)
        return found

    def in_stage(self, name: str) -> None:
        """Wait until the stage's weight is in force and counted."""
        until(lambda: self.cluster.status(name).get("countedUntil"), f"{name} counts: {self.cluster.status(name)}", 60)


@pytest.fixture(scope="module")
def routes(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Routes]:
    """An operator that leads, traffic that is measured, pods that get ready, a gateway that follows."""
    cluster.kubectl("apply", "--server-side", "-f", str(REPOSITORY / "tests/integration/vendor/gateway-api.yaml"))
    until(lambda: "httproutes" in cluster.kubectl("api-resources", "-o", "name"), "HTTPRoutes are served")
    gateway, (port, serve) = Gateway(cluster), exporter()
    with contextlib.ExitStack() as stack:
        for work in (serve, kubelet(cluster), gateway.work):
            stack.enter_context(repeated(work))
        folder = Path(tmp_path_factory.mktemp("routes")) / "tsdb"
        address = stack.enter_context(prometheus(folder, TRAFFIC.format(port=port)))
        leader = stack.enter_context(operator(cluster, "routes"))
        until(leader.leads, "the operator leads")
        yield Routes(cluster, gateway, address)
        log = leader.log.read_text()
        assert "Traceback" not in log, log[-3000:]
        assert 'code="403"' not in leader.get("/metrics")[1]


def test_promoted_through_a_route(routes: Routes) -> None:
    """50 %, all to the canary, control takes its template, all back, bake: the weights say so at each end."""
    routes.start("good")
    routes.in_stage("good")
    assert routes.weights("good") == [50, 50]
    assert sizes(routes.cluster, "good") == (4, 2), "control is whole, the canary has its share"
    status = routes.phase("good", "Succeeded", "RolledBack", "Failed", seconds=180)
    assert status["phase"] == "Succeeded", status["message"]
    assert routes.weights("good") == [0, 100]
    until(lambda: sizes(routes.cluster, "good") == (4, 0), "the canary has no pods")
    words = ("get", "deployment", "good", "-o", "jsonpath={.spec.template.spec.containers[0].image}")
    assert routes.cluster.kubectl(*words) == "good-next"


def test_a_gateway_that_does_not_follow_holds(routes: Routes) -> None:
    """Its own message in its own phase; an abort is written at once and ends when the gateway follows again."""
    routes.start("held", stages=[{"name": "half", "weight": 50, "duration": "1h"}])
    routes.in_stage("held")
    routes.gateway.follows = False
    try:
        # Somebody edits the route, and its controller does not come to see it.
        edit = [{"op": "add", "path": "/spec/hostnames", "value": ["shop.test"]}]
        routes.cluster.kubectl("patch", "httproute", "held", "--type=json", "-p", json.dumps(edit))
        status = routes.phase("held", "Holding")
        assert status["reason"] == "RouteNotFollowed"
        assert "controller gateway.example/one has not taken the present" in status["message"]
        assert routes.weights("held") == [50, 50]
        patch = ("--type=merge", "-p", '{"spec":{"abort":true}}')
        routes.cluster.kubectl("patch", "canaryexperiment", "held", *patch)
        until(lambda: routes.weights("held") == [1, 999_999], "all but a trace is with control")
        assert routes.phase("held", "RollingBack")["weight"] == 0
        assert sizes(routes.cluster, "held") == (4, 2), "the canary is still served"
    finally:
        routes.gateway.follows = True
    assert routes.phase("held", "RolledBack", "Failed")["phase"] == "RolledBack"
    assert routes.weights("held") == [0, 100]
    until(lambda: sizes(routes.cluster, "held") == (4, 0), "the canary has no pods")
    assert routes.cluster.kubectl("get", "httproute", "held", "-o", "jsonpath={.spec.hostnames}") == '["shop.test"]'


def test_deleting_the_experiment_gives_the_route_back(routes: Routes) -> None:
    """The finalizer waits until the route is at 0, and then the experiment goes."""
    routes.start("gone", stages=[{"name": "half", "weight": 50, "duration": "1h"}])
    routes.in_stage("gone")
    routes.cluster.kubectl("delete", "canaryexperiment", "gone", "--wait=false")
    words = ("get", "canaryexperiment", "gone", "--ignore-not-found", "-o", "jsonpath={.status.message}")
    until(lambda: not routes.cluster.kubectl(*words), f"gone is gone: {routes.cluster.kubectl(*words)}", 120)
    assert routes.weights("gone") == [0, 100]
    assert sizes(routes.cluster, "gone") == (4, 0)


def test_another_route_in_the_middle_restores_the_first(routes: Routes) -> None:
    """An edit of `traffic` takes nothing with it: the old route goes back to 0 before the new one is used."""
    routes.start("moved", stages=[{"name": "half", "weight": 50, "duration": "1h"}])
    routes.in_stage("moved")
    patch = [{"op": "replace", "path": "/spec/services/0/traffic/httpRoute/name", "value": "nowhere"}]
    routes.cluster.kubectl("patch", "canaryexperiment", "moved", "--type=json", "-p", json.dumps(patch))
    until(lambda: routes.weights("moved") == [0, 100], "the first route is restored", 60)
    status = routes.phase("moved", "Pending")
    assert "no HTTPRoute nowhere in default" in status["message"]
