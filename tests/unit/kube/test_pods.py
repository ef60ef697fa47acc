"""What pods say about themselves, as a person would."""

from typing import Any

import pytest

from serin.kube.pods import why


def pod(status: dict[str, Any], owner: str = "shop-7d9", **meta: Any) -> dict[str, Any]:
    """A pod of the Deployment `shop`, as the API server shows it."""
    owners = [{"kind": "ReplicaSet", "name": owner}]
    return {"metadata": {"labels": {"pod-template-hash": "7d9"}, "ownerReferences": owners, **meta}, "status": status}


def container(state: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The status of a pod with one container."""
    return {"phase": "Pending", "containerStatuses": [{"name": "main", "image": "shop:2", "state": state, **more}]}


def condition(kind: str, status: str, message: str = "") -> dict[str, Any]:
    """A condition of a pod."""
    return {"type": kind, "status": status, "message": message}


_PROBE = "container main runs, and its readiness probe fails"
_CRASHED = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (
            container({"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "shop:2"'}}),
            'image shop:2 of container main: ImagePullBackOff: Back-off pulling image "shop:2"',
        ),
        (
            container({"waiting": {"reason": "CrashLoopBackOff"}}, lastState=_CRASHED, restartCount=4),
            "container main crashes (CrashLoopBackOff, last OOMKilled with exit code 137, 4 restarts)",
        ),
        (
            container({"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "db" not found'}}),
            'container main: CreateContainerConfigError: secret "db" not found',
        ),
        (
            {
                "phase": "Pending",
                "conditions": [condition("PodScheduled", "False", "0/3 nodes are available: 3 Insufficient cpu.")],
            },
            "not scheduled: 0/3 nodes are available: 3 Insufficient cpu",
        ),
        (
            {
                "phase": "Pending",
                "conditions": [
                    condition(
                        "PodScheduled",
                        "False",
                        "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 No"
                        " preemption victims found for incoming pod.",
                    )
                ],
            },
            "not scheduled: 0/1 nodes are available: 1 Insufficient cpu",
        ),
        (container({"running": {}}, ready=False, started=True), _PROBE),
        (
            container({"running": {}}, ready=False, started=True, lastState=_CRASHED, restartCount=2),
            f"{_PROBE}; it was started again 2 times, last OOMKilled with exit code 137",
        ),
        (
            container({"terminated": {"exitCode": 1, "reason": "Error"}}),
            "container main ended (Error, exit code 1)",
        ),
        (
            {
                "phase": "Pending",
                "initContainerStatuses": [
                    {"name": "migrate", "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "restartCount": 3}
                ],
            },
            "container migrate crashes (CrashLoopBackOff, 3 restarts)",
        ),
        (
            {"phase": "Failed", "reason": "Evicted", "message": "node was low on memory"},
            "Evicted: node was low on memory",
        ),
        (container({"waiting": {"reason": "ContainerCreating"}}), ""),
        ({"phase": "Running", "conditions": [condition("Ready", "True")]}, ""),
    ],
)
def test_what_a_pod_says(status: dict[str, Any], words: str) -> None:
    """Image, crash, configuration, scheduler, probe, eviction; nothing where nothing is wrong."""
    assert why([pod(status)], "shop") == words


def test_most_pods_speak_and_are_counted() -> None:
    """The trouble of most is said once, with how many have it."""
    image = container({"waiting": {"reason": "ErrImagePull"}})
    assert why([pod(image), pod(container({"running": {}}, ready=False)), pod(image)], "shop").endswith("; 2 pods")


def test_pods_of_others_and_those_that_go_are_left_out() -> None:
    """Control's selector may match the canary's pods; a pod that is being deleted is nobody's trouble."""
    image = container({"waiting": {"reason": "ErrImagePull"}})
    assert why([pod(image, owner="shop-canary-7d9"), pod(image, deletionTimestamp="now")], "shop") == ""


def test_long_sentences_end_with_a_word() -> None:
    """The scheduler's sentence can be long; the message stays readable."""
    long = {"conditions": [condition("PodScheduled", "False", "0/3 nodes are available: " + "insufficient cpu " * 40)]}
    text = why([pod(long)], "shop")
    assert len(text) <= 203
    assert text.endswith("...")
