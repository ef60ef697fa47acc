"""Which series are whose, by vendor; and what can't be told apart is refused."""

from typing import Any

import pytest

from serin.api.spec import MetricLabels, Metrics, Service, parse_spec
from serin.engine.leads import Lead
from serin.metrics.presets import naming, needs_leads, sides, unfit, untold

ISTIO, ENVOY, NGINX = (Metrics(preset=name) for name in ("Istio", "EnvoyGateway", "Nginx"))
ROUTE = (
    Lead("canary", "shop", "shop-canary", "80", 0, 0, filtered=True),
    Lead("control", "shop", "shop-control", "80", 0, 1, filtered=True),
    Lead("control", "shop", "shop-control", "80", 2, 0, filtered=True),
    Lead("canary", "shop", "shop-canary", "80", 2, 1, filtered=False),
)


def service(**traffic: Any) -> Service:
    """Return the service `web` with the Deployments `shop` and `shop-next`."""
    made = {"name": "web", "control": {"deployment": "shop"}, "canary": {"deployment": "shop-next"}}
    return parse_spec({"services": [{**made, **({"traffic": traffic} if traffic else {})}]}).services[0]


def found(metrics: Metrics, leads: tuple[Lead, ...] = ()) -> tuple[set[tuple[str, ...]], set[tuple[str, ...]]]:
    """Return control's and the canary's label values in the namespace `ns`."""
    control, canary = sides(metrics, "ns", service(), "shop-next", leads)
    return set(control), set(canary)


def test_http_goes_by_roles_and_deployments() -> None:
    """A pod is labelled with its role or with its Deployment."""
    control, canary = found(Metrics())
    assert control == {("ns", "web", "control"), ("ns", "web", "shop")}
    assert canary == {("ns", "web", "canary"), ("ns", "web", "shop-next")}


def test_istio_goes_by_workloads_alone() -> None:
    """A Deployment that happens to be called `control` is somebody else's."""
    assert found(ISTIO) == ({("ns", "shop")}, {("ns", "shop-next")})
    assert naming(ISTIO).always == (("reporter", "destination"),)


def test_envoy_goes_by_places_in_the_route() -> None:
    """Only rules in which both backends have clusters of their own are told apart."""
    prefix = "httproute/ns/shop/rule/0/backend"
    assert found(ENVOY, ROUTE) == ({(f"{prefix}/1",)}, {(f"{prefix}/0",)})
    assert found(ENVOY) == (set(), set())
    assert "give each of the two backendRefs a filter" in untold("web", ENVOY, ROUTE[2:]).message
    assert "no rule of the HTTPRoute leads to both" in untold("web", ENVOY, ()).message


def test_nginx_goes_by_the_canarys_upstream() -> None:
    """Both are counted under control's Service; what went to the canary carries its upstream, and the rest nothing."""
    leads = (Lead("control", "i", "shop-control"), Lead("canary", "i", "shop-canary", "http"))
    control, canary = found(NGINX, leads)
    assert control == {("ns", "shop-control", "")}
    assert canary == {("ns", "shop-control", "ns-shop-canary-http")}


@pytest.mark.parametrize(
    ("metrics", "traffic", "says"),
    [
        (ENVOY, {}, "counts by the backends of an HTTPRoute, and traffic.type is Replicas"),
        (ENVOY, {"type": "Weights", "weights": {"name": "x", "preset": "Istio"}}, "traffic.type is Weights"),
        (ENVOY, {"type": "HTTPRoute", "httpRoute": {"name": "a.b"}}, "cuts its names at a dot, and HTTPRoute a.b"),
        (NGINX, {}, "tells the canary's requests by its canary Ingress, and traffic.type is Replicas"),
        (NGINX, {"type": "Weights", "weights": {"name": "x", "preset": "ALB"}}, "preset: Nginx"),
    ],
)
def test_what_a_preset_cannot_tell(metrics: Metrics, traffic: dict[str, Any], says: str) -> None:
    """A split that the vendor does not see is refused with what to write instead."""
    problem = unfit(service(**traffic), metrics)
    assert problem is not None
    assert problem.reason == "VariantsNotToldApart"
    assert says in problem.message
    assert "or write preset Http" in problem.message


def test_what_a_preset_can_tell() -> None:
    """Istio's sidecars see every split; a gateway sees its own."""
    route, weights = {"type": "HTTPRoute", "httpRoute": {"name": "a"}}, {"name": "x", "preset": "Nginx"}
    assert unfit(service(), Metrics()) is unfit(service(), ISTIO) is None
    assert unfit(service(**route), ISTIO) is unfit(service(**route), ENVOY) is None
    assert unfit(service(type="Weights", weights=weights), NGINX) is None
    assert [needs_leads(each) for each in (Metrics(), ISTIO, ENVOY, NGINX)] == [False, False, True, True]


def test_names_of_ones_own() -> None:
    """What the user names takes the place of the vendor's; the suffix of the buckets may be left out."""
    assert naming(Metrics()).buckets == "http_request_duration_seconds_bucket"
    assert naming(Metrics(latency="t_bucket")).buckets == naming(Metrics(latency="t")).buckets == "t_bucket"
    renamed = MetricLabels(namespace="exported_namespace", service="exported_service")
    assert naming(Metrics(preset="Nginx", labels=renamed)).keys == ("exported_namespace", "exported_service", "canary")
    own = naming(Metrics(preset="Istio", requests="r", labels=MetricLabels(code="c", variant="destination_version")))
    assert (own.requests, own.code, own.keys[1]) == ("r", "c", "destination_version")


@pytest.mark.parametrize("seconds", [0.0005, 0.035, 0.057, 0.15, 0.29, 1.001, 3600.0])
def test_edges_survive_milliseconds(seconds: float) -> None:
    """What is judged in seconds is the very edge that the histogram has in milliseconds."""
    names = naming(ISTIO)
    assert names.in_seconds(names.in_units(seconds)) == seconds
    assert names.in_units(seconds) == round(seconds * 1000, 6)
