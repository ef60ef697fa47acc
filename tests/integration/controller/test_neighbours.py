"""What lives beside an experiment: pods that serve, GitOps, people who roll control, owners and their garbage.

The operator is the process with its manifest's rights, on a real API server with the real Deployment, ReplicaSet and
garbage collecting controllers. There are no nodes: pods are told that they are ready.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from serin.api.names import API_VERSION, PLURAL
from serin.kube.client import APPLY
from serin.kube.deployments import APPS
from serin.kube.errors import KubeError
from tests.integration.controller.process import cluster_of, operator, repeated, until
from tests.integration.controller.scene import Scene, Version, service_of, shop

LONG = [{"name": "half", "weight": 50, "duration": "2h"}]
SIZE = 4


@pytest.fixture(scope="module")
def place(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """The scene under an operator that leads."""
    cluster = cluster_of(scene.plane, tmp_path_factory.mktemp("neighbours"))
    with operator(cluster, "neighbours") as running:
        until(running.leads, f"the operator leads: {running.log.read_text()[-2000:]}", 120)
        yield scene
        log = running.log.read_text()
        assert "Traceback" not in log, log[log.index("Traceback") :][:3000]
        assert 'code="403"' not in running.get("/metrics")[1]


def begin(place: Scene, namespace: str, **spec: Any) -> None:
    """A shop of four pods, ready before there is an experiment; then the experiment."""
    place.create("v1", "namespaces", None, {"metadata": {"name": namespace}})
    place.open(namespace, size=SIZE)
    until(lambda: len(ready(place, namespace)) == SIZE, "the shop serves", 60)
    place.experiment(namespace, **{"stages": LONG, **spec})


def status(place: Scene, namespace: str, name: str = "try") -> dict[str, Any]:
    """Of an experiment; empty when it is gone, or the API server is busy."""
    try:
        found: dict[str, Any] = place.admin.get(API_VERSION, PLURAL, namespace, name).get("status") or {}
    except KubeError:
        return {}
    return found


def in_stage(place: Scene, namespace: str) -> dict[str, Any]:
    """Wait until a stage's looks are judged; the status."""

    def judged() -> dict[str, Any] | None:
        found = status(place, namespace)
        return found if found.get("phase") == "Progressing" and found.get("verdict") == "Healthy" else None

    found: dict[str, Any] = until(judged, f"{namespace} is measured: {status(place, namespace)}", 180)
    return found


def ready(place: Scene, namespace: str) -> set[str]:
    """Names of the pods that serve: the Service of the shop selects all of them."""
    pods = place.admin.list("v1", "pods", namespace, label_selector="app=shop")
    return {
        pod["metadata"]["name"]
        for pod in pods
        if pod["status"].get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]
    }


def gone(place: Scene, namespace: str) -> bool:
    """The experiment is not there any more."""
    return not any(each["metadata"]["namespace"] == namespace for each in place.admin.list(API_VERSION, PLURAL))


def test_adopted_and_removed_without_downtime(place: Scene) -> None:
    """From before the experiment until after its deletion four pods serve, and control's are replaced by none."""
    begin(place, "adopted")
    first, fewest = ready(place, "adopted"), [SIZE]

    def watch() -> None:
        fewest.append(len(ready(place, "adopted")))

    with repeated(watch, 0.05, despite=(KubeError,)):
        in_stage(place, "adopted")
        assert status(place, "adopted")["services"][0]["observedWeight"] == 50
        kept = ready(place, "adopted") & first
        assert len(kept) == SIZE // 2, "control's pods were not replaced, only half of them given up"
        place.admin.delete(API_VERSION, PLURAL, "adopted", "try")
        until(lambda: gone(place, "adopted"), "the experiment is gone", 120)
    assert min(fewest) == SIZE, f"fewer than {SIZE} pods served: {min(fewest)} of {len(fewest)} times seen"
    assert len(fewest) > 50
    control = place.admin.get(APPS, "deployments", "adopted", "shop")
    assert control["spec"]["replicas"] == SIZE
    assert control["spec"]["template"]["spec"]["containers"][0]["image"] == "shop:1"
    assert kept <= ready(place, "adopted"), "those that had served all the time still do"

    def made() -> list[str]:
        names = [each["metadata"]["name"] for each in place.admin.list(APPS, "replicasets", "adopted")]
        return [name for name in names if "canary" in name]

    until(lambda: not made(), f"the canary's ReplicaSets are collected: {made()}", 90)


