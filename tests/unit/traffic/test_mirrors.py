"""Filters that copy requests: which are Serin's, what is changed, and that nothing else in a rule is touched."""

from typing import Any

import pytest

from serin.api.names import MIRROR
from serin.traffic.mirrors import FEATURE, PERCENT_FEATURE, changes, copied, foreign, mirrored, ours, supports
from serin.traffic.presets import gateway_api
from serin.traffic.splits import Labels, Pair, pairs

LABELS = Labels({"v": "control"}, {"v": "canary"})
SELECTORS = {"stable": {"v": "control"}, "next": {"v": "canary"}, "stable-2": {"v": "control"}}
HEADER: dict[str, Any] = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x"]}}
ELSEWHERE: dict[str, Any] = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "audit", "port": 80}}}
BACKENDS: list[dict[str, Any]] = [
    {"name": "next", "port": 80, "weight": 0},
    {"name": "stable", "port": 80, "weight": 1_000_000},
]


def to_canary(**more: Any) -> dict[str, Any]:
    """Return a filter that copies to the canary."""
    return {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "next", "port": 80}, **more}}


def route(*rules: list[dict[str, Any]] | None, mark: str | None = None, **annotations: str) -> dict[str, Any]:
    """Return a route with one rule for each list of filters; `mark` says which filters are Serin's."""
    if mark is not None:
        annotations[MIRROR] = mark
    meta = {"name": "shop", "namespace": "ns", **({"annotations": annotations} if annotations else {})}
    found = [{"backendRefs": BACKENDS, **({} if each is None else {"filters": each})} for each in rules]
    return {"metadata": meta, "spec": {"rules": found}}


def of(obj: dict[str, Any]) -> tuple[Pair, ...]:
    """Return the rules that lead to both variants."""
    return pairs(gateway_api(obj, "ns"), SELECTORS, LABELS)[0]


ADD = {"op": "add", "path": "/spec/rules/0/filters/-"}
NOTE = {"op": "add", "path": "/metadata/annotations", "value": {MIRROR: "next"}}


def test_a_filter_is_added_behind_those_of_others() -> None:
    """With the mark by the same patch: a crash between the two would make a filter nobody's."""
    shop = route([HEADER, ELSEWHERE], other="kept")
    mark = {"op": "add", "path": "/metadata/annotations/serin.dev~1mirror", "value": "next"}
    assert changes(shop, of(shop), 20) == [{**ADD, "value": to_canary(percent=20)}, mark]


def test_a_rule_without_filters_gets_a_list() -> None:
    """And all of the requests need no percentage, which older Gateway APIs don't know."""
    shop = route(None)
    empty = {"op": "add", "path": "/spec/rules/0/filters", "value": []}
    assert changes(shop, of(shop), 100) == [empty, {**ADD, "value": to_canary()}, NOTE]


def test_another_percentage_replaces_the_filter() -> None:
    """The old one goes first, by its place, and the mark stays as it is."""
    shop = route([HEADER, to_canary(percent=5)], mark="next")
    assert copied(shop, of(shop)[0]) == 5
    remove = {"op": "remove", "path": "/spec/rules/0/filters/1"}
    assert changes(shop, of(shop), 20) == [remove, {**ADD, "value": to_canary(percent=20)}]


def test_what_was_added_is_taken_away() -> None:
    """A list that came with the filter goes with it; the mark goes; filters of others stay."""
    mark = {"op": "remove", "path": "/metadata/annotations/serin.dev~1mirror"}
    alone = route([to_canary()], mark="next")
    assert changes(alone, of(alone), 0) == [{"op": "remove", "path": "/spec/rules/0/filters"}, mark]
    beside = route([to_canary(), HEADER], mark="next")
    assert changes(beside, of(beside), 0) == [{"op": "remove", "path": "/spec/rules/0/filters/0"}, mark]


def test_filters_that_are_there_twice_go_from_the_last() -> None:
    """Taking one away moves those behind it."""
    twice = route([to_canary(), HEADER, to_canary()], mark="next")
    assert [each["path"] for each in changes(twice, of(twice), 0)][:2] == [
        "/spec/rules/0/filters/2",
        "/spec/rules/0/filters/0",
    ]


def test_nothing_changes_where_nothing_is_to_change() -> None:
    """A rule that copies as it should; one that copies nothing and should not; somebody else's filter in a rollback."""
    right = route([to_canary(percent=20)], mark="next")
    assert mirrored(right, of(right)[0], 20)
    assert not mirrored(right, of(right)[0], 21)
    assert not mirrored(right, of(right)[0], 0)
    assert mirrored(route([ELSEWHERE]), of(route([ELSEWHERE]))[0], 0)
    assert changes(right, (), 0) == []


def test_a_filter_without_the_mark_is_somebody_elses() -> None:
    """It is never removed, and it is said before traffic moves."""
    theirs = route([to_canary()])
    assert foreign(theirs, of(theirs)[0])
    assert mirrored(theirs, of(theirs)[0], 0)
    assert not mirrored(theirs, of(theirs)[0], 100)
    assert not foreign(route([to_canary()], mark="next"), of(theirs)[0])
    assert ours(route(None, mark="next,other")) == {"next", "other"}


@pytest.mark.parametrize(
    ("mirror", "share"),
    [({}, 100), ({"percent": 0}, 0), ({"percent": 42}, 42), ({"fraction": {"numerator": 1, "denominator": 8}}, 12.5)],
)
def test_how_much_is_copied(mirror: dict[str, Any], share: float) -> None:
    """Percent, or a fraction of 100 where it has no denominator."""
    shop = route([to_canary(**mirror)])
    assert copied(shop, of(shop)[0]) == share


@pytest.mark.parametrize(
    ("features", "controller", "percent", "able"),
    [
        ([FEATURE], "x/y", 100, True),
        ([FEATURE], "x/y", 20, False),
        ([PERCENT_FEATURE], "x/y", 20, True),
        ([], "gateway.envoyproxy.io/gatewayclass-controller", 100, False),
        (None, "gateway.envoyproxy.io/gatewayclass-controller", 20, True),
        (None, "projectcontour.io/gateway-controller", 20, False),
        (None, "x/y", 100, False),
    ],
)
def test_who_copies(features: list[str] | None, controller: str, percent: int, able: bool) -> None:
    """By what its class says; where it says nothing, by what is known of it."""
    assert supports(features, controller, percent) is able
