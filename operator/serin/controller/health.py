"""Probes and metrics of the operator itself, on one port."""

import time
from collections.abc import Callable, Sequence

from aiohttp import web
from prometheus_client import REGISTRY, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from serin.controller.store import Store
from serin.engine.decision import Decision
from serin.engine.observation import LookResult, Unmeasured

_STUCK = 60.0
_LAGS = (1, 2.5, 5, 10, 15, 20, 30, 45, 60, 120, 300, 900, 3600)


class Metrics:
    """What the operator says about itself."""

    def __init__(self) -> None:
        self.api = Counter("serin_api_requests_total", "Calls to the API server", ["verb", "resource", "code"])
        self.experiments = Gauge("serin_experiments", "Experiments by phase", ["phase"])
        self.duration = Histogram("serin_reconcile_duration_seconds", "Duration of one look at one experiment")
        self.decisions = Counter("serin_decisions_total", "Decisions by their reason", ["reason"])
        self.looks = Counter("serin_looks_total", "Looks of one service, by what they gave", ["result"])
        self.lag = Histogram("serin_look_lag_seconds", "From the end of a look until it was counted", buckets=_LAGS)
        self.leader = Gauge("serin_leader", "1 while this process holds the Lease")

    def called(self, verb: str, resource: str, status: int, seconds: float) -> None:
        """One call to the API server."""
        del seconds
        self.api.labels(verb, resource, str(status)).inc()

    def decided(self, decision: Decision) -> None:
        """One decision."""
        self.decisions.labels(decision.status.reason or str(decision.status.phase)).inc()

    def looked(self, looks: Sequence[LookResult], now: float) -> None:
        """Looks that were asked for at the Unix time `now`."""
        for look in looks:
            for counts in look.services.values():
                result = counts.failure.value if isinstance(counts, Unmeasured) else "Counted"
                self.looks.labels(result).inc()
        if looks:
            self.lag.observe(now - looks[-1].ends_at)

    def reconciled(self, seconds: float) -> None:
        """One look."""
        self.duration.observe(seconds)

    def count(self, store: Store) -> None:
        """Experiments by phase, at a scrape."""
        self.experiments.clear()
        for experiment in store.experiments:
            self.experiments.labels((experiment.get("status") or {}).get("phase", "Pending")).inc()


METRICS = Metrics()


async def serve(
    port: int, store: Store, alive_at: Callable[[], float], ready: Callable[[], bool], leads: Callable[[], bool]
) -> web.AppRunner:
    """Starts the server; `cleanup()` of the result stops it."""

    async def livez(_: web.Request) -> web.Response:
        stuck = time.monotonic() - alive_at() > _STUCK
        return web.Response(status=503 if stuck else 200, text="stuck\n" if stuck else "ok\n")

    async def readyz(_: web.Request) -> web.Response:
        is_ready = ready()
        return web.Response(status=200 if is_ready else 503, text="ok\n" if is_ready else "not ready\n")

    async def metrics(_: web.Request) -> web.Response:
        METRICS.count(store)
        METRICS.leader.set(1 if leads() else 0)
        return web.Response(body=generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host="", port=port).start()
    return runner
