"""How the series of requests and latency are called by whom, and what in them tells control from the canary.

Http is what a service exports itself. The others are a vendor's, as its pages have them:

- Istio: https://istio.io/latest/docs/reference/config/metrics/ (`istio_requests_total`, `reporter`, the labels of the
  destination); milliseconds; buckets by the annotation `sidecar.istio.io/statsHistogramBuckets`
  (https://istio.io/latest/docs/reference/config/annotations/).
- Envoy Gateway: https://gateway.envoyproxy.io/docs/tasks/observability/proxy-metric/ exports Envoy's own statistics:
  https://www.envoyproxy.io/docs/envoy/latest/configuration/upstream/cluster_manager/cluster_stats
  (`upstream_rq_<code>`, `upstream_rq_time` in milliseconds). A cluster is called
  `httproute/<namespace>/<route>/rule/<n>`, and `/backend/<n>` is added when backends have filters of their own
  (EnvoyProxy's `clusterStatName` must be left as it is).
- ingress-nginx: https://kubernetes.github.io/ingress-nginx/user-guide/monitoring/; `service` is always that of the main
  Ingress, and `canary` is `<namespace>-<service>-<port>` of the canary's for what was led there, else empty
  (https://github.com/kubernetes/ingress-nginx/pull/7696).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from serin.api.names import CANARY, CONTROL
from serin.api.spec import MetricLabels, Metrics, Service
from serin.engine.leads import Lead
from serin.engine.observation import Problem

Values = tuple[str, ...]
"""Values of the labels of `Naming.keys`: whose a series is."""

Sides = tuple[frozenset[Values], frozenset[Values]]
"""Control's series and the canary's."""

_DEFAULTS: Final = MetricLabels()
_MILLI: Final = 1000.0
_OTHERWISE: Final = "or write preset Http with series of the pods"
_LABELLED: Final = "are its pods labelled serin.dev/variant and scraped, and did they have a request?"


@dataclass(frozen=True, slots=True)
class Naming:
    """One vendor's series.

    Args:
        requests: the counter of requests.
        latency: the histogram of latency, without `_bucket`.
        keys: the labels that say whose a series is.
        code: the label with the HTTP status.
        always: (label, value) that each series has.
        per_second: how many of the histogram's units a second has.
        own_pods: the label `pod` is the pod that served, and not a gateway's.
        absent: what to ask oneself when there is no series.
        bucket: how to add a bucket; {edge} stands for it and {edges} for all then, in the histogram's unit.
    """

    requests: str
    latency: str
    keys: tuple[str, ...]
    code: str
    always: tuple[tuple[str, str], ...] = ()
    per_second: float = 1.0
    own_pods: bool = True
    absent: str = _LABELLED
    bucket: str = "add a bucket at {edge}"

    @property
    def buckets(self) -> str:
        """The counter behind the histogram's buckets, with or without its suffix in the spec."""
        return self.latency if self.latency.endswith("_bucket") else f"{self.latency}_bucket"

    def in_units(self, seconds: float) -> float:
        """An edge in seconds as the histogram writes it."""
        return round(seconds * self.per_second, 9)

    def in_seconds(self, edge: float) -> float:
        """An edge as the histogram writes it, in seconds."""
        return edge / self.per_second


@lru_cache(maxsize=1024)
def naming(metrics: Metrics) -> Naming:
    """The series that `metrics` means: the preset's, and in its place what the user named."""
    labels = metrics.labels
    requests, latency = metrics.requests, metrics.latency
    if metrics.preset == "Istio":
        return Naming(
            requests or "istio_requests_total",
            latency or "istio_request_duration_milliseconds",
            (
                _label(labels, "namespace", "destination_workload_namespace"),
                _label(labels, "variant", "destination_workload"),
            ),
            _label(labels, "code", "response_code"),
            always=(("reporter", "destination"),),
            per_second=_MILLI,
            absent="has its pod a sidecar that is scraped, and did it have a request?",
            bucket="annotate both pod templates with sidecar.istio.io/statsHistogramBuckets:"
            " '{{\"istiocustom\":[{edges}]}}'",
        )
    if metrics.preset == "EnvoyGateway":
        return Naming(
            requests or "envoy_cluster_upstream_rq",
            latency or "envoy_cluster_upstream_rq_time",
            (_label(labels, "variant", "envoy_cluster_name"),),
            _label(labels, "code", "envoy_response_code"),
            per_second=_MILLI,
            own_pods=False,
            absent="are the gateway's pods scraped (/stats/prometheus), did it have a request, and is EnvoyProxy's"
            " telemetry.metrics.clusterStatName left out?",
            bucket="have EnvoyProxy's spec.bootstrap (type JSONPatch) add /stats_config/histogram_bucket_settings:"
            " [{{match: {{suffix: upstream_rq_time}}, buckets: [{edges}]}}]",
        )
    if metrics.preset == "Nginx":
        return Naming(
            requests or "nginx_ingress_controller_requests",
            latency or "nginx_ingress_controller_request_duration_seconds",
            (labels.namespace, labels.service, _label(labels, "variant", "canary")),
            _label(labels, "code", "status"),
            own_pods=False,
            absent="is the controller scraped, and did it have a request? Where Prometheus renames labels, write"
            " metrics.labels: {namespace: exported_namespace, service: exported_service}",
            bucket="start the controller with --time-buckets={edges}",
        )
    keys = labels.namespace, labels.service, labels.variant
    return Naming(requests or "http_requests_total", latency or "http_request_duration_seconds", keys, labels.code)


