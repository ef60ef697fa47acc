"""Copies of requests by an HTTPRoute's filter, against a real API server with the Gateway API's own schemas."""

from typing import Any

import pytest

from serin.api.names import MIRROR
from serin.kube.client import Kube
from serin.kube.errors import Conflict
from serin.traffic.httproute import address
from serin.traffic.routes import RouteRouter
from tests.integration.routed import CONTROLLER, GATEWAY, TOTAL, Routed, backend, routed
from tests.integration.shapes import make_ready

pytestmark = pytest.mark.usefixtures("route_kinds")

HEADER: dict[str, Any] = {
    "type": "RequestHeaderModifier",
    "requestHeaderModifier": {"set": [{"name": "x", "value": "y"}]},
}
AUDIT: dict[str, Any] = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "audit", "port": 80}}}
PERCENT = "HTTPRouteRequestPercentageMirror"


def to_canary(**more: Any) -> dict[str, Any]:
    """Return a filter that copies to the canary, as the API server completes it."""
    ref = {"group": "", "kind": "Service", "name": "shop-next", "port": 80}
    return {"type": "RequestMirror", "requestMirror": {"backendRef": ref, **more}}


def rule(*filters: dict[str, Any]) -> dict[str, Any]:
    """Return a rule that leads to both variants."""
    backends = [backend("shop-next", 0), backend("shop", 100)]
    return {"backendRefs": backends, **({"filters": list(filters)} if filters else {})}


def filters(shop: Routed, at: int = 0) -> list[dict[str, Any]]:
    """Return the filters of a rule."""
    found: list[dict[str, Any]] = shop.route()["spec"]["rules"][at].get("filters", [])
    return found


def mark(shop: Routed) -> str | None:
    """Return what says whose filters they are."""
    return (shop.route()["metadata"].get("annotations") or {}).get(MIRROR)


def test_copies_begin_when_the_canary_can_answer_them(kube: Kube, namespace: str) -> None:
    """Pods first, then the filter with its mark; the weights stay, and control stays whole."""
    shop = routed(kube, namespace)
    shop.write(0, mirror=25)
    assert shop.sizes() == (TOTAL, 3)
    shop.write(0, mirror=25)
    assert filters(shop) == [], "no pod is ready"
    shop.read(0, mirror=25)
    assert shop.read(0, mirror=25, after=60.0).unserved == "", "nothing is copied to it yet"
    make_ready(kube, namespace, "shop-next")
    shop.write(0, mirror=25)
    assert filters(shop) == [], "the proxies may not know their endpoints yet"
    shop.clock.now += 2.1
    seen = shop.read(0, mirror=25)
    assert "copies 0% of the requests to the canary and goes to 25%" in seen.note
    shop.write(0, mirror=25)
    assert (filters(shop), mark(shop)) == ([to_canary(percent=25)], "shop-next=shop-next")
    assert shop.weights() == [0, 100]
    assert not shop.read(0, mirror=25).settled, "nobody follows yet"
    assert shop.bring(0, mirror=25).settled
    assert shop.sizes() == (TOTAL, 3)


def test_copies_end_before_the_first_share(kube: Kube, namespace: str) -> None:
    """With the first write on the way to it: what a canary with a share counts is what users asked of it."""
    shop = routed(kube, namespace)
    shop.bring(0, mirror=100)
    assert filters(shop) == [to_canary()]
    shop.write(25, mirror=0)
    assert (filters(shop), mark(shop), shop.weights()) == ([], None, [0, 100])
    assert shop.bring(25, mirror=0).settled
    assert shop.weights() == [25, 75]


def test_filters_and_rules_of_others_stay(kube: Kube, namespace: str) -> None:
    """Beside a header filter and somebody's mirror to an audit; a rule that leads elsewhere is not copied."""
    cart = {"backendRefs": [backend("cart")], "matches": [{"path": {"type": "PathPrefix", "value": "/cart"}}]}
    shop = routed(kube, namespace, rule(HEADER, AUDIT), cart, rule())
    before = shop.route()["spec"]
    shop.bring(0, mirror=100)
    assert filters(shop)[:2] == before["rules"][0]["filters"]
    assert filters(shop)[2:] == [to_canary()]
    assert (filters(shop, 1), filters(shop, 2)) == ([], [to_canary()])
    for _ in range(2):
        shop.restore()
    assert shop.route()["spec"] == before


