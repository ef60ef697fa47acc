"""A real exporter, scraped each second: what happens when it goes, comes back and starts again."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server

from serin.api.spec import PrometheusRef
from serin.engine.observation import ServiceCounts, Unmeasured
from serin.metrics.source import MetricsSource, Target
from tests.integration.metrics.process import prometheus
from tests.ports import free_ports

LABELS = ("namespace", "service", "variant")
CONFIG = """
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: pods
    honor_labels: true
    static_configs: [{{targets: ["127.0.0.1:{control}", "127.0.0.1:{canary}"]}}]
"""


class Exporter:
    """One pod: requests and their latency, as a service exports them."""

    def __init__(self, port: int, variant: str) -> None:
        registry = CollectorRegistry()
        requests = Counter("http_requests_total", "Requests.", (*LABELS, "code"), registry=registry)
        latency = Histogram("http_request_duration_seconds", "Latency.", LABELS, registry=registry, buckets=(0.15, 1.0))
        self._requests = requests.labels("ns", "web", variant, "200")
        self._latency = latency.labels("ns", "web", variant)
        self._server, self._thread = start_http_server(port, "127.0.0.1", registry)

    def serve(self, requests: int) -> None:
        """Count requests of 0.1 s."""
        self._requests.inc(requests)
        for _ in range(requests):
            self._latency.observe(0.1)

    def stop(self) -> None:
        """End as a killed pod does."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def ports(tmp_path: Path) -> Iterator[tuple[str, int, int]]:
    """Prometheus's address, and the ports of a pod of control and of the canary."""
    control, canary = free_ports(2)
    with prometheus(tmp_path / "data", CONFIG.format(control=control, canary=canary)) as address:
        yield address, control, canary


async def test_a_pod_that_goes_and_comes_back(source: MetricsSource, ports: tuple[str, int, int]) -> None:
    """Counted while scraped, a failed measurement while it is not, and from zero after a restart."""
    address, control_port, canary_port = ports
    one = Target("ns", "web", frozenset({"control"}), frozenset({"canary"}), prometheus=PrometheusRef(address=address))

    async def look(seconds: int) -> ServiceCounts | Unmeasured:
        return await source.look(one, [one], time.time(), seconds)

    async def counted(since: float, wanted: tuple[int, int]) -> ServiceCounts:
        """Return the look since a Unix time, once it has so many requests of control and canary, all of them timed."""
        last: object = None
        for _ in range(150):
            at = time.time()
            last = await source.look(one, [one], at, at - since)
            if isinstance(last, ServiceCounts):
                got = [(each.requests, each.timed) for each in (last.control, last.canary)]
                if got == [(each, each) for each in wanted]:
                    return last
            await asyncio.sleep(0.2)
        return pytest.fail(f"not counted: {last}")

    control, canary = Exporter(control_port, "control"), Exporter(canary_port, "canary")
    try:
        # Prometheus takes seconds to begin; a look needs a sample from before it.
        for _ in range(100):
            if isinstance(await look(3), ServiceCounts):
                break
            await asyncio.sleep(0.2)
        since = time.time()
        control.serve(30)
        canary.serve(3)
        counts = await counted(since, (30, 3))
        assert (counts.canary.edges, counts.canary.within, counts.canary.timed) == ((0.15, 1.0), (3, 3), 3)
        canary.stop()
        for _ in range(150):
            gone = await look(2)
            if isinstance(gone, Unmeasured) and "no sample of canary" in gone.message:
                break
            await asyncio.sleep(0.2)
        assert isinstance(gone, Unmeasured), gone
        assert "no sample of canary" in gone.message
        since = time.time()
        canary = Exporter(canary_port, "canary")
        canary.serve(2)
        await counted(since, (0, 2))
    finally:
        control.stop()
        canary.stop()
