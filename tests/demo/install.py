"""Brings Serin, Prometheus and the two services into the cluster, and to the state in which an experiment begins.

Everything may be there already, in any state: what is right is left alone, so a second run is quick.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from tests.cluster import daemon
from tests.cluster.places import REPOSITORY
from tests.demo.kubectl import NAMESPACE, KubectlError, get, kubectl

OVERLAY = "manifests/overlays/kind"
SERVICES = ("recommendation", "conversation")
OPERATOR = "app.kubernetes.io/name=serin"
FAULTS = ("SERIN_FAULT_ERROR_SHARE", "SERIN_FAULT_LATENCY", "SERIN_FAULT_AFTER")
IMAGE_ID = "serin.dev/image-id"
"""Pod template annotation: a rebuilt image keeps its tag, and only a changed template starts new pods."""

Say = Callable[[str], None]


def cluster() -> None:
    """Start the cluster, build the images, put them into it; each step only where it is needed.

    Raises:
        SystemExit: a step failed; it has said why.
    """
    for command in ("up", "images", "load"):
        done = subprocess.run([sys.executable, "-m", "tests.cluster", command], cwd=REPOSITORY, check=False)
        if done.returncode:
            raise SystemExit(done.returncode)


async def install(say: Say) -> None:
    """Apply the overlay and wait until everything in it runs what was last built.

    Raises:
        KubectlError: it could not be applied, or something does not become ready.
    """
    begun = time.monotonic()
    # An ended experiment begins a new run when its canary's template changes, as a new image does below.
    await _forget_experiments()
    say(f"kubectl apply -k {OVERLAY}")
    await _apply_overlay()
    for tag, deployments in _images().items():
        image = await asyncio.to_thread(daemon.image_id, tag)
        for namespace, name in deployments or await _operator():
            await annotate_template(namespace, name, {IMAGE_ID: image or "unknown"})
    await settled(say)
    say(f"Everything runs, after {time.monotonic() - begun:.0f} s.")


async def _forget_experiments() -> None:
    try:
        await kubectl("-n", NAMESPACE, "delete", "cex", "--all", wait=180)
    except KubectlError as error:
        if "the server doesn't have a resource type" not in str(error):
            raise


async def _apply_overlay() -> None:
    # The kinds of a CRD are known a moment after the CRD is: the second try finds them.
    for again in (True, True, False):
        try:
            await kubectl("apply", "-k", str(REPOSITORY / OVERLAY), wait=120)
        except KubectlError as error:
            if not again or "no matches for kind" not in str(error):
                raise
            await kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s", wait=70)
        else:
            return


def _images() -> dict[str, list[tuple[str, str]]]:
    """Return the Deployments of each image; those of the operator are found by their label."""
    return {
        "serin/operator:dev": [],
        **{f"serin/{service}:dev": [(NAMESPACE, service), (NAMESPACE, f"{service}-phase4")] for service in SERVICES},
    }


async def _operator() -> list[tuple[str, str]]:
    found = await get("deployments", "-A", "-l", OPERATOR)
    places = [(item["metadata"]["namespace"], item["metadata"]["name"]) for item in found["items"]]
    if not places:
        raise KubectlError(f"no Deployment with the label {OPERATOR}: is the operator in {OVERLAY}?")
    return places


async def operator() -> tuple[str, str]:
    """Return namespace and name of the operator's Deployment."""
    return (await _operator())[0]


async def annotate_template(namespace: str, name: str, annotations: dict[str, str]) -> None:
    """Annotate a Deployment's pod template; nothing restarts when it says the same already."""
    patch = {"spec": {"template": {"metadata": {"annotations": annotations}}}}
    await kubectl("-n", namespace, "patch", "deployment", name, "--type=merge", "-p", json.dumps(patch))


async def settled(say: Say, *, wait: float = 600.0) -> None:
    """Wait until every Deployment and StatefulSet of the cluster has its pods, and no pod is left over.

    Raises:
        KubectlError: something was not ready in time; it is named.
    """
    deadline, last = time.monotonic() + wait, ""
    while True:
        waiting = await _waiting()
        if not waiting:
            return
        if time.monotonic() > deadline:
            raise KubectlError(f"not ready after {wait:g} s: {', '.join(waiting)}")
        line = ", ".join(waiting)
        if line != last:
            say(f"waits for {line}")
        last = line
        await asyncio.sleep(2)


async def _waiting() -> list[str]:
    found: list[str] = []
    for item in (await get("deployments,statefulsets", "-A"))["items"]:
        wanted, status = item["spec"].get("replicas", 1), item.get("status", {})
        seen = status.get("observedGeneration", 0) >= item["metadata"]["generation"]
        counts = [status.get(key, 0) for key in ("replicas", "readyReplicas", "updatedReplicas")]
        if item["kind"] == "StatefulSet" and status.get("currentRevision") == status.get("updateRevision"):
            counts[2] = counts[0]
        if not seen or counts != [wanted] * 3:
            found.append(f"{item['metadata']['name']} {counts[1]}/{wanted}")
    # A pod that ends still serves for some seconds: the next experiment must not count its answers.
    pods = (await get("pods", "-n", NAMESPACE))["items"]
    found += sorted({trouble for pod in pods if (trouble := _trouble(pod))})
    if ending := sum("deletionTimestamp" in pod["metadata"] for pod in pods):
        found.append(f"{ending} pods that end")
    return found


def _trouble(pod: dict[str, Any]) -> str:
    """Return why a pod's container does not start, when the cluster says so: it rarely gets well by waiting."""
    for container in pod.get("status", {}).get("containerStatuses", ()):
        reason = container.get("state", {}).get("waiting", {}).get("reason", "")
        if reason not in {"", "ContainerCreating", "PodInitializing"}:
            return f"{container['image']}: {reason}"
    return ""


async def reset(say: Say, faults: dict[str, str] | None = None, *, faulty: str = "recommendation") -> None:
    """Bring both services to where an experiment begins: control has all pods, the canary none, faults as given.

    Args:
        say: Told what is waited for.
        faults: Settings of one canary, set while it has no pods; without, both are good releases.
        faulty: The service that gets them.
    """
    for service in SERVICES:
        canary = f"deployment/{service}-phase4"
        wanted = faults or {} if service == faulty else {}
        settings = [f"{name}={wanted[name]}" if name in wanted else f"{name}-" for name in FAULTS]
        await kubectl("-n", NAMESPACE, "scale", canary, "--replicas=0")
        await kubectl("-n", NAMESPACE, "set", "env", canary, *settings)
    await settled(say)
