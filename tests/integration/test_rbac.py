"""The rights that the manifests give the operator: enough for each of its calls, and no more."""

import contextlib
from collections.abc import Iterator

import pytest
import yaml

from serin.engine.decision import EventNote
from serin.kube.client import Kube
from serin.kube.deployments import Deployments
from serin.kube.errors import Conflict, Forbidden, KubeError
from serin.kube.events import emit
from serin.kube.lease import LeaderLease
from serin.kube.status import patch_status, set_finalizer
from serin.traffic.replicas import ReplicasRouter
from tests.cluster.places import REPOSITORY
from tests.integration.cluster_plane import Plane
from tests.integration.shapes import as_operator, deployment, experiment, patched, until

_PLURALS = {
    "Namespace": "namespaces",
    "ServiceAccount": "serviceaccounts",
    "ClusterRole": "clusterroles",
    "ClusterRoleBinding": "clusterrolebindings",
    "Role": "roles",
    "RoleBinding": "rolebindings",
}


@pytest.fixture(scope="module")
def operator(plane: Plane) -> Iterator[Kube]:
    """A client with the operator's account and what manifests/base/rbac.yaml gives it."""
    admin = plane.connect()
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "serin-system"}}
    for body in (namespace, *yaml.safe_load_all((REPOSITORY / "manifests/base/rbac.yaml").read_text())):
        # Other tests on this API server may have needed a part of it, from the same file.
        with contextlib.suppress(Conflict):
            admin.create(body["apiVersion"], _PLURALS[body["kind"]], body["metadata"].get("namespace"), body)
    with as_operator(plane) as made:
        yield made
    admin.close()


def test_every_call_of_the_operator_is_allowed(operator: Kube, kube: Kube, namespace: str) -> None:
    """A canary is made, split, promoted, restored and removed; status, finalizer, Event and Lease are written."""
    kube.create("apps/v1", "deployments", namespace, deployment("shop", 10))
    body = {"metadata": {"name": "shop"}, "spec": {"selector": {"app": "shop"}, "ports": [{"port": 80}]}}
    kube.create("v1", "services", namespace, body)
    obj, asked = experiment(kube, namespace), patched({"spec": {"hostname": "x"}})
    deployments, router = Deployments(operator), ReplicasRouter(operator)
    assert router.check(namespace, asked) == ()
    obj = patch_status(operator, namespace, "try", {"phase": "Preparing"}, obj["metadata"]["resourceVersion"])
    obj = set_finalizer(operator, obj, present=True)
    deployments.ensure_canary(namespace, asked, obj)
    router.write(namespace, asked, weight=30, total=10)
    assert (deployments.find(namespace, "shop-canary") or {})["spec"]["replicas"] == 3
    control = deployments.find(namespace, "shop") or {}
    until("pods are there", lambda: bool(kube.list("v1", "pods", namespace)))
    assert deployments.trouble(control) == "", "pods that nobody has looked at say nothing"
    deployments.keep_template(namespace, "try-shop-1", control, obj)
    kept = deployments.kept_template(namespace, "try-shop-1")
    assert kept is not None
    deployments.set_template(control, kept)
    deployments.forget_template(namespace, "try-shop-1")
    deployments.remove_canary(namespace, "shop-canary", obj["metadata"]["uid"])
    assert deployments.find(namespace, "shop-canary") is None
    emit(operator, obj, EventNote("Normal", "Promoted", "m"), "operator-1")
    assert [each["reason"] for each in kube.list("v1", "events", namespace) if each["reason"] == "Promoted"]
    set_finalizer(operator, operator.get("serin.dev/v1alpha1", "canaryexperiments", namespace, "try"), present=False)
    lease = LeaderLease(operator, "serin-system", "serin", "one")
    assert lease.acquire()
    assert lease.acquire()
    lease.release()


@pytest.mark.parametrize("plural", ["secrets", "configmaps", "nodes"])
def test_nothing_else_can_be_read(operator: Kube, plural: str) -> None:
    """Secrets, ConfigMaps and nodes are closed to the operator."""
    with pytest.raises(Forbidden):
        operator.list("v1", plural)


def test_the_operator_takes_no_other_lease(operator: Kube, kube: Kube) -> None:
    """In its own namespace only the Lease `serin` can be changed."""
    body = {"metadata": {"name": "other"}, "spec": {"holderIdentity": "x"}}
    kube.create("coordination.k8s.io/v1", "leases", "serin-system", body)
    with pytest.raises(KubeError):
        operator.patch("coordination.k8s.io/v1", "leases", "serin-system", "other", {"spec": {"holderIdentity": "y"}})