def test_a_rollback_ends_copies_with_one_write(kube: Kube, namespace: str) -> None:
    """Whatever state the canary and the route's controller are in."""
    shop = routed(kube, namespace)
    shop.bring(0, mirror=100)
    kube.delete("apps/v1", "deployments", namespace, "shop-next")
    shop.follow(accepted="False")
    shop.restore()
    assert (filters(shop), mark(shop), shop.weights()) == ([], None, [0, 100])


def test_a_new_process_knows_its_filters(kube: Kube, namespace: str) -> None:
    """By the mark, after a crash at any moment."""
    shop = routed(kube, namespace)
    shop.bring(0, mirror=100)
    fresh = Routed(kube, namespace, shop.service, deployments=False)
    assert not fresh.read(0).settled
    fresh.restore()
    assert filters(shop) == []


def test_copies_end_without_their_mark(kube: Kube, namespace: str) -> None:
    """Somebody removed the annotation in the middle: the run knows that it has copied, and leaves nothing behind."""
    shop = routed(kube, namespace)
    shop.bring(0, mirror=100)
    shop.edit({"metadata": {"annotations": {MIRROR: None}}})
    assert not shop.read(0, mirror=100).settled
    assert not shop.read(0, mirror=0).settled
    shop.restore(mirror=0)
    assert filters(shop) == []


def test_a_rule_that_is_no_pair_any_more_is_cleaned(kube: Kube, namespace: str) -> None:
    """Somebody took the canary's backend out of it: a stage holds, and a rollback does not end before it is clean."""
    shop = routed(kube, namespace)
    shop.bring(0, mirror=100)
    rest = {"backendRefs": [backend("shop", 100)], "filters": [to_canary()]}
    shop.edit({"spec": {"rules": [rest]}})
    shop.follow()
    assert "correct the route" in shop.read(0, mirror=100).trouble
    assert not shop.read(0, mirror=0).settled
    shop.restore(mirror=0)
    assert (filters(shop), mark(shop)) == ([], None)


def test_a_route_that_is_gone_copies_nothing(kube: Kube, namespace: str) -> None:
    """In a stage of copies that is trouble, though no user is led anywhere; in a rollback there is nothing to do."""
    shop = routed(kube, namespace)
    shop.bring(0, mirror=100)
    kube.delete(GATEWAY, "httproutes", namespace, "shop")
    assert "is gone: create it again" in shop.read(0, mirror=100).trouble
    assert "is gone" not in shop.read(0, mirror=0).note


def test_a_dead_canary_is_noticed_under_copies(kube: Kube, namespace: str) -> None:
    """For 15 s without a ready pod, as with a share."""
    shop = routed(kube, namespace)
    shop.bring(0, mirror=100)
    kube.patch("apps/v1", "deployments", namespace, "shop-next", {"spec": {"replicas": 0}})
    make_ready(kube, namespace, "shop-next")
    assert shop.read(0, mirror=100).unserved == ""
    assert "copies 100% of the requests to it" in shop.read(0, mirror=100, after=16.0).unserved


def test_somebody_who_copies_later_is_noticed(kube: Kube, namespace: str) -> None:
    """In a run that copies nothing its counts would be wrong: trouble in a stage, and no matter in a rollback."""
    shop = routed(kube, namespace)
    shop.bring(25)
    shop.edit(
        {
            "spec": {
                "rules": [rule(to_canary(percent=5)) | {"backendRefs": shop.route()["spec"]["rules"][0]["backendRefs"]}]
            }
        }
    )
    shop.follow()
    shop.read(25)
    assert "is not Serin's" in shop.read(25, after=60.0).trouble
    assert "is not Serin's" not in shop.read(0, after=60.0).note


def test_whoever_edits_the_filters_is_noticed(kube: Kube, namespace: str) -> None:
    """A filter that is taken away, or made smaller, changes the token, and is set again."""
    shop = routed(kube, namespace)
    token = shop.bring(0, mirror=100).token
    shop.edit({"spec": {"rules": [rule(to_canary(percent=1))]}})
    seen = shop.read(0, mirror=100)
    assert seen.token != token
    assert not seen.settled
    shop.bring(0, mirror=100)
    assert filters(shop) == [to_canary()]


