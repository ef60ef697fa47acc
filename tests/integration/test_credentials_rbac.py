"""The right to read a Secret: one Secret, in one namespace, from whoever has it; the operator's own role has none."""

import subprocess

import pytest
import yaml

from serin.kube.client import Kube
from serin.kube.errors import Forbidden
from serin.metrics.keeper import sentence
from tests.cluster.places import REPOSITORY, from_environment
from tests.integration.cluster_plane import Plane
from tests.integration.shapes import RBAC, until

COMPONENT = REPOSITORY / "manifests/components/prometheus-credentials/rbac.yaml"


def secret(kube: Kube, namespace: str, name: str) -> None:
    """Create a Secret."""
    kube.create("v1", "secrets", namespace, {"metadata": {"name": name}, "stringData": {"token": "abc"}})


def readable(operator: Kube, namespace: str, name: str) -> bool:
    """Whether the operator may read a Secret."""
    try:
        operator.get("v1", "secrets", namespace, name)
    except Forbidden:
        return False
    return True


def test_no_secret_is_open_by_the_base(operator: Kube, kube: Kube, namespace: str) -> None:
    """With manifests/base alone no Secret can be read, and the ClusterRole does not name them."""
    secret(kube, namespace, "prometheus-credentials")
    assert not readable(operator, namespace, "prometheus-credentials")
    role = kube.get(RBAC, "clusterroles", None, "serin-operator")
    assert not any("secrets" in rule.get("resources", ()) for rule in role["rules"])


def test_the_component_opens_one_secret(operator: Kube, kube: Kube, namespace: str) -> None:
    """With the component in a namespace: that Secret, there; no other one, no list, no write."""
    for body in yaml.safe_load_all(COMPONENT.read_text()):
        kube.create(RBAC, f"{body['kind'].lower()}s", namespace, body)
    for name in ("prometheus-credentials", "other"):
        secret(kube, namespace, name)
    until("the Secret can be read", lambda: readable(operator, namespace, "prometheus-credentials"))
    assert not readable(operator, namespace, "other")
    with pytest.raises(Forbidden):
        operator.list("v1", "secrets", namespace)
    with pytest.raises(Forbidden):
        operator.patch("v1", "secrets", namespace, "prometheus-credentials", {"data": {}})


def test_the_sentence_is_what_to_apply(plane: Plane, operator: Kube, kube: Kube, namespace: str) -> None:
    """The commands of the refusal, typed as they are, give exactly the right that was missing."""
    for name in ("metered", "other"):
        secret(kube, namespace, name)
    with pytest.raises(Forbidden) as caught:
        operator.get("v1", "secrets", namespace, "metered")
    commands = sentence(namespace, "metered", caught.value).partition("writes: ")[2]
    kubectl = f"{from_environment().bin / 'kubectl'} --kubeconfig={plane.kubeconfig}"
    assert commands.count("kubectl -n") == 2
    done = subprocess.run(
        ["sh", "-c", commands.replace("kubectl ", f"{kubectl} ")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    until("the Secret can be read", lambda: readable(operator, namespace, "metered"))
    assert not readable(operator, namespace, "other")
