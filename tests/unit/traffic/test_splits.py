"""Which backend is whose, which rules are Serin's, and that nothing else in a route is ever named."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serin.traffic.pointer import ABSENT, find, pointer
from serin.traffic.presets import PRESETS, gateway_api
from serin.traffic.splits import Backend, Labels, Pair, Split, kind_of, pair, pairs

CONTROL, CANARY = {"app": "shop", "serin.dev/variant": "control"}, {"app": "shop", "serin.dev/variant": "canary"}
LABELS = Labels(CONTROL, CANARY)
SELECTORS: dict[str, dict[str, str]] = {
    "stable": CONTROL,
    "next": CANARY,
    "all": {"app": "shop"},
    "cart": {"app": "cart"},
    "headless": {},
}


@pytest.mark.parametrize(
    ("service", "kind"),
    [
        ("stable", "control"),
        ("next", "canary"),
        ("all", "both"),
        ("cart", "other"),
        ("headless", "other"),
        ("gone", "missing"),
        ("", "other"),
    ],
)
def test_a_service_is_known_by_its_selector(service: str, kind: str) -> None:
    """Its selector tells whose pods it selects; one without a selector selects none."""
    assert kind_of(service, SELECTORS, LABELS) == kind


def rule(*backends: tuple[str, int | None], name: str = "") -> Split:
    """Return a rule."""
    found = tuple(Backend(service, pointer("w", at), weight) for at, (service, weight) in enumerate(backends))
    return Split(name, "/scope", found)


def test_a_rule_that_leads_to_both_is_a_pair() -> None:
    """In whatever order, with whatever else beside them; a rule without control or without the canary is nobody's."""
    found = pair(rule(("cart", 3), ("next", 5), ("stable", 92)), SELECTORS, LABELS)
    assert isinstance(found, Pair)
    assert (found.canary.service, found.control.service) == ("next", "stable")
    assert found.weight() == pytest.approx(100 * 5 / 97)
    assert [each.service for each in found.others()] == ["cart"]
    assert pair(rule(("stable", 1), ("cart", 1)), SELECTORS, LABELS) == ""
    assert pair(rule(("next", 1), ("cart", 1)), SELECTORS, LABELS) == ""


def test_a_canary_that_is_gone_is_the_one_beside_control() -> None:
    """Without its Deployment or its Service the backend that is left over is the canary's, if there is one alone."""
    gone = Labels(CONTROL, None)
    found = pair(rule(("next", 50), ("stable", 50)), SELECTORS, gone)
    assert isinstance(found, Pair)
    assert found.canary.service == "next"
    lost = pair(rule(("gone", 50), ("stable", 50)), SELECTORS, LABELS)
    assert isinstance(lost, Pair)
    assert lost.canary.service == "gone"
    assert pair(rule(("cart", 1), ("headless", 1), ("stable", 50)), SELECTORS, gone) == ""


def test_a_weight_that_is_not_written_is_no_share() -> None:
    """A vendor's default is not guessed: the split is unknown until Serin has written it."""
    found = pair(rule(("next", None), ("stable", 100)), SELECTORS, LABELS)
    assert isinstance(found, Pair)
    assert found.weight() is None
    assert not found.written(0)
    zero = pair(rule(("next", 0), ("stable", 0)), SELECTORS, LABELS)
    assert isinstance(zero, Pair)
    assert zero.weight() is None


BACKEND_REFS = st.fixed_dictionaries(
    {"name": st.sampled_from([*SELECTORS, "gone"])},
    optional={
        "weight": st.integers(0, 1_000_000),
        "namespace": st.sampled_from(["shop", "elsewhere"]),
        "kind": st.sampled_from(["Service", "ServiceImport"]),
        "group": st.sampled_from(["", "multicluster.x-k8s.io"]),
        "filters": st.just([{"type": "RequestMirror"}]),
    },
)
RULES = st.lists(
    st.fixed_dictionaries(
        {"backendRefs": st.lists(BACKEND_REFS, max_size=5)}, optional={"name": st.sampled_from(["a", "b"])}
    ),
    max_size=5,
)


@given(rules=RULES, weight=st.integers(0, 100))
def test_only_the_two_weights_of_our_rules_change(rules: list[dict[str, Any]], weight: int) -> None:
    """Whatever else is in a route: after a write it differs only in the weights of a control and a canary Service."""
    route: dict[str, Any] = {"metadata": {"namespace": "shop"}, "spec": {"rules": rules}}
    before = copy.deepcopy(route)
    found, _ = pairs(gateway_api(route, "shop"), SELECTORS, LABELS)
    for each in found:
        for backend, value in ((each.control, 100 - weight), (each.canary, weight)):
            # What JSON patch's `add` does at a member of an object.
            find(route, backend.path.rpartition("/")[0])["weight"] = value
    touched = {backend.path for each in found for backend in (each.control, each.canary)}
    for at, one in enumerate(rules):
        for place, ref in enumerate(one["backendRefs"]):
            path = pointer("spec", "rules", at, "backendRefs", place)
            old = find(before, path)
            if f"{path}/weight" in touched:
                assert ref["name"] in {"stable", "next", "gone"}
                assert ref.get("namespace", "shop") == "shop"
                assert ref.get("kind", "Service") == "Service"
                old = {**old, "weight": ref["weight"]}
            assert ref == old
    again, _ = pairs(gateway_api(route, "shop"), SELECTORS, LABELS)
    assert all(each.written(weight) for each in again)


@given(parts=st.lists(st.text(min_size=1), min_size=1, max_size=5))
def test_a_pointer_finds_what_it_names(parts: list[str]) -> None:
    """Keys with slashes and tildes, as annotations have them, are found again; anything else is absent."""
    document: Any = 7
    for part in reversed(parts):
        document = {part: document}
    assert find(document, pointer(*parts)) == 7
    assert find(document, pointer(*parts, "more")) is ABSENT
    assert find({"other": 1}, pointer("missing")) is ABSENT
    assert find([1, 2], "/-1") is ABSENT


def test_every_preset_has_its_own_address() -> None:
    """A preset without rules in an empty resource finds none, rather than failing on what is missing."""
    for preset in PRESETS.values():
        assert preset.splits({"metadata": {"namespace": "shop"}}, "shop") == ()
