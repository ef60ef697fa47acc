"""`spec` of a CanaryExperiment in Python: the same names, the same defaults, nothing else.

The API server has validated what arrives here against `crds/`; a test holds the two to each other. The defaults are
repeated because a simulation on a laptop reads a file that no API server has completed.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from serin.api.units import Duration, Share, decode_unit, encode_unit

DnsLabel = Annotated[str, Meta(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
DnsName = Annotated[str, Meta(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
PromQL = Annotated[str, Meta(min_length=1, max_length=2048)]


class _Struct(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True
):
    """What every part of the spec shares: immutable, camelCase outside, an unknown field is an error."""


class Control(_Struct, frozen=True):
    """The version that serves now."""

    deployment: DnsName


class Canary(_Struct, frozen=True):
    """The version on trial: a Deployment of the user's, or a patch of control's pod template."""

    deployment: DnsName | None = None
    patch: dict[str, Any] | None = None


class HTTPRouteRef(_Struct, frozen=True):
    """A rule of a Gateway API HTTPRoute whose backendRefs carry the weights."""

    name: DnsName
    rule: str | None = None


class WeightsRef(_Struct, frozen=True):
    """Two numbers in any resource, each found by a JSON pointer."""

    name: DnsName
    api_version: str | None = None
    kind: str | None = None
    control_path: str | None = None
    canary_path: str | None = None
    preset: Literal["Istio", "Traefik", "Contour", "Linkerd", "Kuma", "APISIX", "SMI", "Nginx", "ALB"] | None = None


class ReplicasTraffic(_Struct, frozen=True):
    """Settings of the Replicas router."""

    total: Annotated[int, Meta(ge=2, le=10000)] | None = None


class Traffic(_Struct, frozen=True):
    """How traffic is split between control and canary."""

    type: Literal["Replicas", "HTTPRoute", "Weights"] = "Replicas"
    replicas: ReplicasTraffic | None = None
    http_route: HTTPRouteRef | None = None
    weights: WeightsRef | None = None


class MetricLabels(_Struct, frozen=True):
    """The names of the labels that tell series apart.

    The value of `namespace` is the experiment's namespace, that of `service` the service's name in the experiment,
    that of `variant` either the role (`control`, `canary`) or the Deployment's name. `pod` tells pods apart; it is
    asked for only in the history before a run.
    """

    namespace: str = "namespace"
    service: str = "service"
    variant: str = "variant"
    code: str = "code"
    pod: str = "pod"


class Metrics(_Struct, frozen=True):
    """Which series hold requests, errors and latency."""

    preset: Literal["Http", "Istio", "EnvoyGateway", "Nginx"] = "Http"
    requests: str | None = None
    latency: str | None = None
    labels: MetricLabels = MetricLabels()


class Service(_Struct, frozen=True):
    """One of the services that move together."""

    name: DnsLabel
    control: Control
    canary: Canary
    traffic: Traffic = Traffic()
    metrics: Metrics | None = None


class Stage(_Struct, frozen=True):
    """A share of the traffic for a time; with `mirror`, copies of so many percent of it, whose answers are dropped."""

    name: DnsLabel
    duration: Duration
    weight: Annotated[int, Meta(ge=0, le=100)] = 0
    mirror: Annotated[int, Meta(ge=1, le=100)] | None = None
    min_samples: Annotated[int, Meta(ge=1)] | None = None

    def __post_init__(self) -> None:
        """Refuses what the API server refuses, for files that it never sees."""
        if (self.weight == 0) != (self.mirror is not None):
            raise ValueError(
                f"stage {self.name}: write weight: 1 to 100 for a share of the traffic, or mirror: 1 to 100 for copies"
                " of it, and not both"
            )
        if self.mirror is not None and self.min_samples is not None:
            raise ValueError(f"stage {self.name}: minSamples counts users of both variants: leave it out beside mirror")


class Promotion(_Struct, frozen=True):
    """What happens when every stage has passed."""

    approval: Literal["Automatic", "Manual"] = "Automatic"
    bake: Duration = Duration("1h")
    mode: Literal["Template", "TrafficOnly"] = "Template"


class ErrorRateGuardrail(_Struct, frozen=True):
    """The share of requests that fail."""

    warn: Share = Share("0.5%")
    max: Share = Share("1%")
    worse_than_control: Share = Share("10%")


class LatencyGuardrail(_Struct, frozen=True):
    """The latency that 95 % of requests stay below."""

    max: Duration = Duration("150ms")
    worse_than_control: Share = Share("5%")


class CustomGuardrail(_Struct, frozen=True):
    """A share of the user's own: `total` minus `good` is what is bad. Both are selectors of counters."""

    name: DnsLabel
    good: PromQL
    total: PromQL
    max: Share | None = None
    worse_than_control: Share | None = None


