"""Where routes lead, read on the real API server with the vendors' schemas, and what is measured by it."""

import pytest

from serin.api.spec import Metrics
from serin.engine.leads import Lead
from serin.kube.client import Kube
from serin.metrics.presets import sides
from tests.integration.routed import Routed, backend, routed
from tests.integration.shapes import service

pytestmark = pytest.mark.usefixtures("route_kinds")

FILTER = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-variant", "value": "any"}]}}


def test_an_http_route(kube: Kube, namespace: str) -> None:
    """By places: two rules with both, of which only the one with filters is told apart; and they follow the route."""
    both = [backend("shop-next", 0, filters=[FILTER]), backend("shop", 100, filters=[FILTER])]
    shop = routed(
        kube,
        namespace,
        {"backendRefs": [backend("shop")]},
        {"backendRefs": both},
        {"backendRefs": [backend("shop-next", 0), backend("shop", 100)]},
    )
    leads = shop.router.leads(namespace, shop.service)
    assert {(each.variant, each.rule, each.backend, each.filtered) for each in leads} == {
        ("canary", 1, 0, True),
        ("control", 1, 1, True),
        ("canary", 2, 0, False),
        ("control", 2, 1, False),
    }
    metrics = Metrics(preset="EnvoyGateway")
    prefix = f"httproute/{namespace}/shop/rule"
    assert sides(metrics, namespace, shop.service, "shop-next", leads) == (
        frozenset({(f"{prefix}/1/backend/1",)}),
        frozenset({(f"{prefix}/1/backend/0",)}),
    )
    shop.edit({"spec": {"rules": [{"backendRefs": both[::-1]}]}})
    turned = sides(metrics, namespace, shop.service, "shop-next", shop.router.leads(namespace, shop.service))
    assert turned == (frozenset({(f"{prefix}/0/backend/0",)}), frozenset({(f"{prefix}/0/backend/1",)}))


def test_a_canarys_ingress(kube: Kube, namespace: str) -> None:
    """Control by the Service that selects its pods alone, the canary by the name that the controller gives it."""
    shop = Routed(kube, namespace, service(type="Weights", weights={"name": "shop-canary", "preset": "Nginx"}))
    assert shop.router.leads(namespace, shop.service) == ()
    target = {"service": {"name": "shop-next", "port": {"number": 80}}}
    path = {"path": "/", "pathType": "Prefix", "backend": target}
    names = {"nginx.ingress.kubernetes.io/canary": "true", "nginx.ingress.kubernetes.io/canary-weight": "5"}
    body = {
        "metadata": {"name": "shop-canary", "annotations": names},
        "spec": {"rules": [{"host": "shop.example", "http": {"paths": [path]}}]},
    }
    kube.create("networking.k8s.io/v1", "ingresses", namespace, body)
    leads = shop.router.leads(namespace, shop.service)
    assert leads == (Lead("control", "shop-canary", "shop"), Lead("canary", "shop-canary", "shop-next", "80"))
    control, canary = sides(Metrics(preset="Nginx"), namespace, shop.service, "shop-next", leads)
    assert control == {(namespace, "shop", "")}
    assert canary == {(namespace, "shop", f"{namespace}-shop-next-80")}
