"""The traffic that a plan is made for: what Prometheus has measured of control, or what the command line says.

A number that nobody gave is not guessed: what needs it is then reported as unknown.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from serin.api.names import CANARY, CONTROL
from serin.api.spec import canary_name
from serin.api.status import Status
from serin.engine.generated import EDGES, Traffic
from serin.engine.history import latency_dispersion, rate_dispersion, with_history
from serin.engine.observation import Observation, Unmeasured
from serin.engine.shown import ERROR_RATE
from serin.stats import Dispersion

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from serin.api.spec import Goal, Service, Spec
    from serin.metrics.answers import Row
    from serin.metrics.presets import Naming
    from serin.metrics.source import MetricsSource, Target

_WINDOWS: Final = (86_400.0, 21_600.0, 3600.0, 300.0)
"""Seconds of history to average over: the longest that there is."""
_TIMEOUT: Final = 5.0
_DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class ServiceFigures:
    """One service's traffic, both variants together.

    Args:
        rate: requests per second; None when it is not known.
        errors: share of them that fails, 0 to 1.
        edges: the histogram's edges in seconds, ascending.
        within: share of requests at or below each edge; shape (edges,).
        source: where that is from, for the reader.
        noise: how much equal versions differ in errors; assumed to be high where there is no history.
        edge_noise: the same of latency, one for all edges or one for each.
    """

    rate: float | None
    errors: float
    edges: tuple[float, ...]
    within: tuple[float, ...]
    source: str
    noise: Dispersion = field(default_factory=Dispersion)
    edge_noise: Dispersion | tuple[Dispersion, ...] = field(default_factory=Dispersion)

    @property
    def history(self) -> str:
        """How the noise is known."""
        return "assumed" if self.noise.assumed else f"from {self.noise.hours:.3g}h of history"


@dataclass(frozen=True, slots=True)
class GoalFigures:
    """One goal's users: new ones a day of both variants together, and the standard deviation of their values."""

    users_per_day: float | None = None
    sd: float | None = None
    source: str = "not known"


@dataclass(frozen=True, slots=True)
class Figures:
    """All that a plan is made for, by name; `notes` says what Prometheus could not tell."""

    services: dict[str, ServiceFigures]
    goals: dict[str, GoalFigures]
    notes: tuple[str, ...] = ()


def figures(spec: Spec, namespace: str, options: argparse.Namespace) -> Figures:
    """The figures of an experiment: the command line's, and Prometheus's where the command line says nothing."""
    said = _said(spec, options)
    wanted = not options.offline and (
        any(each.rate is None for each in said.services.values())
        or any(each.users_per_day is None or each.sd is None for each in said.goals.values())
    )
    if not wanted:
        return said
    try:
        from serin.metrics.source import MetricsSource  # noqa: PLC0415 - not in a laptop's installation
    except ImportError:
        note = "Prometheus was not asked: that needs the extra `operator` of the package"
        return replace(said, notes=(note,))
    return asyncio.run(_measured(MetricsSource, spec, namespace, said))


def _said(spec: Spec, options: argparse.Namespace) -> Figures:
    """What the command line says."""
    shape = Traffic(p50=options.p50.seconds, p95=options.p95.seconds)
    within = tuple(_below(edge, shape) for edge in EDGES)
    service = ServiceFigures(options.rps, options.errors.value, EDGES, within, "as given")
    goals = {
        goal.name: GoalFigures(
            options.users_per_day,
            options.sd.get(goal.name, options.sd.get("")),
            "as given" if options.users_per_day is not None else "not known",
        )
        for goal in spec.goals
    }
    return Figures({each.name: service for each in spec.services}, goals)


def _below(edge: float, shape: Traffic) -> float:
    """Share of log-normal latencies at or below an edge in seconds."""
    sigma = math.log(shape.p95 / shape.p50) / 1.6448536269514722
    return 0.5 * math.erfc(-(math.log(edge) - math.log(shape.p50)) / sigma / math.sqrt(2))


async def _measured(source_of: Any, spec: Spec, namespace: str, said: Figures) -> Figures:
    from serin.metrics.presets import needs_leads  # noqa: PLC0415 - as above

    source: MetricsSource = source_of(timeout=_TIMEOUT)
    notes: list[str] = []
    try:
        answer = await source.instant(spec.prometheus, "vector(1)", namespace=namespace)
        if isinstance(answer, Unmeasured):
            return replace(said, notes=(f"{answer.message}; --prometheus names another address",))
        services = dict(said.services)
        for service in spec.services:
            if said.services[service.name].rate is None:
                preset = (service.metrics or spec.metrics).preset
                if needs_leads(service.metrics or spec.metrics):
                    text = f"metrics.preset {preset} goes by the route, which the operator reads"
                    notes.append(f"{service.name}: {text}: give --requests-per-second")
                    continue
                found = await _service(source, spec, service, namespace)
                if found is None:
                    notes.append(f"{service.name}: Prometheus has no requests of control in namespace {namespace}")
                    continue
                services[service.name] = await _with_noise(source, spec, service, namespace, found)
        goals = {goal.name: await _goal(source, spec, goal, namespace, said.goals[goal.name]) for goal in spec.goals}
        return Figures(services, goals, tuple(notes))
    finally:
        source.close()


