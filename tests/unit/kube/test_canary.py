"""What a canary made from a patch must not become: somebody else's selector, a paused Deployment, another merge."""

import copy
from typing import Any

import pytest

from serin.api.names import VARIANT_LABEL
from serin.kube.deployments import SOURCE_ANNOTATION, canary_from, controller_uid
from serin.kube.errors import NotFound, Unavailable, error_for
from serin.kube.strategic import merged

CONTROL: dict[str, Any] = {
    "metadata": {"name": "shop", "namespace": "ns"},
    "spec": {
        "paused": True,
        "selector": {
            "matchExpressions": [
                {"key": "app", "operator": "In", "values": ["shop"]},
                {"key": VARIANT_LABEL, "operator": "In", "values": ["control"]},
            ]
        },
        "template": {
            "metadata": {"labels": {"app": "shop", VARIANT_LABEL: "control"}, "creationTimestamp": None},
            "spec": {"containers": [{"name": "main", "image": "shop:1"}]},
        },
    },
}


def made(patch: dict[str, Any]) -> dict[str, Any]:
    """Return the canary of CONTROL with a patch."""
    return canary_from(CONTROL, patch, "shop-canary", {"uid": "e1", "controller": True}, "try")


def test_a_selector_by_expressions_is_kept() -> None:
    """Control's expressions stay in the canary's selector, apart from one on the role."""
    selector = made({})["spec"]["selector"]
    assert selector["matchLabels"] == {VARIANT_LABEL: "canary"}
    assert [each["key"] for each in selector["matchExpressions"]] == ["app"]


def test_a_paused_control_makes_a_canary_that_rolls_out() -> None:
    """`paused` is not inherited, and control is not changed."""
    before = copy.deepcopy(CONTROL)
    assert "paused" not in made({})["spec"]
    assert before == CONTROL


def test_the_patch_cannot_take_the_role_away() -> None:
    """A patch that sets or removes labels still gives pods that the selector finds."""
    for value in (None, "control"):
        canary = made({"metadata": {"labels": {VARIANT_LABEL: value, "tier": "new"}}})
        labels = canary["spec"]["template"]["metadata"]["labels"]
        assert labels == {"app": "shop", "tier": "new", VARIANT_LABEL: "canary"}


def test_the_source_changes_with_the_patch_alone() -> None:
    """The same patch gives the same annotation, another patch another."""
    source = [
        made(patch)["metadata"]["annotations"][SOURCE_ANNOTATION]
        for patch in ({}, {}, {"spec": {"containers": [{"name": "main", "image": "shop:2"}]}})
    ]
    assert source[0] == source[1] != source[2]


def test_only_the_controlling_owner_counts() -> None:
    """An owner that does not control is no owner here."""
    assert controller_uid({"metadata": {"ownerReferences": [{"uid": "a"}, {"uid": "b", "controller": True}]}}) == "b"
    assert controller_uid({"metadata": {"ownerReferences": [{"uid": "a"}]}}) == ""
    assert controller_uid({"metadata": {}}) == ""


@pytest.mark.parametrize(
    ("base", "patch", "expected"),
    [
        ({"env": [{"name": "A"}]}, {"env": [{"$patch": "replace"}, {"name": "B"}]}, {"env": [{"name": "B"}]}),
        ({"a": {"b": 1}}, {"a": {"$patch": "replace", "c": 2}}, {"a": {"c": 2}}),
        ({}, {"a": {"b": None, "c": 1}}, {"a": {"c": 1}}),
        (
            {"ports": [{"containerPort": 80, "name": "http"}]},
            {"ports": [{"containerPort": 81}, {"containerPort": 80, "name": "web"}]},
            {"ports": [{"containerPort": 80, "name": "web"}, {"containerPort": 81}]},
        ),
        ({"tolerations": [{"key": "a"}]}, {"tolerations": [{"key": "b"}]}, {"tolerations": [{"key": "b"}]}),
    ],
)
def test_directives_and_keys(base: dict[str, Any], patch: dict[str, Any], expected: dict[str, Any]) -> None:
    """`$patch: replace`, null in what is new, ports by number, and lists without a key."""
    assert merged(base, patch) == expected


def test_an_expired_page_is_not_an_absent_object() -> None:
    """410 ends a list in the middle: it is asked for again, never taken for `there is none`."""
    assert type(error_for(410, "Expired", "text")) is Unavailable
    assert not isinstance(error_for(410, "Expired", "text"), NotFound)
