"""The presets Istio and Nginx on series of the form that the vendors document, in a real Prometheus.

Istio: https://istio.io/latest/docs/reference/config/metrics/. ingress-nginx: the labels of
https://github.com/kubernetes/ingress-nginx/blob/main/internal/ingress/metric/collectors/socket.go.
"""

import time
from collections.abc import Iterator

import pytest

from serin.api.spec import CustomGuardrail, MetricLabels, Metrics, PrometheusRef, parse_spec
from serin.engine.leads import Lead
from serin.engine.observation import History, MeasurementFailure, ServiceCounts, Unmeasured
from serin.metrics.checks import check
from serin.metrics.presets import sides
from serin.metrics.source import MetricsSource, Target
from tests.integration.metrics.process import prometheus_of
from tests.integration.metrics.test_history import queries_of

STEP, LOOK, PAST = 15, 30, 3 * 3600
ENVOYS = (0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000)
"""Envoy's default buckets in milliseconds, which are Istio's too."""
NGINXES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""The controller's default buckets in seconds."""
SPEC = parse_spec(
    {
        "services": [{"name": "web", "control": {"deployment": "web"}, "canary": {"deployment": "web-next"}}],
        "guardrails": {"latencyP95": {"max": "250ms"}},
    }
)
DEFAULTS = parse_spec({"services": [{"name": "web", "control": {"deployment": "web"}, "canary": {"patch": {}}}]})
LEADS = (Lead("control", "web-canary", "web"), Lead("canary", "web-canary", "web-next", "80"))


