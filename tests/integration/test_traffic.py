"""The Replicas router against a real API server and its Deployment controller: order of steps, and what is refused."""

from typing import Any

import pytest

from serin.api.spec import Service
from serin.engine.observation import RouteReading
from serin.kube.client import MERGE, Kube
from serin.kube.deployments import Deployments, workload
from serin.kube.errors import NotFound
from serin.traffic.replicas import ReplicasRouter
from tests.integration.shapes import deployment, make_ready, patched, service, until

APPS = "apps/v1"
SHARED = {"metadata": {"name": "shop"}, "spec": {"selector": {"app": "shop"}, "ports": [{"port": 80}]}}


class Shop:
    """A service with two Deployments, and the router that splits it."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        self.kube, self.namespace, self.service = kube, namespace, service()
        self.router, self._deployments = ReplicasRouter(kube), Deployments(kube)
        for body in (deployment("shop", 10, role="control"), deployment("shop-next", 0, role="canary")):
            kube.create(APPS, "deployments", namespace, body)
        make_ready(kube, namespace, "shop")
        make_ready(kube, namespace, "shop-next")

    def read(self, weight: int) -> RouteReading:
        """Return the split as it is now."""
        control, canary = (workload(self._deployments.find(self.namespace, name)) for name in ("shop", "shop-next"))
        return self.router.read(self.service, control, canary, weight=weight, total=10)

    def write(self, weight: int) -> tuple[int, int]:
        """Go one step; the wanted sizes after it."""
        self.router.write(self.namespace, self.service, weight=weight, total=10)
        return self.sizes()

    def restore(self) -> tuple[int, int]:
        """Go one step of a rollback; the wanted sizes after it."""
        self.router.restore(self.namespace, self.service, total=10)
        return self.sizes()

    def _pending(self) -> list[str]:
        """Names of control's pods that do not run."""
        pods = self.kube.list("v1", "pods", self.namespace, label_selector="serin.dev/variant=control")
        return [each["metadata"]["name"] for each in pods if each["status"].get("phase") != "Running"]

    def _patch(self, pod: str, status: dict[str, Any]) -> None:
        self.kube.patch("v1", "pods", self.namespace, pod, {"status": status}, MERGE, "status")

    def without_room(self) -> int:
        """Do what the scheduler does in a full cluster; how many of control's pods it refused."""
        refused = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "Insufficient cpu"}
        waiting = self._pending()
        for pod in waiting:
            self._patch(pod, {"conditions": [refused]})
        return len(waiting)

    def schedule_one(self) -> None:
        """Let one of control's pods find room and become ready."""
        self._patch(self._pending()[0], {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]})

        def counted() -> bool:
            found = self.kube.get(APPS, "deployments", self.namespace, "shop")
            return bool(found["status"].get("readyReplicas", 0) == 6)

        until("control counts it", counted)

    def sizes(self) -> tuple[int, int]:
        """Return the wanted sizes of control and canary."""
        both = [self.kube.get(APPS, "deployments", self.namespace, name) for name in ("shop", "shop-next")]
        return both[0]["spec"]["replicas"], both[1]["spec"]["replicas"]

    def ready(self, name: str) -> None:
        """Let all pods of a Deployment become ready."""
        make_ready(self.kube, self.namespace, name)


@pytest.fixture
def shop(kube: Kube, namespace: str) -> Shop:
    """Control with 10 ready pods, the canary with none."""
    return Shop(kube, namespace)


def test_the_growing_side_is_ready_before_the_other_shrinks(shop: Shop) -> None:
    """Towards 30 % the canary grows first, control waits for it, and a repeated write changes nothing."""
    assert shop.write(30) == (10, 3)
    assert shop.write(30) == (10, 3), "the canary is not ready yet"
    waiting = shop.read(30)
    assert not waiting.settled
    assert "canary has 0 of 3 pods ready" in waiting.note
    shop.ready("shop-next")
    assert shop.write(30) == (7, 3)
    shop.ready("shop")
    settled = shop.read(30)
    assert settled.settled
    assert settled.weight == pytest.approx(30)
    generations = shop.read(30).token
    assert shop.write(30) == (7, 3)
    assert shop.read(30).token == generations, "a write that changes nothing leaves no trace"


def test_control_is_whole_before_the_canary_shrinks(shop: Shop) -> None:
    """A rollback brings control to its full, ready size before the canary loses a pod."""
    shop.write(50)
    shop.ready("shop-next")
    assert shop.write(50) == (5, 5)
    shop.ready("shop")
    assert shop.write(0) == (10, 5)
    assert shop.write(0) == (10, 5), "control's new pods are not ready yet"
    shop.ready("shop")
    assert shop.write(0) == (10, 0)
    shop.ready("shop-next")
    assert shop.read(0).settled
    assert shop.read(0).weight == 0


