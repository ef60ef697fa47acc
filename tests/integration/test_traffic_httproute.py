"""The HTTPRoute router against a real API server with the Gateway API's own schema: order of steps, others, outages."""

import contextlib
import copy
from typing import Any

import pytest

from serin.api.spec import parse_spec
from serin.kube.client import Kube
from serin.kube.errors import Conflict, NotFound
from serin.traffic.httproute import router
from tests.integration.routed import APPS, GATEWAY, TOTAL, TRACE, Routed, backend, http_route, routed
from tests.integration.shapes import deployment, make_ready, service, until

pytestmark = pytest.mark.usefixtures("route_kinds")


def test_the_canary_can_carry_its_share_before_it_gets_it(kube: Kube, namespace: str) -> None:
    """Towards 25 % the canary gets 3 of 10 pods, and the weight rises only when they are ready; control stays whole."""
    shop = routed(kube, namespace)
    shop.write(25)
    assert shop.sizes() == (TOTAL, 3)
    shop.write(25)
    assert shop.weights() == [0, 100], "the pods are not ready yet"
    assert "canary has 0 of 3 pods ready" in shop.read(25).note
    make_ready(kube, namespace, "shop-next")
    shop.write(25)
    assert shop.weights() == [0, 100], "the proxies may not know their endpoints yet"
    shop.clock.now += 2.1
    shop.write(25)
    assert shop.weights() == TRACE, "the proxies do not know the backend yet"
    assert shop.sizes() == (TOTAL, 3)


def test_a_backend_is_known_before_it_gets_a_share(kube: Kube, namespace: str) -> None:
    """The canary's first weight is a trace, until the controller has followed it for 2 s; a new process waits anew."""
    shop = routed(kube, namespace)
    shop.write(25)
    shop.ready()
    shop.write(25)
    assert shop.weights() == TRACE
    seen = shop.read(25, after=60.0)
    assert "gives the canary 0.0001% and goes to 25%" in seen.note
    assert not seen.settled
    shop.write(25)
    assert shop.weights() == TRACE, "nobody follows"
    shop.follow()
    shop.write(25)
    shop.clock.now += 1.0
    shop.write(25)
    assert shop.weights() == TRACE, "the proxies get 2 s"
    fresh = Routed(kube, namespace, shop.service, deployments=False)
    fresh.write(25)
    assert shop.weights() == TRACE
    for each in (fresh, fresh):
        each.clock.now += 2.1
        each.write(25)
    assert shop.weights() == [25, 75]


def test_a_backend_stays_known_until_it_has_no_share(kube: Kube, namespace: str) -> None:
    """To 100 % and back by plan: the one that loses its share keeps a trace, and control has one before it returns."""
    shop = routed(kube, namespace)
    ways = {weight: seen_on_the_way(shop, weight) for weight in (25, 100, 0)}
    assert ways[25] == [[0, 100], TRACE, [25, 75]]
    assert ways[100] == [[25, 75], TRACE[::-1], [100, 0]]
    assert ways[0] == [[100, 0], TRACE[::-1], TRACE, [0, 100]]


def seen_on_the_way(shop: Routed, weight: int) -> list[list[int]]:
    """Return all different weights of the route on the way to one."""
    found = [shop.weights()]
    for _ in range(20):
        if shop.read(weight, after=1.0).settled:
            break
        shop.write(weight)
        shop.ready()
        shop.follow()
        if shop.weights() != found[-1]:
            found.append(shop.weights())
    return found


@pytest.mark.parametrize("weight", [50, 100])
def test_a_rollback_takes_the_share_with_its_first_write(kube: Kube, namespace: str, weight: int) -> None:
    """It waits for no trace of control's; the canary's own goes 2 s later, also for a process that has just started."""
    shop = routed(kube, namespace)
    shop.bring(weight)
    shop.restore()
    assert shop.weights() == TRACE
    shop.follow()
    shop.restore()
    assert shop.weights() == TRACE
    fresh = Routed(kube, namespace, shop.service, deployments=False)
    fresh.restore()
    fresh.clock.now += 2.1
    fresh.restore()
    assert shop.weights() == [0, 100]


