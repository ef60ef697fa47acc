"""The preset EnvoyGateway on the statistics of a real Envoy, whose clusters are called as Envoy Gateway calls them."""

import asyncio
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from serin.api.spec import Metrics, PrometheusRef, parse_spec
from serin.engine.leads import Lead
from serin.engine.observation import MeasurementFailure, ServiceCounts, Unmeasured
from serin.metrics.checks import check
from serin.metrics.presets import sides
from serin.metrics.source import MetricsSource, Target
from tests.integration.envoy import Envoy, envoy
from tests.integration.metrics.process import prometheus

PREFIX = "httproute/ns/shop/rule/1/backend"
LEADS = (
    Lead("canary", "shop", "c", "80", 1, 0, filtered=True),
    Lead("control", "shop", "s", "80", 1, 1, filtered=True),
)
METRICS = Metrics(preset="EnvoyGateway")
SPEC = parse_spec({"services": [{"name": "web", "control": {"deployment": "web"}, "canary": {"patch": {}}}]})
SCRAPE = """
global: {{scrape_interval: 1s}}
scrape_configs:
- {{job_name: envoy, metrics_path: /stats/prometheus, static_configs: [{{targets: ["127.0.0.1:{port}"]}}]}}
"""


class _Upstream(BaseHTTPRequestHandler):
    """Answers with the status and after the milliseconds that it is asked for."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer."""
        asked = parse_qs(urlsplit(self.path).query)
        time.sleep(int(asked.get("ms", ["0"])[0]) / 1000)
        self.send_response(int(asked.get("status", ["200"])[0]))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


@dataclass(frozen=True)
class Scene:
    """An Envoy, the Prometheus that scrapes it, and how many answers of what kind it gave."""

    proxy: Envoy
    target: Target

    async def serve(self, requests: int, query: str = "") -> None:
        """Send requests through Envoy."""
        async with aiohttp.ClientSession() as session:
            for _ in range(requests):
                async with session.get(f"http://127.0.0.1:{self.proxy.port}/?{query}") as answer:
                    await answer.read()


def scene(folder: Path, stats: dict[str, object]) -> Iterator[Scene]:
    """Run two upstreams, Envoy before them and Prometheus behind it."""
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), _Upstream) for _ in range(2)]
    for each in servers:
        threading.Thread(target=each.serve_forever, daemon=True).start()
    # Canary first, as in the route.
    upstreams = {f"{PREFIX}/{place}": each.server_port for place, each in enumerate(servers)}
    (service,) = SPEC.services
    try:
        with (
            envoy(folder, (), upstreams=upstreams, stats=stats) as proxy,
            prometheus(folder / "data", SCRAPE.format(port=proxy.admin)) as address,
        ):
            target = Target(
                "ns",
                "web",
                frozenset({"control", "web"}),
                frozenset({"canary", "web-canary"}),
                metrics=METRICS,
                prometheus=PrometheusRef(address=address),
                sides=sides(METRICS, "ns", service, "web-canary", LEADS),
            )
            yield Scene(proxy, target)
    finally:
        for each in servers:
            each.shutdown()
            each.server_close()


@pytest.fixture
def judged(tmp_path: Path) -> Iterator[Scene]:
    """Envoy with the buckets that the refusal says to add."""
    edges = {"match": {"suffix": "upstream_rq_time"}, "buckets": [50, 100, 150, 250, 500, 1000]}
    yield from scene(tmp_path, {"histogram_bucket_settings": [edges]})


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Scene]:
    """Envoy as it is by default."""
    yield from scene(tmp_path, {})


async def counted(source: MetricsSource, target: Target, since: float, canary: int, control: int) -> ServiceCounts:
    """Return the look since a Unix time, once it has timed that many requests; Envoy merges each 5 s."""
    last: object = None
    for _ in range(150):
        at = time.time()
        last = await source.look(target, [target], at, at - since)
        if isinstance(last, ServiceCounts) and (last.canary.timed, last.control.timed) == (canary, control):
            return last
        await asyncio.sleep(0.2)
    return pytest.fail(f"not counted: {last}")


