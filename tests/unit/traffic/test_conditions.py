"""Whether a route is followed, from what its controllers report."""

from typing import Any

import pytest

from serin.traffic.conditions import reports, trouble

PARENT = {"name": "serin", "namespace": "gateway"}


def condition(name: str, *, generation: int = 7, status: str = "True", message: str = "") -> dict[str, Any]:
    """Return a condition."""
    return {"type": name, "status": status, "observedGeneration": generation, "message": message, "reason": "R"}


def route(*conditions: dict[str, Any], parent: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return an HTTPRoute at generation 7 with one parent's report."""
    reported = {"parentRef": parent or PARENT, "controllerName": "c.example/one", "conditions": list(conditions)}
    return {
        "kind": "HTTPRoute",
        "metadata": {"name": "shop", "namespace": "shop", "generation": 7},
        "spec": {"parentRefs": [PARENT]},
        "status": {"parents": [reported]},
    }


GOOD = (condition("Accepted"), condition("ResolvedRefs"))


def test_a_route_that_is_followed_has_no_trouble() -> None:
    """Accepted and resolved at the present generation; the group and kind of a parent may be written or left out."""
    assert trouble(route(*GOOD)) == ""
    written = {**PARENT, "group": "gateway.networking.k8s.io", "kind": "Gateway"}
    assert trouble(route(*GOOD, parent=written)) == ""
    assert reports(route())


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (route(*GOOD, parent={"name": "other"}), "no controller has taken HTTPRoute shop for Gateway serin"),
        (route(condition("Accepted")), "controller c.example/one has not said ResolvedRefs of HTTPRoute shop yet"),
        (
            route(condition("Accepted", generation=6), GOOD[1]),
            "has not taken the present HTTPRoute shop (generation 7), only generation 6",
        ),
        (route(condition("Accepted", status="False", message="no listener"), GOOD[1]), "Accepted=False of HTTPRoute"),
        (route(GOOD[0], condition("ResolvedRefs", status="False")), "says ResolvedRefs=False of HTTPRoute shop: R"),
        (route(*GOOD, condition("Other", generation=5)), "only generation 5: does it run?"),
    ],
)
def test_what_is_not_in_force_is_said(found: dict[str, Any], text: str) -> None:
    """Who does not follow, at which generation, or what it says."""
    assert text in trouble(found)


def test_a_second_gateway_counts_too() -> None:
    """A route of two Gateways is in force when both follow."""
    two = route(*GOOD)
    two["spec"]["parentRefs"] = [PARENT, {"name": "inner"}]
    assert "for Gateway inner" in trouble(two)


def test_other_resources_report_in_conditions_or_not_at_all() -> None:
    """HTTPProxy's Valid and ApisixRoute's ResourcesAvailable are read; a resource without a status is not in doubt."""
    plain: dict[str, Any] = {"kind": "VirtualService", "metadata": {"name": "v", "generation": 7}, "spec": {}}
    assert trouble(plain) == ""
    assert not reports(plain)
    bad = {**plain, "status": {"conditions": [condition("Valid", status="False", message="unknown service")]}}
    assert "says Valid=False of VirtualService v: unknown service" in trouble(bad)
    late = {**plain, "status": {"conditions": [condition("Valid", generation=3)]}}
    assert "only generation 3" in trouble(late)
    assert reports(late)