def test_in_a_full_cluster_a_rollback_takes_the_canarys_places(shop: Shop) -> None:
    """Control's pods find no room: the canary gives one place at a time, and only in a rollback."""
    shop.write(50)
    shop.ready("shop-next")
    shop.write(50)
    shop.ready("shop")
    assert shop.write(0) == (10, 5)
    until("control's new pods wait for room", lambda: shop.without_room() == 5)
    assert shop.write(0) == (10, 5), "a planned return waits for room"
    assert shop.restore() == (10, 4)
    assert shop.restore() == (10, 4), "the place that was given is not taken yet"
    shop.schedule_one()
    assert shop.restore() == (10, 3)
    shop.ready("shop")
    assert shop.restore() == (10, 0)


def test_a_canary_that_never_becomes_ready_costs_no_capacity(shop: Shop) -> None:
    """Rolling back from a canary that was never ready needs no readiness of it."""
    assert shop.write(30) == (10, 3)
    assert shop.write(0) == (10, 0)


def test_full_weight_and_back(shop: Shop) -> None:
    """At 100 % control has no pods; back at 0 % the canary has none."""
    assert shop.write(100) == (10, 10)
    shop.ready("shop-next")
    assert shop.write(100) == (0, 10)
    shop.ready("shop")
    assert shop.read(100).settled
    shop.router.restore(shop.namespace, shop.service, total=10)
    assert shop.sizes() == (10, 10)


def test_the_nearest_share_is_named(shop: Shop) -> None:
    """10 pods can't give 5 %: the reading says what they give."""
    shop.write(5)
    shop.ready("shop-next")
    assert shop.write(5) == (9, 1)
    shop.ready("shop")
    reading = shop.read(5)
    assert reading.settled
    assert reading.note == "10% is the nearest that 10 pods can give to 5%"


def test_a_share_between_two_numbers_of_pods_is_the_one_below(shop: Shop) -> None:
    """10 pods give 20 % for 25 %, not 30: the canary gets no more than its stage says, and the reading says what."""
    shop.write(25)
    shop.ready("shop-next")
    assert shop.write(25) == (8, 2)
    shop.ready("shop")
    reading = shop.read(25)
    assert reading.weight == pytest.approx(20)
    assert reading.note == "20% is the nearest that 10 pods can give to 25%"


def refusals(kube: Kube, namespace: str, asked: Service) -> dict[str, str]:
    """Return the problems by reason."""
    return {each.reason: each.message for each in ReplicasRouter(kube).check(namespace, asked)}


def test_a_good_setup_has_no_problem(kube: Kube, namespace: str) -> None:
    """Two Deployments behind one Service are accepted, and so is a canary that is yet to be made."""
    kube.create(APPS, "deployments", namespace, deployment("shop", 10))
    kube.create(APPS, "deployments", namespace, deployment("shop-next", 0, role="canary"))
    kube.create("v1", "services", namespace, SHARED)
    assert refusals(kube, namespace, service()) == {}
    assert refusals(kube, namespace, patched({"spec": {"hostname": "x"}})) == {}


def test_missing_deployments_are_named(kube: Kube, namespace: str) -> None:
    """Control and canary that do not exist are both named at once."""
    found = ReplicasRouter(kube).check(namespace, service())
    assert [each.reason for each in found] == ["DeploymentNotFound", "DeploymentNotFound"]
    assert "no Deployment shop-next" in found[1].message


def test_a_service_that_selects_one_side_is_refused(kube: Kube, namespace: str) -> None:
    """A Service on control's role reaches no canary, whether the user's or one that is yet to be made."""
    kube.create(APPS, "deployments", namespace, deployment("shop", 10, role="control"))
    kube.create(APPS, "deployments", namespace, deployment("shop-next", 0, role="canary"))
    selector = {"app": "shop", "serin.dev/variant": "control"}
    kube.create("v1", "services", namespace, {**SHARED, "spec": {**SHARED["spec"], "selector": selector}})
    assert "app: shop" in refusals(kube, namespace, service())["NoSharedService"]
    assert "app: shop" in refusals(kube, namespace, patched({"spec": {"hostname": "x"}}))["NoSharedService"]


@pytest.mark.parametrize("name", ["shop", "shop-next"])
def test_an_autoscaler_is_refused(kube: Kube, namespace: str, name: str) -> None:
    """A HorizontalPodAutoscaler on either side is refused by name; one on another Deployment is not."""
    kube.create(APPS, "deployments", namespace, deployment("shop", 10))
    kube.create(APPS, "deployments", namespace, deployment("shop-next", 0, role="canary"))
    kube.create("v1", "services", namespace, SHARED)
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "unrelated"}
    body: dict[str, Any] = {"metadata": {"name": "h1"}, "spec": {"scaleTargetRef": target, "maxReplicas": 3}}
    kube.create("autoscaling/v2", "horizontalpodautoscalers", namespace, body)
    assert refusals(kube, namespace, service()) == {}
    body = {"metadata": {"name": "h2"}, "spec": {"scaleTargetRef": {**target, "name": name}, "maxReplicas": 3}}
    kube.create("autoscaling/v2", "horizontalpodautoscalers", namespace, body)
    message = refusals(kube, namespace, service())["Autoscaled"]
    assert "HorizontalPodAutoscaler h2" in message
    assert f"Deployment {name}," in message
    assert f"(kubectl delete -n {namespace} horizontalpodautoscaler h2)" in message


