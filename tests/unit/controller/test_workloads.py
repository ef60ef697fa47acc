"""What is remembered of Deployments is never that of another version of them."""

import copy
from typing import Any

from serin.controller.store import Kept
from serin.controller.workloads import Workloads
from serin.kube.deployments import promoted_template, template_hash, workload


def deployment(uid: str, image: str, version: int = 1, replicas: int = 2) -> dict[str, Any]:
    """A Deployment as the API server gives it."""
    pod = {"metadata": {"labels": {"app": uid}}, "spec": {"containers": [{"name": "main", "image": image}]}}
    meta = {"name": uid, "namespace": "shop", "uid": uid, "generation": 1, "resourceVersion": str(version)}
    return {"metadata": meta, "spec": {"replicas": replicas, "template": pod}, "status": {"readyReplicas": replicas}}


def test_another_version_is_read_again() -> None:
    """Each object gives what it says itself, also when it differs in its status alone."""
    seen, first = Workloads(), deployment("a", "shop:1")
    assert seen.of(Kept.of(first)) == workload(first)
    assert seen.of(Kept.of(first)) is seen.of(Kept.of(first))
    later = copy.deepcopy(first)
    later["status"]["readyReplicas"] = 1
    later["metadata"]["resourceVersion"] = "2"
    assert seen.of(Kept.of(later)) == workload(later) != workload(first)
    assert seen.of(None) is None


def test_the_promoted_template_follows_both() -> None:
    """A change of control's labels or of the canary's template changes what control would get."""
    seen, old, new = Workloads(), deployment("a", "shop:1"), deployment("b", "shop:2")
    control, canary = Kept.of(old), Kept.of(new)
    first = seen.promoted(control, canary)
    assert first == seen.promoted(control, canary) == template_hash(promoted_template(old, new))
    assert seen.promoted(control, Kept.of(deployment("b", "shop:3", 2))) != first
    relabelled = deployment("a", "shop:1", 2)
    relabelled["spec"]["template"]["metadata"]["labels"]["tier"] = "web"
    assert seen.promoted(Kept.of(relabelled), canary) != first
    assert seen.promoted(control, None) == seen.promoted(None, canary) == ""


def test_what_is_gone_is_forgotten() -> None:
    """Memory is that of the Deployments that are there."""
    seen = Workloads()
    one, other = Kept.of(deployment("a", "shop:1")), Kept.of(deployment("b", "shop:2"))
    seen.of(one), seen.of(other), seen.promoted(one, other)
    seen.forget({"a"})
    assert list(seen._seen) == ["a"]
    assert not seen._promoted