async def test_counts_and_latency_of_a_real_envoy(source: MetricsSource, judged: Scene) -> None:
    """Both variants to the request, by code; milliseconds become seconds, and 150 ms is an edge."""
    judged.proxy.split(0, 100)
    await judged.serve(5)
    told = f'envoy_cluster_upstream_rq_time_count{{envoy_cluster_name="{PREFIX}/1"}}'
    for _ in range(300):  # merged and scraped: what comes before the look is not in it
        rows = await source.instant(judged.target.prometheus, told)
        if not isinstance(rows, Unmeasured) and [row.value for row in rows] == [5]:
            break
        await asyncio.sleep(0.2)
    since = time.time()
    await judged.serve(20)
    judged.proxy.split(100, 0)
    await judged.serve(7)
    await judged.serve(3, "status=503")
    await judged.serve(2, "ms=300")
    counts = await counted(source, judged.target, since, 12, 20)
    assert (counts.canary.requests, counts.canary.errors) == (12, 3)
    assert (counts.control.requests, counts.control.errors) == (20, 0)
    assert counts.canary.edges == (0.05, 0.1, 0.15, 0.25, 0.5, 1.0)
    within = dict(zip(counts.canary.edges, counts.canary.within, strict=True))
    assert (within[0.15], within[0.25], within[1.0]) == (10, 10, 12)
    one = await counted(source, replace(judged.target, edges=(0.15,)), since, 12, 20)
    assert (one.canary.edges, one.canary.within) == ((0.15,), (10,))
    assert await check(source, judged.target, SPEC) == ()


async def test_defaults_lack_the_edge(source: MetricsSource, plain: Scene) -> None:
    """Envoy has no bucket at 150 ms by itself: the sentence says where to add it, with all the others."""
    plain.proxy.split(50, 50)
    await plain.serve(20)
    for _ in range(100):
        problems = await check(source, plain.target, SPEC)
        if problems and problems[0].reason == "HistogramEdgeMissing":
            break
        await asyncio.sleep(0.2)
    (problem,) = problems
    assert problem.reason == "HistogramEdgeMissing"
    where = "no bucket at guardrails.latencyP95.max, 150ms, in envoy_cluster_upstream_rq_time_bucket"
    assert where in problem.message
    assert "/stats_config/histogram_bucket_settings: [{match: {suffix: upstream_rq_time}, buckets: [" in problem.message
    assert ",100,150,250," in problem.message


async def test_a_gateway_that_counts_otherwise(source: MetricsSource, plain: Scene) -> None:
    """Clusters of other names: what there is is named; a route that tells nothing is no measurement."""
    for canary in (0, 100):  # both clusters are counted, whatever chance does
        plain.proxy.split(canary, 100 - canary)
        await plain.serve(3)
    (service,) = SPEC.services
    elsewhere = tuple(replace(each, rule=0) for each in LEADS)
    other = replace(plain.target, sides=sides(METRICS, "ns", service, "web-canary", elsewhere))
    for _ in range(100):
        problems = await check(source, other, SPEC)
        if "it has envoy_cluster_name" in problems[0].message:
            break
        await asyncio.sleep(0.2)
    assert f"it has envoy_cluster_name: {PREFIX}/0, {PREFIX}/1" in problems[0].message
    assert "clusterStatName" in problems[0].message
    nothing = replace(plain.target, sides=(frozenset(), frozenset()))
    look = await source.look(nothing, [plain.target], time.time(), 30)
    assert isinstance(look, Unmeasured)
    assert look.failure is MeasurementFailure.EMPTY
    assert "the route does not tell which series of envoy_cluster_upstream_rq are control's" in look.message


async def test_noise_is_not_read_from_a_gateway(source: MetricsSource, plain: Scene) -> None:
    """A gateway's pods are not control's: their difference says nothing of the noise between versions."""
    past = await source.history(plain.target, time.time())
    assert isinstance(past, Unmeasured)
    assert "does not tell control's pods apart: noise between equal versions is assumed" in past.message


async def test_a_dot_cuts_a_name(tmp_path: Path) -> None:
    """Why a route with a dot in its name is refused: Envoy's label ends there, and both backends become one."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Upstream)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    dotted = {f"httproute/ns/a.b/rule/0/backend/{place}": server.server_port for place in range(2)}
    with envoy(tmp_path, (), upstreams=dotted) as proxy:
        proxy.split(50, 50)
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{proxy.port}/") as answer:
                assert answer.status == 200
            async with session.get(f"http://127.0.0.1:{proxy.admin}/stats/prometheus") as answer:
                text = await answer.text()
    server.shutdown()
    server.server_close()
    assert 'envoy_cluster_name="httproute/ns/a"' in text
    assert 'envoy_cluster_name="httproute/ns/a.b' not in text
