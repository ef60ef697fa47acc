"""What a real API server refuses of goals, with the sentence that it says, and what it completes."""

import secrets
from typing import Any

import pytest

from serin.api.names import API_VERSION, PLURAL
from serin.kube.client import Kube
from serin.kube.errors import KubeError

SERVICE = {"name": "shop", "control": {"deployment": "shop"}, "canary": {"deployment": "shop-next"}}


def created(kube: Kube, namespace: str, goal: dict[str, Any]) -> dict[str, Any]:
    """Return the experiment as the API server keeps it."""
    spec = {"services": [SERVICE], "goals": [{"name": "satisfaction", **goal}], "paused": True}
    name = f"goal-{secrets.token_hex(3)}"
    body = {"apiVersion": API_VERSION, "kind": "CanaryExperiment", "metadata": {"name": name}, "spec": spec}
    return kube.create(API_VERSION, PLURAL, namespace, body)


@pytest.mark.parametrize(
    ("goal", "words"),
    [
        ({}, "promoteOn NonInferior needs minimumEffect, the loss that does not matter yet"),
        ({"minimumEffect": 0}, "or write promoteOn: Superior"),
        ({"minimumEffect": -0.1}, "write 0 or more; direction says which way is better"),
        ({"minimumEffect": 0.1, "count": "users"}, "write count, sum and sumOfSquares, or none of them"),
        ({"minimumEffect": 0.1, "count": "a", "sum": "b"}, "write count, sum and sumOfSquares, or none of them"),
        ({"minimumEffect": 0.1, "service": "Shop"}, "use lower-case letters, digits"),
        ({"minimumEffect": 0.1, "direction": "Up"}, "Unsupported value"),
        ({"minimumEffect": 0.1, "promoteOn": "Better"}, "Unsupported value"),
    ],
)
def test_refused(kube: Kube, namespace: str, goal: dict[str, Any], words: str) -> None:
    """Each mistake that a schema can see is refused before anything is stored."""
    with pytest.raises(KubeError, match=r".") as refused:
        created(kube, namespace, goal)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    "goal",
    [
        {"minimumEffect": 0.1},
        {"promoteOn": "Superior"},
        {"minimumEffect": 0.1, "service": "shop", "direction": "Decrease"},
        {"minimumEffect": 1, "count": "a", "sum": "b", "sumOfSquares": "c", "segmentLabel": "country"},
    ],
)
def test_accepted(kube: Kube, namespace: str, goal: dict[str, Any]) -> None:
    """Three lines are a goal, and the defaults are written into it."""
    kept = created(kube, namespace, goal)["spec"]["goals"][0]
    whole = {"name": "satisfaction", "direction": "Increase", "minimumEffect": 0, "promoteOn": "NonInferior"}
    assert kept == {**whole, **goal}