class Guardrails(_Struct, frozen=True):
    """Harm: judged at every look, in every stage, while baking too."""

    error_rate: ErrorRateGuardrail = ErrorRateGuardrail()
    latency_p95: LatencyGuardrail = msgspec.field(default=LatencyGuardrail(), name="latencyP95")
    custom: tuple[CustomGuardrail, ...] = ()


class Goal(_Struct, frozen=True):
    """Benefit: judged in the A/B stage, on users.

    Without queries the series `serin_goal_users`, `serin_goal_sum` and `serin_goal_sum_of_squares` of `service` are
    read, with the goal's name ('_' for '-') in the label `goal`.
    """

    name: DnsLabel
    service: DnsLabel | None = None
    count: PromQL | None = None
    sum: PromQL | None = None
    sum_of_squares: PromQL | None = None
    direction: Literal["Increase", "Decrease"] = "Increase"
    minimum_effect: float = 0.0
    promote_on: Literal["Superior", "NonInferior"] = "NonInferior"
    segment_label: str | None = None


class Analysis(_Struct, frozen=True):
    """How often is looked, and how sure a verdict must be."""

    interval: Duration = Duration("30s")
    alpha: Annotated[float, Meta(gt=0, le=0.5)] = 0.05
    min_requests: Annotated[int, Meta(ge=1)] = 100
    on_no_data: Literal["Hold"] = "Hold"


class SecretKeyRef(_Struct, frozen=True):
    """One key of a Secret in the experiment's namespace."""

    name: DnsName
    key: str


class TLS(_Struct, frozen=True):
    """How Prometheus's certificate is checked."""

    ca_from: SecretKeyRef | None = None
    server_name: str | None = None


class PrometheusRef(_Struct, frozen=True):
    """Where measurements come from."""

    address: Annotated[str, Meta(pattern=r"^https?://[^\s]+$", max_length=2048)] = "http://prometheus.monitoring:9090"
    bearer_token_from: SecretKeyRef | None = None
    headers_from: SecretKeyRef | None = None
    tls: TLS | None = None


DEFAULT_STAGES: tuple[Stage, ...] = (
    Stage(name="canary", weight=5, duration=Duration("24h")),
    Stage(name="ab", weight=50, duration=Duration("13d"), min_samples=3500),
)
"""Canary 5 % for a day, A/B 50/50 for thirteen; then `promotion` takes it to all."""


class Spec(_Struct, frozen=True):
    """The whole of `spec`."""

    services: Annotated[tuple[Service, ...], Meta(min_length=1, max_length=16)]
    stages: Annotated[tuple[Stage, ...], Meta(min_length=1, max_length=20)] = DEFAULT_STAGES
    promotion: Promotion = Promotion()
    guardrails: Guardrails = Guardrails()
    goals: Annotated[tuple[Goal, ...], Meta(max_length=8)] = ()
    analysis: Analysis = Analysis()
    metrics: Metrics = Metrics()
    prometheus: PrometheusRef = PrometheusRef()
    paused: bool = False
    abort: bool = False

    def service(self, name: str) -> Service:
        """The service called `name`.

        Raises:
            KeyError: there is none.
        """
        for service in self.services:
            if service.name == name:
                return service
        raise KeyError(name)


