"""Request counts and latencies, the only thing that the operator's guardrails are computed from.

The names, labels and edges are a contract with the operator: it asks for the code and for the edges that somebody
judges, so the edges hold every usual limit (95 ms, 145 ms, 150 ms). `namespace`, `pod` and `variant` are not here:
Prometheus adds them from the pod, since a process can be wrong about them.
"""

import time

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serin_services.context import route_of
from serin_services.routes import MatchedRoute, RouteTable

BUCKETS = (0.01, 0.025, 0.05, 0.075, 0.085, 0.095, 0.105, 0.12, 0.135, 0.145, 0.15, 0.165, 0.2, 0.3, 0.5, 1.0, 2.5)
"""Upper edges of the latency histogram, in seconds."""

# `_created` series double what a scrape reads, and nothing here asks for them.
disable_created_metrics()  # type: ignore[no-untyped-call]


class HttpMetrics:
    """The registry of a process and its series.

    Args:
        service: Value of the label `service`.
        engine: Name of the engine that serves, for the info series.
        version: Version of the release, for the info series.
        routes: Series of its counted routes start at 0, so that "no errors" is a measurement and not a gap.
    """

    def __init__(self, *, service: str, engine: str, version: str, routes: RouteTable) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        labels = ("service", "method", "route")
        self._service = service
        self._requests = Counter("http_requests_total", "Requests answered.", (*labels, "code"), registry=self.registry)
        self._duration = Histogram(
            "http_request_duration_seconds",
            "Time from the request to the end of its answer.",
            labels,
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.inflight = Gauge("serin_requests_in_flight", "Requests being served.", registry=self.registry)
        self.shed = Counter("serin_requests_shed_total", "Requests refused for overload.", registry=self.registry)
        self.faults = Counter(
            "serin_faults_injected_total", "Faults injected on purpose.", ("kind",), registry=self.registry
        )
        for kind in ("error", "latency"):
            self.faults.labels(kind)
        Info("serin_service", "What runs in this process.", registry=self.registry).info(
            {"service": service, "engine": engine, "version": version}
        )
        for route in routes.counted():
            self._duration.labels(service, route.method, route.template)
            for status in route.statuses:
                self._requests.labels(service, route.method, route.template, str(status))

    def observe(self, route: MatchedRoute, status: int, seconds: float) -> None:
        """Count one answer.

        Args:
            route: Route of the request.
            status: HTTP status of the answer.
            seconds: Time until the end of the answer.
        """
        self._requests.labels(self._service, route.method, route.template, str(status)).inc()
        self._duration.labels(self._service, route.method, route.template).observe(seconds)


class MetricsMiddleware:
    """Counts what leaves the process, whoever answered: a route, a refusal or an injected fault."""

    def __init__(self, app: ASGIApp, metrics: HttpMetrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request and count it when its route is counted."""
        route = route_of(scope)
        if route is None or not route.counted:
            await self.app(scope, receive, send)
            return
        status = 0

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        start = time.perf_counter()
        try:
            with self.metrics.inflight.track_inprogress():
                await self.app(scope, receive, watch)
        finally:
            # No answer at all is what the client sees as a failure of the server.
            self.metrics.observe(route, status or 500, time.perf_counter() - start)