def test_promoted_without_downtime(place: Scene) -> None:
    """Through the stage, the promotion and the bake there are never fewer than four pods that serve."""
    begin(place, "promoted", stages=[{"name": "half", "weight": 50, "duration": "5s"}])
    fewest = [SIZE]
    with repeated(lambda: fewest.append(len(ready(place, "promoted"))), 0.05, despite=(KubeError,)):
        until(lambda: status(place, "promoted").get("phase") == "Succeeded", "it is promoted", 240)
    assert min(fewest) >= SIZE, f"fewer than {SIZE} pods served: {min(fewest)}"
    control = place.admin.get(APPS, "deployments", "promoted", "shop")
    assert control["spec"]["template"]["spec"]["containers"][0]["image"] == "shop:2"


def test_what_serin_made_is_garbage_without_its_experiment(place: Scene) -> None:
    """Where the finalizer was taken away by force, the API server's own collector removes canary and kept template."""
    begin(place, "orphan", stages=[{"name": "half", "weight": 50, "duration": "5s"}], promotion={"bake": "2h"})
    until(lambda: status(place, "orphan").get("phase") == "Baking", "it bakes", 180)
    kept = place.admin.list(APPS, "controllerrevisions", "orphan")
    canary = place.admin.get(APPS, "deployments", "orphan", "shop-canary")
    owner = place.admin.get(API_VERSION, PLURAL, "orphan", "try")["metadata"]["uid"]
    for each in (*kept, canary):
        assert [(ref["kind"], ref["uid"]) for ref in each["metadata"]["ownerReferences"]] == [
            ("CanaryExperiment", owner)
        ]
    assert "ownerReferences" not in place.admin.get(APPS, "deployments", "orphan", "shop")["metadata"]
    place.admin.delete(API_VERSION, PLURAL, "orphan", "try")
    with contextlib.suppress(KubeError):  # the operator may have been faster
        place.admin.patch(API_VERSION, PLURAL, "orphan", "try", {"metadata": {"finalizers": None}})

    def left() -> list[str]:
        names = [each["metadata"]["name"] for each in place.admin.list(APPS, "deployments", "orphan")]
        return [*names, *(each["metadata"]["name"] for each in place.admin.list(APPS, "controllerrevisions", "orphan"))]

    until(lambda: left() == ["shop"], f"the canary and the kept template are gone: {left()}", 90)


