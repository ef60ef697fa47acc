"""Objects that the tests of the API client and of the router put into the API server."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from serin.api.spec import Service, parse_spec
from serin.kube.client import MERGE, Kube
from serin.kube.errors import Conflict, Forbidden, NotFound
from tests.integration.cluster_plane import Plane


def deployment(name: str, replicas: int = 10, *, role: str = "", image: str = "shop:1") -> dict[str, Any]:
    """Return a Deployment of the app `shop`; with a role the pods carry it and the selector asks for it."""
    labels = {"app": "shop", **({"serin.dev/variant": role} if role else {})}
    container = {"name": "main", "image": image, "env": [{"name": "A", "value": "1"}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def service(**traffic: Any) -> Service:
    """Return the service `shop` of an experiment, with two Deployments of the user's."""
    made = {"name": "shop", "control": {"deployment": "shop"}, "canary": {"deployment": "shop-next"}}
    return parse_spec({"services": [{**made, **({"traffic": traffic} if traffic else {})}]}).services[0]


def patched(patch: dict[str, Any]) -> Service:
    """Return the service `shop` with a canary that Serin makes from a patch."""
    made = {"name": "shop", "control": {"deployment": "shop"}, "canary": {"patch": patch}}
    return parse_spec({"services": [made]}).services[0]


def experiment(kube: Kube, namespace: str, name: str = "try") -> dict[str, Any]:
    """Create an experiment on `shop`; the object."""
    body = {
        "apiVersion": "serin.dev/v1alpha1",
        "kind": "CanaryExperiment",
        "metadata": {"name": name},
        "spec": {
            "services": [
                {"name": "shop", "control": {"deployment": "shop"}, "canary": {"deployment": "shop-next"}},
            ]
        },
    }
    return kube.create("serin.dev/v1alpha1", "canaryexperiments", namespace, body)


def until(what: str, holds: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for `holds`, or fail and say for what."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if holds():
            return
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds:g} s: {what}")


def make_ready(kube: Kube, namespace: str, name: str) -> None:
    """Do what kubelet would: mark the pods of a Deployment ready, until the Deployment counts all of them."""

    def counted() -> bool:
        sets = kube.list("apps/v1", "replicasets", namespace)
        mine = {each["metadata"]["name"] for each in sets if each["metadata"]["ownerReferences"][0]["name"] == name}
        for pod in kube.list("v1", "pods", namespace):
            owned = pod["metadata"]["ownerReferences"][0]["name"] in mine
            if owned and pod["status"].get("phase") != "Running" and "deletionTimestamp" not in pod["metadata"]:
                ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
                with contextlib.suppress(NotFound):
                    kube.patch("v1", "pods", namespace, pod["metadata"]["name"], {"status": ready}, MERGE, "status")
        found = kube.get("apps/v1", "deployments", namespace, name)
        status = found.get("status", {})
        size = found["spec"]["replicas"]
        return (
            status.get("observedGeneration") == found["metadata"]["generation"]
            and status.get("readyReplicas", 0) == status.get("replicas", 0) == status.get("updatedReplicas", 0) == size
        )

    until(f"all pods of {name} are ready", counted)


RBAC = "rbac.authorization.k8s.io/v1"


def grant(kube: Kube, path: Path) -> None:
    """Create the cluster-wide rights that a manifest gives, as far as they aren't there."""
    for body in yaml.safe_load_all(path.read_text()):
        if body["kind"] in {"ClusterRole", "ClusterRoleBinding"}:
            with contextlib.suppress(Conflict):
                kube.create(RBAC, f"{body['kind'].lower()}s", None, body)


@contextlib.contextmanager
def as_operator(plane: Plane) -> Iterator[Kube]:
    """Give a client with the operator's account, when the rights that were created for it are in force."""
    made = plane.connect(plane.operator)

    def allowed() -> bool:
        try:
            made.list("apps/v1", "deployments")
        except Forbidden:
            return False
        return True

    until("the rights are in force", allowed)
    yield made
    made.close()
