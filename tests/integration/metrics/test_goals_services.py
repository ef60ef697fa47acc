"""The services' own exporter of goals, scraped as the manifests scrape it: what the operator reads is what they say."""

import datetime as dt
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, start_http_server

from serin.api.spec import parse_spec
from serin.engine.observation import GoalReading
from serin.metrics.goals import check_goals, read_goals
from serin.metrics.source import MetricsSource
from serin.stats.goals import Moments
from serin_services.collector import GoalCollector
from serin_services.goals import Figures, GoalSums
from tests.integration.metrics.process import prometheus
from tests.ports import free_ports

CONFIG = """
global: {{scrape_interval: 1s}}
scrape_configs:
- job_name: pods
  static_configs:
  - {{targets: ["127.0.0.1:{old}"], labels: {{namespace: shop, pod: a, variant: control}}}}
  - {{targets: ["127.0.0.1:{new}"], labels: {{namespace: shop, pod: b, variant: canary}}}}
"""
"""As in manifests/monitoring: the target's own `variant` makes that of the series `exported_variant`."""


def collector(registry: CollectorRegistry, users: int, age: float) -> GoalCollector:
    """Return a pod's collector whose last figures are so many seconds old."""
    nothing: Any = None
    made = GoalCollector("conversation", nothing, nothing, nothing, nothing, registry=registry)
    sums = tuple(
        GoalSums("return_7d", variant, segment, users * factor, 2.0 * users * factor, 5.0 * users * factor)
        for variant, factor in (("control", 2), ("canary", 1))
        for segment in ("new", "existing")
    )
    made._figures = Figures(sums=sums, mixed_users=0, active_users={}, adoption_ratio=0.0)
    made._taken_at = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=age)
    return made


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A Prometheus that scrapes two pods: an old reading of control's, a young one of the canary's."""
    ports = free_ports(2)
    servers = []
    for port, users, age in ((ports[0], 10, 300.0), (ports[1], 30, 20.0)):
        registry = CollectorRegistry()
        collector(registry, users, age)
        servers.append(start_http_server(port, "127.0.0.1", registry))
    try:
        with prometheus(tmp_path / "data", CONFIG.format(old=ports[0], new=ports[1])) as found:
            yield found
    finally:
        for server, thread in servers:
            server.shutdown()
            server.server_close()
            thread.join()


async def test_three_lines_read_the_services(source: MetricsSource, address: str) -> None:
    """Name, service, margin: the young pod's figures, by the variant that served and not by the pod's own."""
    spec = parse_spec(
        {
            "services": [{"name": "conversation", "control": {"deployment": "c"}, "canary": {"deployment": "c4"}}],
            "goals": [{"name": "return-7d", "service": "conversation", "minimumEffect": 0.1}],
            "prometheus": {"address": address},
        }
    )
    for _ in range(100):
        reading = (await read_goals(source, spec, "shop", time.time(), 60))["return-7d"]
        if isinstance(reading, GoalReading) and reading.control.count == 120:
            break
        time.sleep(0.1)  # noqa: ASYNC251 - nothing else runs
    assert isinstance(reading, GoalReading), reading
    assert (reading.control, reading.canary) == (Moments(120, 240, 600), Moments(60, 120, 300))
    assert sorted(reading.segments) == ["existing", "new"]
    assert await check_goals(source, spec, "shop") == ()