def test_a_keda_object_is_refused(kube: Kube, namespace: str) -> None:
    """A ScaledObject whose target has no kind (KEDA's default is a Deployment) is refused; without KEDA nothing is."""
    kube.create(APPS, "deployments", namespace, deployment("shop", 10))
    kube.create(APPS, "deployments", namespace, deployment("shop-next", 0, role="canary"))
    kube.create("v1", "services", namespace, SHARED)
    assert refusals(kube, namespace, service()) == {}
    crds = ("apiextensions.k8s.io/v1", "customresourcedefinitions")
    version = {
        "name": "v1alpha1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
    }
    names = {
        "kind": "ScaledObject",
        "plural": "scaledobjects",
        "singular": "scaledobject",
        "listKind": "ScaledObjectList",
    }
    spec = {"group": "keda.sh", "scope": "Namespaced", "names": names, "versions": [version]}
    kube.create(*crds, None, {"metadata": {"name": "scaledobjects.keda.sh"}, "spec": spec})
    try:
        body = {
            "apiVersion": "keda.sh/v1alpha1",
            "kind": "ScaledObject",
            "metadata": {"name": "k"},
            "spec": {"scaleTargetRef": {"name": "shop-next"}},
        }

        def created() -> bool:
            try:
                kube.create("keda.sh/v1alpha1", "scaledobjects", namespace, body)
            except NotFound:
                return False
            return True

        until("KEDA's kind is served", created)
        assert "ScaledObject k" in refusals(kube, namespace, service())["Autoscaled"]
    finally:
        kube.delete(*crds, None, "scaledobjects.keda.sh")


def test_a_budget_of_controls_pods_alone_is_refused(kube: Kube, namespace: str) -> None:
    """A number of control's pods can't be kept while the canary takes their place; the sentence says what to write."""
    kube.create(APPS, "deployments", namespace, deployment("shop", 10, role="control"))
    kube.create(APPS, "deployments", namespace, deployment("shop-next", 0, role="canary"))
    kube.create("v1", "services", namespace, SHARED)
    alone = {"matchLabels": {"app": "shop"}, "matchExpressions": [
        {"key": "serin.dev/variant", "operator": "NotIn", "values": ["canary"]}]}  # fmt: skip
    fine: dict[str, dict[str, Any]] = {
        "both": {"selector": {"matchLabels": {"app": "shop"}}, "minAvailable": 8},
        "share": {"selector": alone, "minAvailable": "80%"},
        "missing": {"selector": alone, "maxUnavailable": 1},
        "other": {"selector": {"matchLabels": {"app": "cart"}}, "minAvailable": 3},
    }
    for name, spec in fine.items():
        kube.create("policy/v1", "poddisruptionbudgets", namespace, {"metadata": {"name": name}, "spec": spec})
    assert refusals(kube, namespace, service()) == {}
    spec = {"selector": alone, "minAvailable": 8}
    kube.create("policy/v1", "poddisruptionbudgets", namespace, {"metadata": {"name": "bad"}, "spec": spec})
    message = refusals(kube, namespace, service())["DisruptionBudget"]
    assert "PodDisruptionBudget bad asks for 8 of control's pods" in message
    assert "matches the pods of both (app: shop), or write maxUnavailable" in message


def test_the_canarys_name_may_be_taken(kube: Kube, namespace: str) -> None:
    """A Deployment of the user's with the name of the canary to be made is refused, with the way to use it."""
    kube.create(APPS, "deployments", namespace, deployment("shop", 10))
    kube.create(APPS, "deployments", namespace, deployment("shop-canary", 1, role="canary"))
    kube.create("v1", "services", namespace, SHARED)
    message = refusals(kube, namespace, patched({"spec": {"hostname": "x"}}))["CanaryNameTaken"]
    assert "canary: {deployment: shop-canary}" in message


def test_one_pod_is_no_split(kube: Kube, namespace: str) -> None:
    """A control with a single pod is refused unless the total is given."""
    kube.create(APPS, "deployments", namespace, deployment("shop", 1))
    kube.create(APPS, "deployments", namespace, deployment("shop-next", 0, role="canary"))
    kube.create("v1", "services", namespace, SHARED)
    assert "total: 10" in refusals(kube, namespace, service())["TooFewPods"]
    assert refusals(kube, namespace, service(type="Replicas", replicas={"total": 10})) == {}