def sides(metrics: Metrics, namespace: str, service: Service, canary: str, leads: Iterable[Lead]) -> Sides:
    """Whose series are control's and whose the canary's; both are empty where the route does not tell.

    Args:
        metrics: how they are called.
        namespace: of the experiment.
        service: of the experiment.
        canary: name of the canary's Deployment.
        leads: where the route leads, for the presets of gateways.
    """
    control, leads = service.control.deployment, tuple(leads)
    if metrics.preset == "Istio":
        return frozenset({(namespace, control)}), frozenset({(namespace, canary)})
    if metrics.preset == "EnvoyGateway":
        return _clusters(namespace, leads, CONTROL), _clusters(namespace, leads, CANARY)
    if metrics.preset == "Nginx":
        mains = {each.service for each in leads if each.variant == CONTROL}
        upstreams = {f"{namespace}-{each.service}-{each.port}" for each in leads if each.variant == CANARY}
        return (
            frozenset((namespace, main, "") for main in mains),
            frozenset((namespace, main, upstream) for main in mains for upstream in upstreams),
        )
    return (
        frozenset((namespace, service.name, name) for name in (CONTROL, control)),
        frozenset((namespace, service.name, name) for name in (CANARY, canary)),
    )


def needs_leads(metrics: Metrics) -> bool:
    """Whether only the route tells which series are whose."""
    return metrics.preset in {"EnvoyGateway", "Nginx"}


def unfit(service: Service, metrics: Metrics) -> Problem | None:
    """Why the preset can't tell the variants of a service apart, by how its traffic is split."""
    traffic, name = service.traffic, f"{service.name}: metrics.preset {metrics.preset}"
    if metrics.preset == "EnvoyGateway" and (traffic.type != "HTTPRoute" or traffic.http_route is None):
        text = f"{name} counts by the backends of an HTTPRoute, and traffic.type is {traffic.type}"
        return _together(text, f"split by an HTTPRoute of Envoy Gateway, {_OTHERWISE}")
    if metrics.preset == "EnvoyGateway" and traffic.http_route is not None and "." in traffic.http_route.name:
        text = f"{name}: Envoy cuts its names at a dot, and HTTPRoute {traffic.http_route.name} has one"
        return _together(text, f"give the HTTPRoute another name, {_OTHERWISE}")
    if metrics.preset == "Nginx" and (traffic.weights is None or traffic.weights.preset != "Nginx"):
        text = f"{name} tells the canary's requests by its canary Ingress, and traffic.type is {traffic.type}"
        hint = f"write traffic: {{type: Weights, weights: {{name: ..., preset: Nginx}}}}, {_OTHERWISE}"
        return _together(text, hint)
    return None


def untold(service: str, metrics: Metrics, leads: Iterable[Lead]) -> Problem:
    """Why the route, as it is, does not tell whose series are whose."""
    route = next((each.route for each in leads), "")
    if metrics.preset == "Nginx":
        text = f"{service}: no Service selects control's pods alone, or the Ingress leads to no canary"
        return _together(text, "give each variant a Service, and the canary's an Ingress of its own")
    if not route:
        text = f"{service}: no rule of the HTTPRoute leads to both variants"
        return _together(text, "add the Services of control and canary to one rule")
    text = f"{service}: the backends of HTTPRoute {route} share a cluster in Envoy, which counts them together"
    hint = "give each of the two backendRefs a filter of its own, like RequestHeaderModifier with set: x-variant"
    return _together(text, hint)


def _together(text: str, hint: str) -> Problem:
    return Problem("VariantsNotToldApart", f"{text}: {hint}")


def _clusters(namespace: str, leads: Iterable[Lead], variant: str) -> frozenset[Values]:
    """Envoy's clusters of a variant: those of rules in which every backend has a cluster of its own."""
    leads = tuple(leads)
    shared = {(each.route, each.rule) for each in leads if not each.filtered}
    return frozenset(
        (f"httproute/{namespace}/{each.route}/rule/{each.rule}/backend/{each.backend}",)
        for each in leads
        if each.variant == variant and (each.route, each.rule) not in shared
    )


def _label(labels: MetricLabels, field: str, vendors: str) -> str:
    """The user's name of a label; the vendor's where the user's is Serin's default."""
    mine: str = getattr(labels, field)
    return vendors if mine == getattr(_DEFAULTS, field) else mine
