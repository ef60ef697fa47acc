"""Filters that copy requests: which are Serin's, what is changed, and that nothing else in a rule is touched."""

from typing import Any

import pytest

from serin.api.names import MIRROR
from serin.traffic.mirrors import FEATURE, PERCENT_FEATURE, Copies, marked, supports
from serin.traffic.presets import gateway_api
from serin.traffic.splits import Labels, pairs

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
    return {"kind": "HTTPRoute", "metadata": meta, "spec": {"rules": found}}


def of(obj: dict[str, Any], percent: int | None) -> Copies:
    """Return what a run with these copies wants of a route."""
    return Copies("phase4", percent, pairs(gateway_api(obj, "ns"), SELECTORS, LABELS)[0])


MARK = "phase4=next"
ADD = {"op": "add", "path": "/spec/rules/0/filters/-"}
PLACE = "/metadata/annotations/serin.dev~1mirror"
UNMARKED = [{"op": "test", "path": PLACE, "value": MARK}, {"op": "remove", "path": PLACE}]


def test_a_filter_is_added_behind_those_of_others() -> None:
    """With the mark by the same patch: a crash between the two would make a filter nobody's."""
    shop = route([HEADER, ELSEWHERE], other="kept")
    mark = {"op": "add", "path": PLACE, "value": MARK}
    assert of(shop, 20).changes(shop) == [{**ADD, "value": to_canary(percent=20)}, mark]


def test_a_rule_without_filters_gets_a_list() -> None:
    """And all of the requests need no percentage, which older Gateway APIs don't know."""
    shop = route(None)
    empty = {"op": "add", "path": "/spec/rules/0/filters", "value": []}
    note = {"op": "add", "path": "/metadata/annotations", "value": {MIRROR: MARK}}
    assert of(shop, 100).changes(shop) == [empty, {**ADD, "value": to_canary()}, note]


def test_another_percentage_replaces_the_filter() -> None:
    """The old one goes first, by its place, and the mark stays as it is."""
    shop = route([HEADER, to_canary(percent=5)], mark=MARK)
    assert of(shop, 20).share(shop) == 5
    remove = {"op": "remove", "path": "/spec/rules/0/filters/1"}
    assert of(shop, 20).changes(shop) == [remove, {**ADD, "value": to_canary(percent=20)}]


@pytest.mark.parametrize("percent", [0, None])
def test_what_was_added_is_taken_away(percent: int | None) -> None:
    """A list that came with the filter goes with it; the mark goes; filters of others stay."""
    alone = route([to_canary()], mark=MARK)
    assert of(alone, percent).changes(alone) == [{"op": "remove", "path": "/spec/rules/0/filters"}, *UNMARKED]
    beside = route([to_canary(), HEADER], mark=MARK)
    assert of(beside, percent).changes(beside) == [{"op": "remove", "path": "/spec/rules/0/filters/0"}, *UNMARKED]


def test_filters_that_are_there_twice_go_from_the_last() -> None:
    """Taking one away moves those behind it."""
    twice = route([to_canary(), HEADER, to_canary()], mark=MARK)
    paths = [each["path"] for each in of(twice, 0).changes(twice)]
    assert paths[:2] == ["/spec/rules/0/filters/2", "/spec/rules/0/filters/0"]
    assert len(of(twice, 50).changes(twice)) == 3


def test_nothing_changes_where_nothing_is_to_change() -> None:
    """A rule that copies as it should; one that copies nothing and should not."""
    right = route([to_canary(percent=20)], mark=MARK)
    assert of(right, 20).in_force(right)
    assert not of(right, 21).in_force(right)
    assert not of(right, 0).in_force(right)
    assert of(route([ELSEWHERE]), 0).in_force(route([ELSEWHERE]))
    assert of(route(None), None).in_force(route(None))


def test_a_filter_without_the_mark_is_somebody_elses() -> None:
    """It is said, and left alone, for a run that has copied nothing; one that has takes it away."""
    theirs = route([to_canary()])
    assert of(theirs, None).foreign(theirs) == "next"
    assert of(theirs, None).in_force(theirs)
    assert of(theirs, 0).foreign(theirs) == ""
    assert of(theirs, 0).changes(theirs) == [{"op": "remove", "path": "/spec/rules/0/filters"}]
    assert of(theirs, 100).changes(theirs)[0]["path"] == "/metadata/annotations", "the mark is set again"
    assert of(route([ELSEWHERE]), None).foreign(route([ELSEWHERE])) == ""


def test_somebody_copies_beside_the_rules_of_the_experiment() -> None:
    """A rule that leads to control alone, with a filter to the canary, is the usual way to do it by hand."""
    shop = route(None)
    by_hand = {"backendRefs": [{"name": "stable", "port": 80}], "filters": [to_canary()]}
    shop["spec"]["rules"].append(by_hand)
    assert of(shop, None).foreign(shop) == "next"


def test_a_rule_that_no_longer_leads_to_both_is_cleaned() -> None:
    """Its backends were edited in the middle: the mark still says which filter was Serin's."""
    shop = route([to_canary()], [to_canary(), HEADER], mark=MARK)
    for rule in shop["spec"]["rules"]:
        rule["backendRefs"] = [{"name": "stable", "port": 80}]
    assert of(shop, 0).rules == ()
    assert [each["path"] for each in of(shop, 0).changes(shop)[:2]] == [
        "/spec/rules/0/filters",
        "/spec/rules/1/filters/0",
    ]
    assert of(shop, 100).changes(shop) == [], "in a stage it is held, until the rule is there again"


def test_a_mark_without_a_filter_is_taken_away() -> None:
    """Else a filter that a user writes later would be taken for Serin's."""
    shop = route(None, mark=f"{MARK},other=theirs")
    before, after = f"{MARK},other=theirs", "other=theirs"
    assert of(shop, None).changes(shop) == [
        {"op": "test", "path": PLACE, "value": before},
        {"op": "add", "path": PLACE, "value": after},
    ]


def test_experiments_that_share_a_route_do_not_see_each_other() -> None:
    """Marks are by the canary's Deployment."""
    shop = route([to_canary()], mark="other=next,phase3=x")
    assert marked(shop, "phase4") == set()
    assert marked(shop, "other") == {"next"}
    assert marked(route(None, mark="written by hand"), "phase4") == set()


def test_other_kinds_of_routes_have_no_such_filters() -> None:
    """Whatever a vendor's resource calls filters."""
    shop = {**route([to_canary()], mark=MARK), "kind": "VirtualService"}
    assert of(shop, None).changes(shop)[0]["op"] == "test", "nothing but the mark"


@pytest.mark.parametrize(
    ("mirror", "share"),
    [({}, 100), ({"percent": 0}, 0), ({"percent": 42}, 42), ({"fraction": {"numerator": 1, "denominator": 8}}, 12.5)],
)
def test_how_much_is_copied(mirror: dict[str, Any], share: float) -> None:
    """Percent, or a fraction of 100 where it has no denominator."""
    shop = route([to_canary(**mirror)])
    assert of(shop, None).share(shop) == share


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