def test_a_write_on_a_stale_route_is_refused(kube: Kube, namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever edits an annotation between read and write wins, and the next look writes on what is there."""
    shop = routed(kube, namespace)
    shop.write(0, mirror=100)
    make_ready(kube, namespace, "shop-next")
    shop.write(0, mirror=100)
    shop.clock.now += 2.1
    real = kube.get

    def interrupted(api: str, plural: str, *rest: Any) -> dict[str, Any]:
        found = real(api, plural, *rest)
        if plural == "httproutes":
            monkeypatch.undo()
            shop.edit({"metadata": {"annotations": {"owner": "somebody"}}})
        return found

    monkeypatch.setattr(kube, "get", interrupted)
    with pytest.raises(Conflict, match="HTTPRoute shop changed since it was read"):
        shop.write(0, mirror=100)
    assert filters(shop) == []
    shop.write(0, mirror=100)
    assert filters(shop) == [to_canary()]
    assert shop.route()["metadata"]["annotations"] == {"owner": "somebody", MIRROR: "shop-next=shop-next"}


def gateway(kube: Kube, namespace: str, features: list[str] | None) -> None:
    """Make the route's Gateway, of a class that says what it can do."""
    name = f"class-{namespace}"
    made = {"apiVersion": GATEWAY, "kind": "GatewayClass", "metadata": {"name": name}}
    made |= {"spec": {"controllerName": CONTROLLER}}
    kube.create(GATEWAY, "gatewayclasses", None, made)
    if features is not None:
        condition = {"type": "Accepted", "status": "True", "reason": "Accepted", "message": ""}
        condition |= {"lastTransitionTime": "2026-01-01T00:00:00Z"}
        status = {"conditions": [condition], "supportedFeatures": [{"name": each} for each in features]}
        path = kube.patch(GATEWAY, "gatewayclasses", None, name, {"status": status}, subresource="status")
        assert path["status"]["supportedFeatures"]
    listeners = [{"name": "http", "port": 80, "protocol": "HTTP"}]
    spec = {"gatewayClassName": name, "listeners": listeners}
    body = {"apiVersion": GATEWAY, "kind": "Gateway", "metadata": {"name": "shop"}, "spec": spec}
    kube.create(GATEWAY, "gateways", namespace, body)


def said(shop: Routed, mirror: int) -> list[tuple[str, str]]:
    """Return the problems of copies."""
    return [(each.reason, each.message) for each in shop.router.check(shop.namespace, shop.service, mirror=mirror)]


@pytest.mark.parametrize(
    ("features", "mirror", "hint"),
    [
        (None, 100, "does not list HTTPRouteRequestMirror"),
        (["HTTPRouteRequestMirror"], 100, ""),
        (["HTTPRouteRequestMirror"], 20, "or write mirror: 100"),
        ([PERCENT], 20, ""),
    ],
)
def test_a_gateway_says_whether_it_copies(
    kube: Kube, namespace: str, features: list[str] | None, mirror: int, hint: str
) -> None:
    """Asked before any traffic moves; without a stage that copies nothing is asked."""
    shop = routed(kube, namespace)
    gateway(kube, namespace, features)
    found = said(shop, mirror)
    assert [reason for reason, _ in found] == (["MirrorNotSupported"] if hint else [])
    assert not hint or hint in found[0][1]
    assert said(shop, 0) == []


def test_somebody_elses_copies_would_be_counted(kube: Kube, namespace: str) -> None:
    """They are said before traffic moves, and left alone by a rollback."""
    shop = routed(kube, namespace, rule(to_canary(percent=5)))
    for mirror in (0, 100):
        assert said(shop, mirror)[0][0] == "MirroredElsewhere"
    shop.restore()
    assert filters(shop) == [to_canary(percent=5)]


def test_a_rule_that_takes_no_filter_is_said(kube: Kube, namespace: str) -> None:
    """By a trial on the API server: 16 filters are the most that a rule may have."""
    shop = routed(kube, namespace, rule(*[AUDIT] * 16))
    gateway(kube, namespace, ["HTTPRouteRequestMirror"])
    (found,) = said(shop, 100)
    assert found[0] == "MirrorNotSupported"
    assert "can't have a RequestMirror filter" in found[1]
    assert mark(shop) is None, "a trial writes nothing"


def test_the_operator_may_ask(operator: Kube, kube: Kube, namespace: str) -> None:
    """With the rights of the base alone."""
    shop = routed(kube, namespace)
    gateway(kube, namespace, [PERCENT])
    shop.router = RouteRouter(operator, address, shop.clock)
    assert said(shop, 20) == []
    assert said(shop, 100)[0][0] == "MirrorNotSupported"
    shop.bring(0, mirror=20)
    assert filters(shop) == [to_canary(percent=20)]
