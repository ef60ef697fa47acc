"""Every property of the CRD is mutated in turn on a running experiment: refused or handled, and corrected it goes on.

In the manner of Acto: the mutations are made from the schema, so that a property that comes later is tried too. What
the API server refuses never reaches the operator; what it accepts must not break a look, nor leave a Deployment behind.
"""

import asyncio
import copy
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import yaml

from serin.api.names import API_VERSION, PLURAL
from serin.kube.client import JSON_PATCH
from serin.kube.errors import Invalid
from tests.cluster.places import REPOSITORY
from tests.integration.controller.mortal import Cemetery, Life
from tests.integration.controller.scene import Scene

_CRD = yaml.safe_load((REPOSITORY / "crds/serin.dev_canaryexperiments.yaml").read_text())
_SPEC: dict[str, Any] = _CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
_TURNS = 2
_REMOVED = object()

Mutation = tuple[tuple[str | int, ...], Any]


def mutations(path: tuple[str | int, ...], node: dict[str, Any]) -> Iterator[Mutation]:
    """Yield bad and unusual values of a property, and of each below it."""
    kind = node.get("type")
    if path:
        yield path, _REMOVED
    if kind == "object":
        yield from ((path, value) for value in ({}, "text") if path)
        for name, inner in node.get("properties", {}).items():
            yield from mutations((*path, name), inner)
    elif kind == "array":
        yield from ((path, value) for value in ([], {}))
        yield from mutations((*path, 0), node["items"])
    elif kind == "string":
        yield from ((path, value) for value in (*node.get("enum", ()), "", "a" * 3000, "7s", 7))
    elif kind in {"integer", "number"}:
        yield from ((path, value) for value in (-1, 1, 10**12, "text"))
    elif kind == "boolean":
        yield from ((path, value) for value in (True, False, "text"))


def mutated(spec: dict[str, Any], mutation: Mutation) -> dict[str, Any] | None:
    """Return a spec with one mutation; None where it makes no difference."""
    path, value = mutation
    made = copy.deepcopy(spec)
    at: Any = made
    for step in path[:-1]:
        if isinstance(at, list):
            if not at:
                at.append({})
            at = at[0]
        else:
            at = at.setdefault(step, [] if isinstance(path[path.index(step) + 1], int) else {})
        if not isinstance(at, dict | list):
            return None
    last = path[-1]
    if value is _REMOVED:
        if isinstance(at, dict):
            at.pop(last, None)
        else:
            del at[:1]
    elif isinstance(at, list):
        at[:1] = [value]
    else:
        at[last] = value
    return None if made == spec else made


@pytest.mark.timeout(1200)
async def test_every_property_of_a_running_experiment(scene: Scene) -> None:
    """No mutation breaks a look; after each the experiment is put right, and at the end it measures at its split."""
    namespace = scene.prepare()
    spec = scene.admin.get(API_VERSION, PLURAL, namespace, "try")["spec"]
    spec["stages"][0]["duration"] = "1h"
    refused = handled = turns = 0
    todo = [made for each in mutations((), _SPEC) if (made := mutated(spec, each)) is not None]
    waiting = iter(todo)

    def put(wanted: dict[str, Any]) -> bool:
        patch = [{"op": "add", "path": "/spec", "value": wanted}]
        try:
            scene.admin.patch(API_VERSION, PLURAL, namespace, "try", patch, JSON_PATCH)
        except Invalid:
            return False
        return True

    assert put(spec)

    def over(obj: dict[str, Any] | None) -> bool:
        nonlocal refused, handled, turns
        assert obj is not None
        status = obj.get("status", {})
        assert status.get("message", "."), "each look says something"
        turns -= 1
        if turns > 0:
            return False
        if obj["spec"] != spec:
            assert put(spec)
            turns = _TURNS
            return False
        for made in waiting:
            if put(made):
                handled += 1
                turns = _TURNS
                return False
            refused += 1
        # Put right after the last one: it goes on by itself.
        if status.get("phase") in {"RolledBack", "Failed", "Succeeded"} and not obj["metadata"].get("finalizers"):
            number = int((obj["metadata"].get("annotations") or {}).get("serin.dev/retry", "0")) + 1
            change = {"metadata": {"annotations": {"serin.dev/retry": str(number)}}}
            scene.admin.patch(API_VERSION, PLURAL, namespace, "try", change)
            turns = _TURNS
        return status.get("phase") == "Progressing" and bool(status["step"].get("done"))

    with ThreadPoolExecutor(8) as executor:
        await Cemetery(scene.admin, scene.lease, executor).run(namespace, Life(pace=0.1), over, 1100.0)
    print(f"{len(todo)} mutations of {namespace}: {refused} refused by the API server, {handled} handled")
    assert refused > 100
    assert handled > 20
    deployments = await asyncio.to_thread(scene.admin.list, "apps/v1", "deployments", namespace)
    sizes = {each["metadata"]["name"]: each["spec"]["replicas"] for each in deployments}
    assert sizes == {"shop": 1, "shop-canary": 1}