class InvalidSpecError(ValueError):
    """The spec cannot be read; the text is a sentence for the user.

    Args:
        message: the sentence.
        services: those whose Deployments can be made out nevertheless, with nothing else of them.
    """

    def __init__(self, message: str, services: tuple[Service, ...] = ()) -> None:
        super().__init__(message)
        self.services = services


def parse_spec(spec: object) -> Spec:
    """Reads `spec` as the API server (or a file) gives it.

    Raises:
        InvalidSpecError: with the path of the field and what is wrong with it.
    """
    try:
        found = msgspec.convert(spec, Spec, dec_hook=decode_unit)
        _check_mirror(found)
    except (msgspec.ValidationError, ValueError) as error:
        raise InvalidSpecError(_sentence(str(error)), _legible(spec)) from None
    return found


def _check_mirror(spec: Spec) -> None:
    """Refuses what the API server refuses of mirroring, for files that it never sees.

    Not in `Spec` itself: what undoes an earlier run is a mixture of two specs, and must always exist.
    """
    for at, stage in enumerate(spec.stages):
        if stage.mirror is None:
            continue
        if at or len(spec.stages) == 1:
            raise ValueError(f"stage {stage.name}: mirror is for the first stage, before one with a weight")
        for service in spec.services:
            if service.traffic.type != "HTTPRoute":
                raise ValueError(
                    f"stage {stage.name}: mirror needs traffic.type HTTPRoute, and that of {service.name} is"
                    f" {service.traffic.type}: split by an HTTPRoute, or leave that stage out"
                )
            if (preset := (service.metrics or spec.metrics).preset) != "Http":
                raise ValueError(
                    f"stage {stage.name}: mirror needs metrics.preset Http, for only the canary itself counts copies,"
                    f" and that of {service.name} is {preset}: write preset: Http, or leave that stage out"
                )


class _Named(msgspec.Struct, frozen=True):
    """What is needed of a service to find its pods: its name and its Deployments. Anything else is ignored."""

    name: DnsLabel
    control: "_Deployment"
    canary: "_Deployment"


class _Deployment(msgspec.Struct, frozen=True):
    """Control, or the canary: the latter has no name where it is a patch."""

    deployment: DnsName | None = None


def _legible(spec: object) -> tuple[Service, ...]:
    """The services of a spec that as a whole can't be read, of a newer version for example."""
    found: list[Service] = []
    services = spec.get("services") if isinstance(spec, dict) else None
    for each in services if isinstance(services, list) else ():
        try:
            named = msgspec.convert(each, _Named)
        except (msgspec.ValidationError, ValueError):
            continue
        if named.control.deployment is not None:
            canary = Canary(deployment=named.canary.deployment or f"{named.control.deployment}-canary")
            found.append(Service(name=named.name, control=Control(deployment=named.control.deployment), canary=canary))
    return tuple(found)


def spec_to_json(spec: Spec) -> dict[str, Any]:
    """The inverse of `parse_spec`, without the fields that have their default."""
    result: dict[str, Any] = msgspec.to_builtins(spec, enc_hook=encode_unit)
    return result


def canary_name(service: Service) -> str:
    """The canary's Deployment: the user's, or the one that Serin makes beside control."""
    return service.canary.deployment or f"{service.control.deployment}-canary"


def _sentence(error: str) -> str:
    """`Expected ... - at `$.services[0]`` becomes `spec.services[0]: expected ...`."""
    what, found, path = error.partition(" - at `$")
    return f"spec{path.rstrip('`')}: {what[:1].lower()}{what[1:]}" if found else f"spec: {error}"