async def _service(source: MetricsSource, spec: Spec, service: Service, namespace: str) -> ServiceFigures | None:
    """Averages over the longest window that Prometheus has; `rate` will do, for nothing is judged by them."""
    from serin.metrics import queries  # noqa: PLC0415 - as above
    from serin.metrics.rows import series_of  # noqa: PLC0415 - as above

    target = _target(spec, service, namespace)
    names = target.naming
    requests, buckets = (series_of(names, metric, target.control) for metric in (names.requests, names.buckets))
    for window in _WINDOWS:
        span = queries.span(window)
        before = f"on () (count ({requests} offset {queries.span(window * 0.9)}) > 0)"
        codes = f"sum by ({queries.label(names.code)}) (rate({requests}[{span}])) and {before}"
        by_code = await source.instant(spec.prometheus, codes, namespace=namespace)
        if isinstance(by_code, Unmeasured) or not by_code:
            continue
        by_edge = await source.instant(spec.prometheus, f"sum by (le) (rate({buckets}[{span}]))", namespace=namespace)
        total = sum(row.value for row in by_code)
        bad = sum(row.value for row in by_code if row.labels.get(names.code, "").startswith("5"))
        edges, within = _shares(names, by_edge if not isinstance(by_edge, Unmeasured) else [])
        return ServiceFigures(total, bad / total if total else 0.0, edges, within, f"measured over {window / 3600:g} h")
    return None


async def _with_noise(
    source: MetricsSource, spec: Spec, service: Service, namespace: str, found: ServiceFigures
) -> ServiceFigures:
    """What the operator would read before the first stage: control's pods in two halves, as if they were versions."""
    import time  # noqa: PLC0415 - a clock, only here

    past = await source.history(_target(spec, service, namespace), time.time())
    checkpoint = with_history(Status(), Observation("", namespace, "", 0, history={service.name: past})).checkpoint
    return replace(
        found,
        noise=rate_dispersion(checkpoint, service.name, ERROR_RATE),
        edge_noise=latency_dispersion(checkpoint, service.name, found.edges),
    )


def _target(spec: Spec, service: Service, namespace: str) -> Target:
    """How the service is measured, as far as no route has to tell it."""
    from serin.metrics.presets import sides  # noqa: PLC0415 - as above
    from serin.metrics.source import Target  # noqa: PLC0415 - as above

    metrics, canary = service.metrics or spec.metrics, canary_name(service)
    return Target(
        namespace,
        service.name,
        frozenset({CONTROL, service.control.deployment}),
        frozenset({CANARY, canary}),
        metrics=metrics,
        prometheus=spec.prometheus,
        sides=sides(metrics, namespace, service, canary, ()),
    )


def _shares(names: Naming, rows: Sequence[Row]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Edges and the share of requests within each."""
    found = sorted((names.in_seconds(float(row.labels["le"])), row.value) for row in rows if "le" in row.labels)
    total = found[-1][1] if found else 0.0
    finite = [(edge, value) for edge, value in found if math.isfinite(edge)]
    if not total:
        return (), ()
    return tuple(edge for edge, _ in finite), tuple(value / total for _, value in finite)


async def _goal(source: MetricsSource, spec: Spec, goal: Goal, namespace: str, said: GoalFigures) -> GoalFigures:
    """Users of yesterday and the spread of their values, where figures of the goal are there already."""
    import time  # noqa: PLC0415 - a clock, only here

    from serin.engine.observation import GoalReading  # noqa: PLC0415 - as above
    from serin.metrics.goals import read_goals  # noqa: PLC0415 - as above

    only = type(spec)(
        services=spec.services, stages=spec.stages, goals=(goal,), metrics=spec.metrics, prometheus=spec.prometheus
    )
    now = time.time()
    today = (await read_goals(source, only, namespace, now, _DAY))[goal.name]
    yesterday = (await read_goals(source, only, namespace, now - _DAY, _DAY))[goal.name]
    users, sd = said.users_per_day, said.sd
    if isinstance(today, GoalReading):
        everybody = today.control + today.canary
        sd = sd if sd is not None else math.sqrt(everybody.variance) or None
        if users is None and isinstance(yesterday, GoalReading):
            users = max(0.0, everybody.count - yesterday.control.count - yesterday.canary.count) or None
    measured = (users, sd) != (said.users_per_day, said.sd)
    return GoalFigures(users, sd, "measured" if measured else said.source)