def test_written_is_not_yet_in_force(kube: Kube, namespace: str) -> None:
    """The split is settled when the controller has seen the generation, and a while after that for the proxies."""
    shop = routed(kube, namespace)
    shop.bring(25)
    shop.write(50)
    shop.ready()
    shop.write(50)
    assert shop.weights() == [50, 50]
    late = shop.read(50)
    assert not late.settled
    assert "has not taken the present" in late.note
    assert not late.trouble, "a moment of lag is no trouble"
    shop.follow()
    assert "its proxies get 2s" in shop.read(50).note
    settled = shop.read(50, after=2.1)
    assert settled.settled, settled.note
    assert settled.weight == pytest.approx(50)


def test_a_controller_that_does_not_follow_is_trouble(kube: Kube, namespace: str) -> None:
    """After ten seconds of lag the reading names controller and generations, and no higher weight is written."""
    shop = routed(kube, namespace)
    shop.bring(25)
    shop.follow(behind=1)
    assert not shop.read(25).trouble
    found = shop.read(25, after=11.0)
    assert "controller gateway.example/controller has not taken the present" in found.trouble
    assert (found.unfollowed, found.behind) == ("HTTPRoute shop", True)
    assert not found.settled
    shop.write(50)
    shop.ready()
    shop.write(50)
    assert shop.weights() == [25, 75]
    shop.follow()
    assert not shop.read(25).trouble
    shop.write(50)
    assert shop.weights() == [50, 50]


def test_a_rollback_is_written_though_nobody_follows(kube: Kube, namespace: str) -> None:
    """With the controller down all but a trace goes to control, and the canary keeps trace and pods until it is back.

    When it is, its proxies go from a half to what is written in one step; without the trace they would lose a backend
    under requests that are led to it.
    """
    shop = routed(kube, namespace)
    shop.bring(50)
    shop.follow(behind=1)
    shop.restore()
    assert shop.weights() == TRACE
    shop.restore()
    shop.clock.now += 10.1
    shop.restore()
    assert shop.weights() == TRACE
    shop.read(0)
    shop.write(0)
    assert shop.sizes() == (TOTAL, 5)
    assert "has not taken the present" in shop.read(0, after=60.0).trouble
    shop.write(0)
    assert shop.sizes() == (TOTAL, 5), "requests still go there"
    assert shop.weights() == TRACE
    shop.follow()
    shop.restore()
    assert shop.weights() == TRACE, "its proxies get 2 s to follow it"
    assert shop.bring(0).settled
    assert shop.weights() == [0, 100]
    assert shop.sizes() == (TOTAL, 0)


def test_a_rollback_of_a_route_that_is_rejected(kube: Kube, namespace: str) -> None:
    """A controller that has seen the trace and says no is not waited for: it may say yes to 0."""
    shop = routed(kube, namespace)
    shop.bring(50)
    shop.restore()
    assert shop.weights() == TRACE
    shop.follow(accepted="False", message="999999 is out of range")
    shop.restore()
    assert shop.weights() == TRACE
    shop.clock.now += 10.1
    shop.restore()
    assert shop.weights() == [0, 100]


def test_edits_of_our_rule_do_not_hold_up_the_way_back(kube: Kube, namespace: str) -> None:
    """Somebody changes a timeout before each look, so no rule is followed for long; after 10 s it is at 0 anyhow."""
    shop = routed(kube, namespace)
    shop.bring(50)
    for number in range(4):
        rule = shop.route()["spec"]["rules"][0]
        shop.edit({"spec": {"rules": [{**rule, "timeouts": {"request": f"{number + 1}s"}}]}})
        shop.follow()
        shop.restore()
        shop.clock.now += 5.1
    assert shop.weights() == [0, 100]
    assert shop.route()["spec"]["rules"][0]["timeouts"] == {"request": "4s"}


def test_a_rejected_route_names_the_reason(kube: Kube, namespace: str) -> None:
    """Accepted=False is said with the controller's own message, before the first step and after it."""
    shop = routed(kube, namespace)
    shop.follow(accepted="False", message="no listener matches")
    (problem,) = shop.router.check(namespace, shop.service)
    assert problem.reason == "RouteNotFollowed"
    assert "Accepted=False of HTTPRoute shop: no listener matches" in problem.message


