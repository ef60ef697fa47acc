"""One measurement: a load of so many seconds on both services, and what came of it."""

import asyncio
from dataclasses import dataclass, field

import uvloop

from tests.bench.services.place import Engine, Meter, Place
from tests.bench.services.processes import Running
from tests.load import Plan, Report, RouteSeries, Target, run

BARS = {("recommendation", "personalized"): 0.095, ("conversation", "messages"): 0.145}
"""P95 in seconds that each endpoint has to keep."""
MOST_ERRORS = 0.005
"""Share of requests that may fail."""
TURNS = 5


@dataclass(slots=True)
class Outcome:
    """What one engine did under a load; several runs of the same load add up.

    Attributes:
        rate: Requests a second to each of the two endpoints.
        routes: What came of the requests, by service and endpoint.
        seconds: How long was measured.
        cpu_seconds: What a process used; services by name, `postgres`, `generator`, `others` (who else was at work).
        rss: Resident bytes at the end.
        kinds: Failures by kind.
    """

    rate: float
    routes: dict[tuple[str, str], RouteSeries] = field(default_factory=dict)
    seconds: float = 0.0
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    rss: dict[str, int] = field(default_factory=dict)
    kinds: dict[str, int] = field(default_factory=dict)

    def add(self, report: Report, before: Meter, after: Meter) -> None:
        """Add one run."""
        for key, series in report.routes.items():
            mine = self.routes.setdefault(key, RouteSeries())
            mine.latencies.extend(series.latencies)
            mine.lags.extend(series.lags)
            mine.failed += series.failed
        self.seconds += report.seconds
        for name, then in before.services.items():
            self._add_cost(name, after.services[name].cpu - then.cpu, after.services[name].rss)
        self._add_cost("postgres", after.postgres.cpu - before.postgres.cpu, after.postgres.rss)
        mine = sum(after.services[name].cpu - then.cpu for name, then in before.services.items())
        mine += after.postgres.cpu - before.postgres.cpu + after.generator.cpu - before.generator.cpu
        self._add_cost("others", max(0.0, after.busy - before.busy - mine), 0)
        self._add_cost("generator", after.generator.cpu - before.generator.cpu, after.generator.rss)
        for kind, count in report.failures.items():
            self.kinds[kind] = self.kinds.get(kind, 0) + count

    def _add_cost(self, name: str, cpu: float, rss: int) -> None:
        self.cpu_seconds[name] = self.cpu_seconds.get(name, 0.0) + cpu
        self.rss[name] = max(self.rss.get(name, 0), rss)

    def cores(self, name: str) -> float:
        """Return the cores that a process used on average."""
        return self.cpu_seconds[name] / self.seconds

    def errors(self, key: tuple[str, str]) -> float:
        """Return the share of an endpoint's requests that failed, 0 to 1."""
        series = self.routes[key]
        return series.failed / len(series.latencies)

    def lag(self) -> float:
        """Return how late the generator sent, 99th percentile in seconds: no service can answer before that."""
        lags = sorted(lag for series in self.routes.values() for lag in series.lags)
        return lags[int(len(lags) * 0.99)] if lags else 0.0

    def holds(self) -> bool:
        """Say whether both bars hold."""
        return all(
            self.routes[key].percentile(95) <= bar and self.errors(key) < MOST_ERRORS for key, bar in BARS.items()
        )


def plan(services: tuple[Running, Running], rate: float, duration: float, seed: int) -> Plan:
    """Plan the reference load: 2,000 unequal users, independent arrivals, connections kept as a proxy keeps them.

    A visit has two rankings on average, and a conversation five messages. Each fifth message comes with the start of
    another conversation, so the conversation service gets a fifth more.
    """
    recommendation, conversation = services
    return Plan(
        (
            Target("recommendation", (recommendation.url,), rate),
            Target("conversation", (conversation.url,), rate * (TURNS + 1) / TURNS),
        ),
        duration=duration,
        users=2000,
        skew=1.0,
        asks=2.0,
        connections="keep",
        turns=TURNS,
        timeout=10.0,
        max_inflight=2000,
        seed=seed,
    )


def loaded(place: Place, services: tuple[Running, Running], outcome: Outcome, *, duration: float, seed: int) -> None:
    """Put the load on both services for `duration` seconds and add what came of it to `outcome`."""
    before = Meter.read(place, services)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        report = runner.run(run(plan(services, outcome.rate, duration, seed)))
    outcome.add(report, before, Meter.read(place, services))


def warmed(place: Place, services: tuple[Running, Running], *, rate: float, duration: float) -> None:
    """Send a load whose answers nobody counts: caches fill, connections open, plans are made."""
    loaded(place, services, Outcome(rate), duration=duration, seed=0)


def measured(place: Place, engine: Engine, outcome: Outcome, *, duration: float, warm_up: float, seed: int) -> None:
    """Start both services, warm them up, and measure them."""
    with place.services(engine) as services:
        warmed(place, services, rate=min(outcome.rate, 50.0), duration=warm_up)
        loaded(place, services, outcome, duration=duration, seed=seed)
