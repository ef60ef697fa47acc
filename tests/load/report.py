"""What was sent and what came back: by service and by the variant that answered.

Failures are told apart by their cause. Those that a bad release makes on purpose carry a header; everything else that
failed counts against whoever switched the traffic.
"""

import math
import time
from array import array
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rich.table import Table

INJECTED = "injected"
"""Kind of a failure that a release was made to produce."""
NOBODY = "-"
"""Variant of a request that nobody answered."""
PERCENTILES = (50, 90, 95, 99)
WINDOW_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Failure:
    """One request that failed.

    Attributes:
        at: Unix time in seconds when it was due.
        service: Service that it was for.
        target: URL that it was sent to.
        variant: Variant that answered, or `-`.
        kind: `injected`, `http 503: detail`, `refused`, `reset`, `disconnected`, `timeout`, `wrong body`, `other: ...`.
        seconds: Time from when it was due until it had failed.
    """

    at: float
    service: str
    target: str
    variant: str
    kind: str
    seconds: float


@dataclass(slots=True)
class Series:
    """Requests of one service that one variant answered.

    Attributes:
        ok: Right answers.
        failed: Failures by kind.
        latencies: Seconds of every answer that came, right or not.
        engines: Answers by engine.
        first_at: Unix time of the first answer.
        last_at: Unix time of the last answer.
        first_fault_at: Unix time of the first answer that was spoilt on purpose, by an error or by a delay.
        faulted: Answers that were spoilt on purpose.
    """

    ok: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    latencies: "array[float]" = field(default_factory=lambda: array("d"))
    engines: Counter[str] = field(default_factory=Counter)
    first_at: float | None = None
    last_at: float | None = None
    first_fault_at: float | None = None
    faulted: int = 0

    @property
    def answered(self) -> int:
        """Requests that ended, well or not."""
        return self.ok + self.failed.total()

    def percentiles(self) -> dict[int, float]:
        """Return latency percentiles in seconds; empty when nothing was answered."""
        if not self.latencies:
            return {}
        return dict(zip(PERCENTILES, np.percentile(self.latencies, PERCENTILES).tolist(), strict=True))


@dataclass(slots=True)
class RouteSeries:
    """Requests of one endpoint, whoever answered.

    A request without an answer in time has no latency, but it has one that is at least as long as the user waited. To
    leave it out would make a service look faster the more it fails (coordinated omission); here it counts as infinite.

    Attributes:
        latencies: Seconds from when a request was due until its answer; infinite when none came.
        failed: Failures, for whatever reason.
        lags: Seconds from when a request was due until the generator sent it: its own share of the latencies.
    """

    latencies: "array[float]" = field(default_factory=lambda: array("d"))
    failed: int = 0
    lags: "array[float]" = field(default_factory=lambda: array("d"))

    def percentile(self, percent: float) -> float:
        """Return a percentile of the latencies in seconds; NaN without requests."""
        if not self.latencies:
            return float("nan")
        # "higher" is a latency that some request really had, and no mean with an infinite one.
        return float(np.percentile(self.latencies, percent, method="higher"))


@dataclass(frozen=True, slots=True)
class Window:
    """The last seconds of one service and variant."""

    service: str
    variant: str
    answered: int
    failed: int
    p95: float | None
    """Seconds, or None when nothing was answered."""


