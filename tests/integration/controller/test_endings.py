"""What could hang for ever: a namespace that goes, a spec that this operator cannot read, a CRD that is older."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from serin.api.names import API_VERSION, PLURAL
from serin.kube.client import JSON_PATCH
from serin.kube.errors import NotFound
from tests.integration.controller.mortal import Cemetery, Life, patiently, state
from tests.integration.controller.scene import Scene

_SECONDS = 120.0
Experiment = dict[str, Any] | None


async def _until_gone(scene: Scene, namespace: str, meddle: Callable[[dict[str, Any]], None]) -> None:
    """Runs the operator; `meddle` is told once when the split is measured; ends when the experiment is gone."""
    meddled = False

    def over(obj: Experiment) -> bool:
        nonlocal meddled
        if obj is None:
            return True
        if obj.get("status", {}).get("countedUntil") and not meddled:
            meddled = True
            meddle(obj)
        return False

    with ThreadPoolExecutor(8) as executor:
        await Cemetery(scene.admin, scene.lease, executor).run(namespace, Life(), over, _SECONDS)
    assert meddled


async def test_namespace_is_deleted_in_a_stage(scene: Scene) -> None:
    """The experiment holds its namespace up no longer than its Deployments are there."""
    namespace = scene.prepare()
    await _until_gone(scene, namespace, lambda _: scene.admin.delete("v1", "namespaces", None, namespace) and None)
    for _ in range(300):
        try:
            await asyncio.to_thread(scene.admin.get, "v1", "namespaces", None, namespace)
        except NotFound:
            return
        await asyncio.sleep(0.2)
    pytest.fail("the namespace is still there after a minute")


async def test_unreadable_experiment_is_deleted_in_a_stage(scene: Scene) -> None:
    """A newer CRD's field makes the spec unreadable; deleted, control has its size and image back, and it goes."""
    crds = "apiextensions.k8s.io/v1", "customresourcedefinitions", None, f"{PLURAL}.serin.dev"
    path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/x-kubernetes-preserve-unknown-fields"
    scene.admin.patch(*crds, [{"op": "add", "path": path, "value": True}], JSON_PATCH)
    namespace = scene.prepare()

    def meddle(obj: dict[str, Any]) -> None:
        del obj
        for _ in range(50):  # the API server takes a moment to serve the new schema
            spec = scene.admin.patch(API_VERSION, PLURAL, namespace, "try", {"spec": {"novel": {"a": 1}}})["spec"]
            if "novel" in spec:
                break
        assert "novel" in spec
        scene.admin.delete(API_VERSION, PLURAL, namespace, "try")

    await _until_gone(scene, namespace, meddle)
    assert await asyncio.to_thread(patiently, partial(state, scene.admin, namespace)) == {
        "shop": (2, "shop:1"),
        "kept": 0,
        "phase": "gone",
    }


async def test_older_crd_is_noticed_before_traffic_moves(scene: Scene) -> None:
    """A CRD that drops fields of the status is named with what to do; applied anew, the experiment goes on."""
    crds = "apiextensions.k8s.io/v1", "customresourcedefinitions", None, f"{PLURAL}.serin.dev"
    path = "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/summary"
    known = scene.admin.get(*crds)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    scene.admin.patch(*crds, [{"op": "remove", "path": path}], JSON_PATCH)
    namespace, refused = scene.prepare(), False
    what = API_VERSION, PLURAL, namespace, "try", {"status": {"summary": "x"}}
    for _ in range(300):  # until the API server serves the older schema
        tried = await asyncio.to_thread(partial(scene.admin.patch, *what, subresource="status", trial=True))
        if "summary" not in tried.get("status", {}):
            break
        await asyncio.sleep(0.1)

    def over(obj: Experiment) -> bool:
        nonlocal refused
        status = (obj or {}).get("status", {})
        conditions = {each["type"]: each for each in status.get("conditions", ())}
        if conditions.get("Accepted", {}).get("reason") == "CRDOutdated" and not refused:
            assert "kubectl apply -k crds" in conditions["Accepted"]["message"]
            assert status["weight"] == 0
            refused = True
            value = known["properties"]["summary"]
            scene.admin.patch(*crds, [{"op": "add", "path": path, "value": value}], JSON_PATCH)
        return bool(status.get("countedUntil"))

    with ThreadPoolExecutor(8) as executor:
        await Cemetery(scene.admin, scene.lease, executor).run(namespace, Life(), over, _SECONDS)
    assert refused
