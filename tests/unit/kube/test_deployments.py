"""Deployments as decisions see them, and the objects that Serin makes of them. Pure."""

import copy
from datetime import UTC, datetime
from typing import Any

import pytest

from serin.api.names import VARIANT_LABEL
from serin.kube.deployments import canary_from, outdated, promoted_template, template_hash, workload
from serin.kube.errors import Conflict, Forbidden, Invalid, NotFound, Unavailable, error_for
from serin.kube.strategic import merged

CONTROL: dict[str, Any] = {
    "metadata": {"name": "shop", "namespace": "ns", "uid": "u1", "generation": 3},
    "spec": {
        "replicas": 4,
        "selector": {"matchLabels": {"app": "shop", VARIANT_LABEL: "control"}},
        "template": {
            "metadata": {"labels": {"app": "shop", VARIANT_LABEL: "control"}},
            "spec": {
                "containers": [
                    {"name": "service", "image": "shop:1", "env": [{"name": "A", "value": "1"}]},
                    {"name": "sidecar", "image": "proxy:1"},
                ]
            },
        },
    },
    "status": {
        "observedGeneration": 3,
        "replicas": 4,
        "updatedReplicas": 4,
        "readyReplicas": 4,
        "availableReplicas": 4,
        "conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}],
    },
}
PATCH = {"spec": {"containers": [{"name": "service", "image": "shop:2", "env": [{"name": "B", "value": "2"}]}]}}


def test_workload() -> None:
    """Sizes, generations and a passed deadline are read; an absent Deployment is None."""
    seen = workload(CONTROL)
    assert seen is not None
    assert (seen.replicas, seen.ready, seen.rolled_out, seen.deadline_exceeded) == (4, 4, True, True)
    assert seen.deadline == 600
    slow = workload({**CONTROL, "spec": {**CONTROL["spec"], "progressDeadlineSeconds": 900}})
    assert slow is not None
    assert slow.deadline == 900
    late = {"type": "Available", "status": "False", "lastTransitionTime": "2026-11-24T09:00:00Z"}
    few = workload({**CONTROL, "status": {"conditions": [late]}})
    assert few is not None
    assert few.unavailable_since == datetime(2026, 11, 24, 9, tzinfo=UTC).timestamp()
    assert workload(None) is None


def test_hash_ignores_the_role_alone() -> None:
    """The role and the controllers' own label make no new version; an annotation or an image does."""
    template = CONTROL["spec"]["template"]
    other = copy.deepcopy(template)
    other["metadata"]["labels"].update({VARIANT_LABEL: "canary", "pod-template-hash": "abc"})
    assert template_hash(other) == template_hash(template)
    other["metadata"]["annotations"] = {"kubectl.kubernetes.io/restartedAt": "now"}
    assert template_hash(other) != template_hash(template)


def test_canary_from_patch() -> None:
    """The canary is control with the patch: no pods yet, its own selector, owned by the experiment."""
    canary = canary_from(CONTROL, PATCH, "shop-canary", {"uid": "e1", "controller": True}, "exp")
    spec = canary["spec"]
    assert spec["replicas"] == 0
    assert spec["selector"]["matchLabels"] == {"app": "shop", VARIANT_LABEL: "canary"}
    assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()
    service, sidecar = spec["template"]["spec"]["containers"]
    assert service["image"] == "shop:2"
    assert [each["name"] for each in service["env"]] == ["A", "B"]
    assert sidecar == CONTROL["spec"]["template"]["spec"]["containers"][1]
    assert canary["metadata"]["ownerReferences"] == [{"uid": "e1", "controller": True}]


def test_promotion_keeps_controls_labels() -> None:
    """Control gets the canary's template and keeps the labels that its selector and its role hang on."""
    canary = canary_from(CONTROL, PATCH, "shop-canary", {"uid": "e1"}, "exp")
    template = promoted_template(CONTROL, canary)
    assert template["metadata"]["labels"] == CONTROL["spec"]["template"]["metadata"]["labels"]
    assert template["spec"]["containers"][0]["image"] == "shop:2"


@pytest.mark.parametrize(
    ("base", "patch", "expected"),
    [
        ({"a": 1}, {"a": None}, {}),
        ({"env": [{"name": "A", "value": "1"}]}, {"env": [{"name": "A", "$patch": "delete"}]}, {"env": []}),
        ({"args": ["a", "b"]}, {"args": ["c"]}, {"args": ["c"]}),
        (
            {"volumeMounts": [{"mountPath": "/a", "name": "x"}]},
            {"volumeMounts": [{"mountPath": "/a", "readOnly": True}]},
            {"volumeMounts": [{"mountPath": "/a", "name": "x", "readOnly": True}]},
        ),
    ],
)
def test_strategic_merge(base: dict[str, Any], patch: dict[str, Any], expected: dict[str, Any]) -> None:
    """Lists are merged by their keys, plain lists replaced, null removes; the base is not changed."""
    before = copy.deepcopy(base)
    assert merged(base, patch) == expected
    assert base == before


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, NotFound), (409, Conflict), (422, Invalid), (403, Forbidden), (429, Unavailable), (503, Unavailable)],
)
def test_errors_by_what_to_do(status: int, kind: type[Exception]) -> None:
    """Each status has the class by which callers decide."""
    assert type(error_for(status, "Reason", "text")) is kind


def test_a_changed_patch_makes_the_canary_outdated() -> None:
    """A canary is made anew when control or the patch means something else now, and only then."""
    canary = canary_from(CONTROL, PATCH, "shop-canary", {"uid": "e1"}, "exp")
    assert not outdated(CONTROL, canary, PATCH)
    assert outdated(CONTROL, canary, {"spec": {"containers": [{"name": "service", "image": "shop:3"}]}})
