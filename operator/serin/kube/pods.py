"""Why pods are not ready, in the words of kubelet and the scheduler.

A Deployment says how many pods are missing and not why. Its pods are asked only when somebody has waited for a while.
"""

from collections import Counter
from typing import Any, Final

from serin.engine.observation import NOT_SCHEDULED
from serin.kube.client import Kube

_LONGEST: Final = 200
_QUIET: Final = frozenset({"ContainerCreating", "PodInitializing"})
"""What every pod says for a moment."""


def trouble(kube: Kube, namespace: str, deployment: dict[str, Any]) -> str:
    """One sentence fragment about the pods of a Deployment that are not ready; empty when nothing is known.

    Raises:
        KubeError: the pods can't be listed.
    """
    return why(_selected(kube, namespace, deployment), deployment["metadata"]["name"])


def unscheduled(kube: Kube, namespace: str, deployment: dict[str, Any]) -> bool:
    """Whether the cluster has no room for a pod of a Deployment, as the scheduler says.

    Raises:
        KubeError: the pods can't be listed.
    """
    return any(
        _of(pod, deployment["metadata"]["name"]) and _condition(pod, "PodScheduled").get("reason") == "Unschedulable"
        for pod in _selected(kube, namespace, deployment)
    )


def _selected(kube: Kube, namespace: str, deployment: dict[str, Any]) -> list[dict[str, Any]]:
    labels = deployment["spec"]["selector"].get("matchLabels") or {}
    selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    return kube.list("v1", "pods", namespace, label_selector=selector) if selector else []


def why(pods: list[dict[str, Any]], deployment: str) -> str:
    """What most of the pods of `deployment` wait for; those of others that the selector matches too are left out."""
    found = Counter(text for pod in pods if _of(pod, deployment) and (text := _one(pod)))
    if not found:
        return ""
    text, count = found.most_common(1)[0]
    short = text if len(text) <= _LONGEST else f"{text[:_LONGEST].rpartition(' ')[0]}..."
    return f"{short}; {count} pods" if count > 1 else short


def _of(pod: dict[str, Any], deployment: str) -> bool:
    """By the name of its ReplicaSet: two Deployments' selectors may overlap."""
    meta = pod["metadata"]
    wanted = f"{deployment}-{(meta.get('labels') or {}).get('pod-template-hash', '')}"
    return any(owner["kind"] == "ReplicaSet" and owner["name"] == wanted for owner in meta.get("ownerReferences") or ())


def _one(pod: dict[str, Any]) -> str:
    status = pod.get("status", {})
    if "deletionTimestamp" in pod["metadata"]:
        return ""
    if _condition(pod, "Ready").get("status") == "True":
        return ""
    scheduled = _condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        # What it tried by preemption names the same nodes again.
        said = (scheduled.get("message") or scheduled.get("reason", "")).partition(" preemption:")[0]
        return f"{NOT_SCHEDULED}{said.removesuffix('.')}"
    containers = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    texts = [text for each in containers if (text := _container(each))]
    return texts[0] if texts else _failed(status)


def _condition(pod: dict[str, Any], kind: str) -> dict[str, Any]:
    conditions = pod.get("status", {}).get("conditions") or ()
    return next((each for each in conditions if each["type"] == kind), {})


def _container(status: dict[str, Any]) -> str:
    name, state = status["name"], status.get("state") or {}
    waiting = state.get("waiting")
    if waiting is not None:
        reason = waiting.get("reason", "")
        if reason in _QUIET or not reason:
            return ""
        if reason == "CrashLoopBackOff":
            return f"container {name} crashes ({reason}, {_exit(status)}{status.get('restartCount', 0)} restarts)"
        if "Image" in reason:
            return f"image {status.get('image', '')} of container {name}: {_with(reason, waiting.get('message', ''))}"
        return f"container {name}: {_with(reason, waiting.get('message', ''))}"
    if "terminated" in state and state["terminated"].get("exitCode"):
        ended = state["terminated"]
        return f"container {name} ended ({ended.get('reason', 'Error')}, exit code {ended['exitCode']})"
    if "running" in state and not status.get("ready") and status.get("started", True):
        last = _exit(status)
        again = f"; it was started again {status['restartCount']} times, {last.rstrip(', ')}" if last else ""
        return f"container {name} runs, and its readiness probe fails{again}"
    return ""


def _exit(status: dict[str, Any]) -> str:
    last = (status.get("lastState") or {}).get("terminated")
    return f"last {last.get('reason', 'Error')} with exit code {last.get('exitCode')}, " if last else ""


def _with(reason: str, message: str) -> str:
    return f"{reason}: {message}" if message else reason


def _failed(status: dict[str, Any]) -> str:
    """A pod that was evicted or refused as a whole."""
    if status.get("phase") != "Failed":
        return ""
    return _with(status.get("reason", "Failed"), status.get("message", ""))
