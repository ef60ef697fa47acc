"""The pool of connections as series: how many are out, how many there may be, and what failed."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool


class PoolMetrics(Collector):
    """Exports `serin_database_connections{state}` and `serin_database_errors_total{kind}`.

    Args:
        engine: Whose pool it is.
        registry: Where the series go.
    """

    def __init__(self, engine: AsyncEngine, registry: CollectorRegistry) -> None:
        self._engine = engine
        self.errors = Counter(
            "serin_database_errors_total", "Requests without an answer of the database.", ("kind",), registry=registry
        )
        for kind in ("lost", "busy"):
            self.errors.labels(kind)
        registry.register(self)

    def collect(self) -> Iterable[Metric]:
        """Yield the state of the pool now."""
        connections = GaugeMetricFamily("serin_database_connections", "Connections of this process.", labels=("state",))
        pool = self._engine.pool
        if isinstance(pool, QueuePool):
            connections.add_metric(("used",), pool.checkedout())
            connections.add_metric(("idle",), pool.checkedin())
        return (connections,)