class Writer:
    """Writes counters down, a sample each step until the end."""

    def __init__(self, end: int) -> None:
        self.end = end
        self.lines: dict[str, list[str]] = {}

    def counter(self, metric: str, labels: str, per_step: float) -> None:
        """Write one series that rises evenly."""
        for index, ago in enumerate(range(PAST, -1, -STEP)):
            line = f"{metric}{{{labels}}} {per_step * index:g} {self.end - ago}"
            self.lines.setdefault(metric, []).append(line)

    def histogram(self, metric: str, labels: str, edges: tuple[float, ...], fast: float, per_step: float) -> None:
        """Write buckets: nothing below the edge `fast`, and all from it on."""
        for edge in edges:
            self.counter(f"{metric}_bucket", f'{labels},le="{edge:g}"', per_step if edge >= fast else 0)
        self.counter(f"{metric}_bucket", f'{labels},le="+Inf"', per_step)

    def istio(
        self, workload: str, pod: str, per_step: float, *, reporter: str = "destination", code: str = "200"
    ) -> None:
        """Write what a sidecar reports."""
        labels = (
            f'reporter="{reporter}",source_workload="gateway",source_workload_namespace="mesh",'
            f'destination_workload="{workload}",destination_workload_namespace="ns",'
            f'destination_service="web.ns.svc.cluster.local",destination_service_name="web",request_protocol="http",'
            f'response_code="{code}",response_flags="-",connection_security_policy="mutual_tls",pod="{pod}"'
        )
        self.counter("istio_requests_total", labels, per_step)
        self.histogram("istio_request_duration_milliseconds", labels, ENVOYS, 100, per_step)

    def nginx(self, canary: str, per_step: float, *, status: str = "200", exported: str = "", path: str = "/") -> None:
        """Write what the controller reports of the main Ingress's Service `web`."""
        labels = (
            f'{exported}namespace="ns",{exported}service="web",ingress="web",canary="{canary}",method="GET",'
            f'path="{path}",host="web.example",status="{status}",controller_class="k8s.io/ingress-nginx",'
            f'controller_namespace="ingress-nginx",controller_pod="controller-1"'
        )
        if exported:
            labels += ',namespace="ingress-nginx",service="controller-metrics",pod="controller-1"'
        self.counter("nginx_ingress_controller_requests", labels, per_step)
        self.histogram("nginx_ingress_controller_request_duration_seconds", labels, NGINXES, 0.1, per_step)


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """The address of Prometheus, and the end of the looks."""
    made = Writer(int(time.time()) // 60 * 60 - 60)
    for workload, each in (("web", 10), ("web-next", 5), ("control", 1000), ("other", 1000)):
        for pod in "ab":
            made.istio(workload, f"{workload}-{pod}", each)
        # The client's sidecar reports the same requests a second time.
        made.istio(workload, "gateway-1", 2 * each, reporter="source")
    made.istio("web-next", "web-next-a", 1, code="503")
    made.istio("web-next", "web-next-a", 2, code="0")
    for canary, each in (("", 10), ("ns-web-next-80", 5), ("ns-old-80", 1000)):
        for path in ("/", "/api"):
            made.nginx(canary, each, path=path)
    made.nginx("ns-web-next-80", 1, status="502")
    made.nginx("", 7, exported="exported_")
    made.nginx("ns-web-next-80", 3, exported="exported_")
    made.counter("checkout_total", 'namespace="ns",service="web",variant="web",result="ok"', 4)
    made.counter("checkout_total", 'namespace="ns",service="web",variant="canary",result="ok"', 3)
    lines = (line for metric in sorted(made.lines) for line in made.lines[metric])
    with prometheus_of(tmp_path_factory.mktemp("past"), lines) as address:
        yield address, made.end


def target(past: tuple[str, int], metrics: Metrics, **changes: object) -> Target:
    """Return the service `web`, as the controller would have it measured."""
    (service,) = SPEC.services
    made: dict[str, object] = {
        "namespace": "ns",
        "service": "web",
        "control_names": frozenset({"control", "web"}),
        "canary_names": frozenset({"canary", "web-next"}),
        "metrics": metrics,
        "prometheus": PrometheusRef(address=past[0]),
        "sides": sides(metrics, "ns", service, "web-next", LEADS),
    }
    return Target(**{**made, **changes})  # type: ignore[arg-type]


async def counted(source: MetricsSource, past: tuple[str, int], one: Target) -> ServiceCounts:
    """Return the look of the last half minute, which must be measured."""
    result = await source.look(one, [one], past[1], LOOK)
    assert isinstance(result, ServiceCounts), result
    return result


async def test_istio(source: MetricsSource, past: tuple[str, int]) -> None:
    """What the destinations report, by workload, once; a code of no answer is a request and no error."""
    counts = await counted(source, past, target(past, Metrics(preset="Istio")))
    assert (counts.control.requests, counts.control.errors) == (40, 0)
    assert (counts.canary.requests, counts.canary.errors) == (26, 2)
    assert counts.control.edges == tuple(edge / 1000 for edge in ENVOYS)
    within = dict(zip(counts.control.edges, counts.control.within, strict=True))
    assert (within[0.05], within[0.1], within[0.25], counts.control.timed) == (0, 40, 40, 40)


async def test_nginx(source: MetricsSource, past: tuple[str, int]) -> None:
    """One Service, told apart by the canary's upstream; the upstream of an earlier canary is not counted."""
    counts = await counted(source, past, target(past, Metrics(preset="Nginx")))
    assert (counts.control.requests, counts.control.errors) == (40, 0)
    assert (counts.canary.requests, counts.canary.errors) == (22, 2)
    assert counts.control.edges == NGINXES
    assert dict(zip(NGINXES, counts.canary.within, strict=True))[0.1] == 22


async def test_nginx_whose_labels_prometheus_renamed(source: MetricsSource, past: tuple[str, int]) -> None:
    """Without honorLabels the labels are `exported_...`; named in metrics.labels, they are read."""
    renamed = MetricLabels(namespace="exported_namespace", service="exported_service")
    counts = await counted(source, past, target(past, Metrics(preset="Nginx", labels=renamed)))
    assert (counts.control.requests, counts.canary.requests) == (14, 6)


async def test_three_vendors_three_queries(source: MetricsSource, past: tuple[str, int]) -> None:
    """All experiments of one vendor share one query; their custom guardrails go by the services' own labels."""
    guardrail = CustomGuardrail(name="checkout", good='checkout_total{result="ok"}', total="checkout_total")
    names = ["Istio", "Nginx"]
    everyone = [target(past, Metrics(preset=name), edges=(edge,)) for name in names for edge in (0.1, 0.25)]  # type: ignore[arg-type]
    for one in everyone:
        await source.look(one, everyone, past[1] - LOOK, LOOK)
    before = queries_of(past[0])
    for one in everyone:
        assert isinstance(await source.look(one, everyone, past[1], LOOK), ServiceCounts)
    assert queries_of(past[0]) - before == len(names)
    counts = await counted(source, past, target(past, Metrics(preset="Istio"), custom=(guardrail,)))
    assert (counts.control.custom, counts.canary.custom) == ((("checkout", 8, 0),), (("checkout", 6, 0),))


@pytest.mark.parametrize("preset", ["Istio", "Nginx"])
async def test_defaults_have_100_and_250_ms(source: MetricsSource, past: tuple[str, int], preset: str) -> None:
    """At 250 ms nothing is missing; at 150 ms the sentence says how the vendor adds a bucket, in its own unit."""
    metrics = Metrics(preset=preset)  # type: ignore[arg-type]
    one = target((past[0], past[1]), metrics)
    assert await check(source, one, SPEC) == ()
    (problem,) = await check(source, one, DEFAULTS)
    assert problem.reason == "HistogramEdgeMissing"
    said = {
        "Istio": 'sidecar.istio.io/statsHistogramBuckets: \'{"istiocustom":[0.5,1,5,10,25,50,100,150,250,500,',
        "Nginx": "--time-buckets=0.005,0.01,0.025,0.05,0.1,0.15,0.25,0.5,1,2.5,5,10",
    }
    assert said[preset] in problem.message
    assert "or change latencyP95.max to one of them" in problem.message


async def test_what_is_not_there_is_named(source: MetricsSource, past: tuple[str, int]) -> None:
    """A workload without a sidecar, and a controller that counts another Service."""
    nobody = parse_spec({"services": [{"name": "web", "control": {"deployment": "no"}, "canary": {"patch": {}}}]})
    (service,) = nobody.services
    istio, nginx = Metrics(preset="Istio"), Metrics(preset="Nginx")
    (problem,) = await check(source, target(past, istio, sides=sides(istio, "ns", service, "no-canary", ())), SPEC)
    assert problem.reason == "NoRequestSeries"
    asked = 'reporter="destination",destination_workload_namespace="ns",destination_workload="no"'
    assert f"istio_requests_total{{{asked}}}" in problem.message
    assert "it has destination_workload: control, other, web, web-next. Has its pod a sidecar" in problem.message
    other = (Lead("control", "web-canary", "shop"), LEADS[1])
    (problem,) = await check(source, target(past, nginx, sides=sides(nginx, "ns", service, "no-canary", other)), SPEC)
    assert "it has service: web" in problem.message
    assert "metrics.labels: {namespace: exported_namespace, service: exported_service}" in problem.message
    look = await source.look(target(past, nginx, sides=(frozenset(), frozenset())), [], past[1], LOOK)
    assert isinstance(look, Unmeasured)
    assert look.failure is MeasurementFailure.EMPTY


async def test_noise_by_istio_and_by_nginx(source: MetricsSource, past: tuple[str, int]) -> None:
    """A sidecar's series are its pod's, so control's day can be split in two; a gateway's are not."""
    found = await source.history(target(past, Metrics(preset="Istio")), past[1])
    assert isinstance(found, History), found
    assert found.blocks[-1].requests == (800, 800)
    assert found.edges == tuple(edge / 1000 for edge in ENVOYS)
    nginx = await source.history(target(past, Metrics(preset="Nginx")), past[1])
    assert isinstance(nginx, Unmeasured)
    assert "noise between equal versions is assumed" in nginx.message