def test_gitops_that_sets_the_size_back(place: Scene) -> None:
    """Each sync is undone and said, and the experiment still measures at its split; the annotation of GitOps stays."""
    begin(place, "gitops")
    in_stage(place, "gitops")
    manifest = {"apiVersion": APPS, "kind": "Deployment", **shop(SIZE)}
    manifest["metadata"] |= {"annotations": {"gitops.example/revision": "abc"}}
    _applied(place, manifest)
    until(lambda: _noted(place, "gitops", "SplitChanged"), f"it is said: {status(place, 'gitops')}", 60)
    until(lambda: _size(place, "gitops") == SIZE // 2, "the split is set again", 60)
    in_stage(place, "gitops")
    assert place.admin.get(APPS, "deployments", "gitops", "shop")["metadata"]["annotations"]["gitops.example/revision"]


def test_control_rolled_by_somebody_else(place: Scene) -> None:
    """It is noticed, the evidence and the stage start again, and the status says so; the hotfix stays."""
    begin(place, "rolled")
    before = in_stage(place, "rolled")
    container = {"name": "main", "image": "shop:hotfix"}
    body = {"spec": {"template": {"spec": {"containers": [container]}}}}
    place.admin.patch(APPS, "deployments", "rolled", "shop", body)
    until(lambda: _noted(place, "rolled", "ControlChanged"), f"it is said: {status(place, 'rolled')}", 60)
    after = in_stage(place, "rolled")
    assert after["runId"] == before["runId"]
    assert after["stageSeconds"] < before["stageSeconds"] + 60
    image = place.admin.get(APPS, "deployments", "rolled", "shop")["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == "shop:hotfix"


def test_spec_and_canary_changed_in_the_middle(place: Scene) -> None:
    """Another wish is another run from the first stage, after control has had all traffic; its evidence is its own."""
    begin(place, "edited")
    first = in_stage(place, "edited")
    place.admin.patch(API_VERSION, PLURAL, "edited", "try", {"spec": {"services": [service_of(image="shop:3")]}})
    until(lambda: status(place, "edited").get("runId") not in {None, first["runId"]}, "another run", 60)
    second = in_stage(place, "edited")
    counted = second["services"][0]["guardrails"][0]["canaryRequests"]
    assert counted < first["services"][0]["guardrails"][0]["canaryRequests"] + 600
    canary = place.admin.get(APPS, "deployments", "edited", "shop-canary")
    assert canary["spec"]["template"]["spec"]["containers"][0]["image"] == "shop:3"


def test_traffic_only_keeps_the_templates(place: Scene) -> None:
    """The canary keeps all traffic and control its template; deleting the experiment gives traffic back."""
    begin(
        place,
        "traffic-only",
        stages=[{"name": "half", "weight": 50, "duration": "5s"}],
        promotion={"mode": "TrafficOnly", "bake": "5s"},
    )
    until(lambda: status(place, "traffic-only").get("phase") == "Succeeded", "it has succeeded", 240)
    control = place.admin.get(APPS, "deployments", "traffic-only", "shop")
    assert control["spec"]["template"]["spec"]["containers"][0]["image"] == "shop:1"
    assert (control["spec"]["replicas"], _size(place, "traffic-only", "shop-canary")) == (0, SIZE)
    place.admin.delete(API_VERSION, PLURAL, "traffic-only", "try")
    until(lambda: gone(place, "traffic-only"), "the experiment is gone", 120)
    assert _size(place, "traffic-only") == SIZE


def test_sixteen_services_have_one_verdict(place: Scene) -> None:
    """They move together, and one whose canary fails takes all of them back."""
    place.create("v1", "namespaces", None, {"metadata": {"name": "sixteen"}})
    names = [f"part-{number:02}" for number in range(16)]
    for name in names:
        place.open("sixteen", name)
    place.experiment("sixteen", services=[service_of(name) for name in names], stages=LONG)
    until(lambda: status(place, "sixteen").get("verdict") == "Healthy", "all are measured", 240)
    assert {each["observedWeight"] for each in status(place, "sixteen")["services"]} == {50}
    place.traffic.versions["sixteen", "part-11", "canary"] = Version(errors=0.5)
    until(lambda: status(place, "sixteen").get("phase") == "RolledBack", "all are rolled back", 180)
    found = status(place, "sixteen")
    assert "part-11" in found["message"]
    assert {each["observedWeight"] for each in found["services"]} == {0}
    assert {_size(place, "sixteen", name) for name in names} == {2}


def _applied(place: Scene, manifest: dict[str, Any]) -> None:
    """Server-side apply, as Flux and Argo CD do."""
    place.admin._call(
        "PATCH",
        "/apis/apps/v1/namespaces/gitops/deployments/shop",
        "deployments",
        body=manifest,
        content_type=APPLY,
        query=[("fieldManager", "gitops"), ("force", "true")],
    )


def _noted(place: Scene, namespace: str, reason: str) -> bool:
    return any(each["reason"] == reason for each in status(place, namespace).get("transitions", ()))


def _size(place: Scene, namespace: str, name: str = "shop") -> int:
    found: int = place.admin.get(APPS, "deployments", namespace, name)["spec"]["replicas"]
    return found