class Report:
    """Everything that is known of a load; complete when it has ended, readable at any time before."""

    def __init__(self) -> None:
        self.started_at = time.time()
        self.seconds = 0.0
        self.sent: Counter[str] = Counter()
        self.unsent: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        """Answers 503 with Retry-After that were followed by another attempt, by service."""
        self.series: dict[tuple[str, str], Series] = {}
        self.routes: dict[tuple[str, str], RouteSeries] = {}
        self._recent: deque[tuple[float, str, str, bool, float]] = deque()

    def add(
        self, *, service: str, variant: str, engine: str, kind: str | None, fault: bool, seconds: float, answered: bool
    ) -> None:
        """Count one request that ended.

        Args:
            service: Service that it was for.
            variant: Variant that answered, or `-`.
            engine: Engine that answered, or an empty text.
            kind: Why it failed; None when it did not.
            fault: Whether the answer was spoilt on purpose.
            seconds: Time since it was due.
            answered: Whether an answer came; only those have a latency.
        """
        now = time.time()
        series = self.series.setdefault((service, variant), Series())
        if kind is None:
            series.ok += 1
        else:
            series.failed[kind] += 1
        if answered:
            series.latencies.append(seconds)
            series.first_at = series.first_at or now
            series.last_at = now
        if engine:
            series.engines[engine] += 1
        if fault:
            series.faulted += 1
            series.first_fault_at = series.first_fault_at or now
        self._recent.append((time.monotonic(), service, variant, kind is None, seconds))
        self._forget()

    def add_route(self, *, service: str, route: str, ok: bool, seconds: float, lag: float) -> None:
        """Count one request for its endpoint.

        Args:
            service: Service that it was for.
            route: Endpoint that it was for.
            ok: Whether it got a right answer.
            seconds: Time from when it was due until its answer; infinite when none came.
            lag: Time from when it was due until it was sent.
        """
        series = self.routes.setdefault((service, route), RouteSeries())
        series.latencies.append(seconds)
        series.lags.append(lag)
        series.failed += not ok

    def window(self, seconds: float = 10.0) -> list[Window]:
        """Return what the last seconds (at most 30) brought, sorted by service and variant."""
        self._forget()
        since = time.monotonic() - min(seconds, WINDOW_SECONDS)
        rows: dict[tuple[str, str], list[tuple[bool, float]]] = {}
        for at, service, variant, ok, took in self._recent:
            if at >= since:
                rows.setdefault((service, variant), []).append((ok, took))
        return [
            Window(
                service,
                variant,
                len(row),
                sum(not ok for ok, _ in row),
                float(np.percentile([took for _, took in row], 95)) if row else None,
            )
            for (service, variant), row in sorted(rows.items())
        ]

    def _forget(self) -> None:
        horizon = time.monotonic() - WINDOW_SECONDS
        while self._recent and self._recent[0][0] < horizon:
            self._recent.popleft()

    @property
    def failures(self) -> Counter[str]:
        """All failures by kind."""
        return sum((series.failed for series in self.series.values()), Counter())

    @property
    def injected(self) -> int:
        """Requests that failed because a release was made to fail them."""
        return self.failures[INJECTED]

    @property
    def own_failures(self) -> int:
        """Requests that failed for any other reason, and those that could not be sent."""
        return self.failures.total() - self.injected + self.unsent.total()

    @property
    def unanswered(self) -> Counter[str]:
        """Failures of requests that came to no pod, by kind: what a switch of traffic costs, and not a busy pod."""
        lost = Counter(unsent=self.unsent.total()) if self.unsent.total() else Counter[str]()
        return sum((series.failed for (_, variant), series in self.series.items() if variant == NOBODY), lost)

    def rows(self) -> Iterator[tuple[str, str, Series]]:
        """Yield service, variant and series, sorted."""
        for (service, variant), series in sorted(self.series.items()):
            yield service, variant, series

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain JSON; times are Unix seconds, latencies milliseconds."""
        return {
            "started_at": self.started_at,
            "seconds": self.seconds,
            "sent": dict(self.sent),
            "unsent": dict(self.unsent),
            "refused": dict(self.refused),
            "failed": dict(self.failures),
            "injected": self.injected,
            "routes": [
                {
                    "service": service,
                    "route": route,
                    "requests": len(series.latencies),
                    "failed": series.failed,
                    "latency_ms": {f"p{p}": _milliseconds(series.percentile(p)) for p in PERCENTILES},
                    "generator_lag_ms": {"p99": _milliseconds(float(np.percentile(series.lags, 99)))},
                }
                for (service, route), series in sorted(self.routes.items())
            ],
            "own_failures": self.own_failures,
            "series": [
                {
                    "service": service,
                    "variant": variant,
                    "engines": dict(series.engines),
                    "ok": series.ok,
                    "failed": dict(series.failed),
                    "latency_ms": {f"p{p}": round(s * 1000, 2) for p, s in series.percentiles().items()},
                    "first_at": series.first_at,
                    "last_at": series.last_at,
                    "first_fault_at": series.first_fault_at,
                    "faulted": series.faulted,
                }
                for service, variant, series in self.rows()
            ],
        }

    def table(self) -> Table:
        """Return the report as a table for people."""
        table = Table(title=f"{self.sent.total():,} requests sent in {self.seconds:.0f} s", title_justify="left")
        for heading in ("SERVICE", "VARIANT", "ENGINE"):
            table.add_column(heading, no_wrap=True)
        for heading in ("ANSWERED", "OK", "INJECTED", "FAILED", *(f"P{p} ms" for p in PERCENTILES)):
            table.add_column(heading, justify="right")
        for service, variant, series in self.rows():
            found = series.percentiles()
            table.add_row(
                service,
                variant,
                ",".join(sorted(series.engines)) or "-",
                f"{series.answered:,}",
                f"{series.ok:,}",
                f"{series.failed[INJECTED]:,}",
                f"{series.failed.total() - series.failed[INJECTED]:,}",
                *(f"{found[p] * 1000:.1f}" if found else "-" for p in PERCENTILES),
            )
        return table

    def sentence(self) -> str:
        """Say how it went in one line."""
        waited = f" {self.refused.total():,} times one was asked to come again." if self.refused else ""
        if self.own_failures == 0:
            injected = f"; {self.injected:,} failed on purpose" if self.injected else ""
            return f"No request failed{' otherwise' if injected else ''}{injected}.{waited}"
        kinds = [f"{count:,} {kind}" for kind, count in self.failures.most_common() if kind != INJECTED]
        kinds += [f"{self.unsent.total():,} unsent (too many in flight)"] if self.unsent else []
        return f"{self.own_failures:,} requests failed: {', '.join(kinds)}.{waited}"


def _milliseconds(seconds: float) -> float | None:
    """Return rounded milliseconds; None for what JSON can't say."""
    return round(seconds * 1000, 2) if math.isfinite(seconds) else None