def test_everything_else_in_the_route_stays(kube: Kube, namespace: str) -> None:
    """Other rules, filters, matches, timeouts and a third backend are the same after 0 -> 50 -> 0."""
    filters = [
        {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-variant", "value": "c"}]}}
    ]
    rules: tuple[dict[str, Any], ...] = (
        {"matches": [{"path": {"type": "PathPrefix", "value": "/other"}}], "backendRefs": [backend("other", 7)]},
        {
            "name": "main",
            "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
            "timeouts": {"request": "3s"},
            "backendRefs": [
                backend("shop-next", 0, filters=filters),
                backend("shop", 100),
                backend("legacy", 0),
                backend("abroad", 11, namespace="elsewhere"),
            ],
        },
    )
    shop = routed(kube, namespace, *rules)
    before = copy.deepcopy(shop.route()["spec"])
    shop.bring(50)
    assert shop.weights(1) == [50, 50, 0, 11]
    shop.bring(0)
    assert shop.route()["spec"] == before


def test_every_rule_that_leads_to_both_is_set(kube: Kube, namespace: str) -> None:
    """Without `rule` the sticky rule and the one for everybody move together; with it only the named one does."""
    both = [backend("shop-next", 0), backend("shop", 100)]
    rules = ({"name": "sticky", "backendRefs": both}, {"name": "rest", "backendRefs": both})
    shop = routed(kube, namespace, *rules)
    assert shop.bring(25).settled
    assert (shop.weights(0), shop.weights(1)) == ([25, 75], [25, 75])
    shop.bring(0)
    one = Routed(
        kube, namespace, service(type="HTTPRoute", httpRoute={"name": "shop", "rule": "rest"}), deployments=False
    )
    assert one.bring(25).settled
    assert (one.weights(0), one.weights(1)) == ([0, 100], [25, 75])


def test_an_edit_between_read_and_write_wins(kube: Kube, namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who edits the route in between is not overwritten: the write is refused, and the next look sees both."""
    shop = routed(kube, namespace)
    shop.write(25)
    shop.ready()
    real = kube.get

    def interrupted(api: str, plural: str, *rest: Any) -> dict[str, Any]:
        found = real(api, plural, *rest)
        if plural == "httproutes":
            monkeypatch.undo()
            added = [{"backendRefs": [backend("other", 1)]}, *found["spec"]["rules"]]
            shop.edit({"spec": {"rules": added}})
        return found

    monkeypatch.setattr(kube, "get", interrupted)
    with pytest.raises(Conflict, match="HTTPRoute shop changed since it was read"):
        shop.write(25)
    assert shop.weights(0) == [1]
    assert shop.weights(1) == [0, 100]
    shop.follow()
    shop.write(25)
    assert shop.weights(0) == [1], "the foreign rule came first, and stays as it was"
    assert shop.weights(1) == TRACE
    assert shop.bring(25).settled
    assert (shop.weights(0), shop.weights(1)) == ([1], [25, 75])


def test_an_edit_of_the_weights_is_noticed(kube: Kube, namespace: str) -> None:
    """Weights that somebody else set change the token and unsettle the split; another rule's edit does neither."""
    shop = routed(kube, namespace)
    before = shop.bring(25)
    rules = shop.route()["spec"]["rules"]
    shop.edit({"spec": {"rules": [*rules, {"backendRefs": [backend("other", 1)]}]}})
    shop.follow()
    calm = shop.read(25)
    assert calm.token == before.token
    assert calm.settled
    rules[0]["backendRefs"][0]["weight"] = 60
    shop.edit({"spec": {"rules": rules}})
    shop.follow()
    seen = shop.read(25)
    assert seen.token != before.token
    assert not seen.settled
    assert seen.weight == pytest.approx(100 * 60 / 135)


def test_a_deleted_route_is_said_and_ends_a_rollback(kube: Kube, namespace: str) -> None:
    """In a stage a route that is gone is trouble; at weight 0 it leads nobody to the canary, and all is back."""
    shop = routed(kube, namespace)
    shop.bring(25)
    kube.delete(GATEWAY, "httproutes", namespace, "shop")
    assert "HTTPRoute shop is gone" in shop.read(25).trouble
    shop.write(25)
    shop.write(0)
    shop.ready()
    assert shop.sizes() == (TOTAL, 0)
    assert shop.read(0).settled


def test_a_dead_canary_does_not_hold_up_the_way_back(kube: Kube, namespace: str) -> None:
    """With no ready canary pod, traffic returns at once, even while control is short of pods."""
    shop = routed(kube, namespace)
    shop.bring(50)
    kube.patch(APPS, "deployments", namespace, "shop", {"spec": {"replicas": 4}})
    kube.patch(APPS, "deployments", namespace, "shop-next", {"spec": {"template": {"spec": {"hostname": "broken"}}}})
    for pod in kube.list("v1", "pods", namespace, label_selector="serin.dev/variant=canary"):
        with contextlib.suppress(NotFound):  # one that went in the meantime
            kube.delete("v1", "pods", namespace, pod["metadata"]["name"])

    def ready() -> int:
        found: int = kube.get(APPS, "deployments", namespace, "shop-next")["status"].get("readyReplicas", 0)
        return found

    until("the Deployment knows that none of the canary's pods is ready", lambda: not ready())
    make_ready(kube, namespace, "shop")
    shop.restore()
    assert shop.weights() == TRACE
    assert shop.sizes()[0] == TOTAL, "and control grows to its full size"


def test_a_canary_without_a_pod_is_given_up(kube: Kube, namespace: str) -> None:
    """Its users get errors that no pod counts: after 15 s the reading says so; one that somebody shrank grows again."""
    shop = routed(kube, namespace)
    before = shop.bring(50)
    kube.patch(APPS, "deployments", namespace, "shop-next", {"spec": {"replicas": 0}})
    make_ready(kube, namespace, "shop-next")
    seen = shop.read(50)
    assert seen.token != before.token
    assert not seen.unserved
    assert "no ready pod for 16s, and HTTPRoute shop gives it 50%" in shop.read(50, after=16.0).unserved
    shop.write(50)
    assert shop.sizes() == (TOTAL, 5)
    shop.ready()
    assert not shop.read(50).unserved


def test_control_is_whole_before_the_share_goes_back(kube: Kube, namespace: str) -> None:
    """A control that somebody shrank grows first; a pod that never gets ready delays the way back by 30 s at most."""
    shop = routed(kube, namespace)
    shop.bring(50)
    kube.patch(APPS, "deployments", namespace, "shop", {"spec": {"replicas": 6}})
    make_ready(kube, namespace, "shop")
    shop.write(0)
    assert shop.sizes() == (TOTAL, 5)
    assert shop.weights() == [50, 50], "4 of its pods are not ready yet"
    shop.clock.now += 31.0
    shop.write(0)
    assert shop.weights() == TRACE


def test_a_deleted_canary_is_still_found_in_the_route(kube: Kube, namespace: str) -> None:
    """A process that never saw the canary's Deployment or Service takes the backend beside control for the canary."""
    shop = routed(kube, namespace)
    shop.bring(50)
    kube.delete(APPS, "deployments", namespace, "shop-next")
    kube.delete("v1", "services", namespace, "shop-next")
    fresh = Routed(kube, namespace, shop.service, deployments=False)
    fresh.restore()
    assert fresh.weights() == TRACE
    fresh.follow()
    fresh.restore()
    fresh.clock.now += 2.1
    fresh.restore()
    assert fresh.weights() == [0, 100]


def test_two_experiments_on_one_gateway_do_not_see_each_other(kube: Kube, namespace: str) -> None:
    """Two routes of one Gateway, and two rules of one route, move apart from each other."""
    first = routed(kube, namespace)
    body = {"name": "cart", "control": {"deployment": "cart"}, "canary": {"deployment": "cart-next"}}
    traffic = {"type": "HTTPRoute", "httpRoute": {"name": "cart"}}
    asked = parse_spec({"services": [{**body, "traffic": traffic}]}).services[0]
    second = Routed(kube, namespace, asked)
    rules = (
        {"backendRefs": [backend("cart-next", 0), backend("cart", 100)]},
        {"backendRefs": [backend("shop-next", 3), backend("shop", 97)]},
    )
    kube.create(GATEWAY, "httproutes", namespace, http_route("cart", *rules))
    second.follow("cart")
    assert first.bring(25).settled
    token = first.read(25).token
    assert second.bring(50, "cart").settled
    assert first.weights() == [25, 75]
    assert (second.weights(0, "cart"), second.weights(1, "cart")) == ([50, 50], [3, 97])
    assert first.read(25).token == token
    second.bring(0, "cart")
    assert first.read(25).settled


BAD: dict[str, tuple[list[dict[str, Any]], dict[str, Any], str, str]] = {
    "no such rule": (
        [{"name": "main", "backendRefs": [backend("shop-next", 0), backend("shop", 100)]}],
        {"rule": "mian"},
        "RuleNotFound",
        "HTTPRoute shop has no rule mian: write one of its own (main)",
    ),
    "control alone": (
        [{"backendRefs": [backend("shop")]}],
        {},
        "NoSuchBackends",
        "no rule of HTTPRoute shop has a backend for control and one for the canary (it has shop (control))",
    ),
    "unknown service": (
        [{"backendRefs": [backend("shop"), backend("shop-nxt")]}],
        {},
        "NoSuchBackends",
        "HTTPRoute shop leads to Service shop-nxt, which does not exist: create it",
    ),
    "third backend": (
        [{"backendRefs": [backend("shop-next", 0), backend("shop", 9), backend("other", 1)]}],
        {},
        "OtherBackends",
        "also leads to other, whose share would change: write the weights of shop and shop-next so that they add up",
    ),
    "shared": (
        [{"backendRefs": [backend("everything", 9), backend("shop-next", 0)]}],
        {},
        "BackendAmbiguous",
        "Service everything selects the pods of control and of the canary: give each a Service of its own",
    ),
    "twice": (
        [{"backendRefs": [backend("shop-next", 0), backend("shop", 9), backend("shop", 9)]}],
        {},
        "BackendAmbiguous",
        "Service shop is a backend twice: keep one of them",
    ),
}


@pytest.mark.parametrize(("rules", "ref", "reason", "sentence"), BAD.values(), ids=BAD)
def test_a_route_that_cannot_be_split_is_refused(
    kube: Kube, namespace: str, rules: list[dict[str, Any]], ref: dict[str, Any], reason: str, sentence: str
) -> None:
    """Each gets a sentence that says what to write instead, before any traffic moves."""
    for name, selector in (("everything", {"app": "shop"}), ("other", {"app": "other"})):
        body = {"metadata": {"name": name}, "spec": {"selector": selector, "ports": [{"port": 80}]}}
        kube.create("v1", "services", namespace, body)
    shop = routed(kube, namespace, *rules, **ref)
    found = {each.reason: each.message for each in shop.router.check(namespace, shop.service)}
    assert sentence in found.get(reason, ""), found


def test_a_good_route_has_no_problem(kube: Kube, namespace: str) -> None:
    """Two Services, one rule, a controller that follows: nothing to say. A route that is not there is named."""
    shop = routed(kube, namespace)
    assert shop.router.check(namespace, shop.service) == ()
    kube.delete(GATEWAY, "httproutes", namespace, "shop")
    (problem,) = shop.router.check(namespace, shop.service)
    assert "no HTTPRoute shop in" in problem.message


def test_an_autoscaler_may_add_and_not_take(kube: Kube, namespace: str) -> None:
    """A HorizontalPodAutoscaler whose minimum is control's size is fine; a lower one is refused with the number."""
    shop = routed(kube, namespace)
    target = {"apiVersion": APPS, "kind": "Deployment", "name": "shop"}
    spec = {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 20}
    kube.create("autoscaling/v2", "horizontalpodautoscalers", namespace, {"metadata": {"name": "h"}, "spec": spec})
    (problem,) = shop.router.check(namespace, shop.service)
    assert "down to 2 of the 10 pods that the way back needs: write minReplicas: 10" in problem.message
    kube.patch("autoscaling/v2", "horizontalpodautoscalers", namespace, "h", {"spec": {"minReplicas": 10}})
    assert shop.router.check(namespace, shop.service) == ()
    kube.patch(APPS, "deployments", namespace, "shop", {"spec": {"replicas": 14}})
    shop.ready()
    assert shop.bring(25).settled
    assert shop.sizes() == (14, 3), "what an autoscaler gave is not taken"


def test_missing_deployments_are_named(kube: Kube, namespace: str) -> None:
    """As for the Replicas router, control and canary that do not exist are both named at once."""
    found = router(kube).check(namespace, service(type="HTTPRoute", httpRoute={"name": "shop"}))
    assert [each.reason for each in found] == ["DeploymentNotFound", "DeploymentNotFound"]
    kube.create(APPS, "deployments", namespace, deployment("shop"))
    found = router(kube).check(namespace, service(type="HTTPRoute", httpRoute={"name": "shop"}))
    assert [each.reason for each in found] == ["DeploymentNotFound"]
