"""The metrics of the operator itself: what somebody who runs it asks when experiments are late, stuck or blind.

docs/reference.md lists them; it is made from here.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, NamedTuple

import msgspec
from prometheus_client import Counter, Gauge, Histogram

from serin.api.status import Status
from serin.controller.store import Kept, Key, Store
from serin.engine.decision import Decision
from serin.engine.observation import LookResult, Unmeasured

Part = Literal["observe", "feed", "decide", "write", "report", "act"]

_LAGS = (0.1, 0.25, 0.5, 0.75, 1, 1.5, 2.5, 5, 10, 15, 20, 30, 45, 60, 120, 300, 900, 3600)
_RATIOS = (0.5, 0.9, 0.97, 0.99, 1, 1.001, 1.002, 1.005, 1.01, 1.02, 1.03, 1.1, 1.2, 1.5, 2, 3, 5, 10)
_QUICK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """What the operator says about itself."""

    def __init__(self) -> None:
        self.experiments = Gauge("serin_experiments", "Experiments by phase.", ["phase"])
        self.stalled = Gauge("serin_experiments_stalled", "Experiments with condition Stalled: somebody must act.")
        self.info = Gauge(
            "serin_experiment_info",
            "1 for each experiment that has not ended, with where it is and what its guardrails say.",
            ["namespace", "name", "phase", "reason", "verdict"],
        )
        self.leader = Gauge("serin_leader", "1 while this process holds the Lease.")
        self.decisions = Counter(
            "serin_decisions_total", "Looks at an experiment by the reason that the deciding rule gave.", ["reason"]
        )
        self.events = Counter(
            "serin_events_total", "Events, by their type and reason: one for each transition.", ["type", "reason"]
        )
        self.looks = Counter(
            "serin_looks_total", "Looks of one service by what they gave: Counted, or why nothing.", ["result"]
        )
        self.lag = Histogram(
            "serin_look_lag_seconds",
            "How late a look was counted: since half an interval after its end, when Prometheus has scraped.",
            buckets=_LAGS,
        )
        self.gap = Histogram(
            "serin_look_gap_ratio",
            "Time between two successive looks at one experiment, as a multiple of its interval.",
            buckets=_RATIOS,
        )
        self.looked_at = Gauge(
            "serin_experiments_looked_at", "Experiments that this process has looked at since it began to lead."
        )
        self.writes = Counter(
            "serin_status_writes_total",
            "Writes of a status: change, for what somebody could act on; checkpoint, when only counts moved on.",
            ["why"],
        )
        self.duration = Histogram("serin_reconcile_duration_seconds", "Duration of one look at one experiment.")
        self.parts = Histogram(
            "serin_look_part_duration_seconds",
            "Duration of a part of a look: observe (with the measurements), feed (before it is due), decide, write,"
            " report, act.",
            ["part"],
            buckets=_QUICK,
        )
        self.api = Counter(
            "serin_api_requests_total",
            "Calls to the API server by HTTP status; 0 is a call without an answer.",
            ["verb", "resource", "code"],
        )
        self.api_duration = Histogram(
            "serin_api_request_duration_seconds", "Duration of calls to the API server.", ["verb"], buckets=_QUICK
        )
        self.queries = Counter(
            "serin_prometheus_queries_total",
            "Queries to Prometheus by verdict: Answered, or the failure that was a measurement's.",
            ["verdict"],
        )
        self.query_duration = Histogram(
            "serin_prometheus_query_duration_seconds",
            "Duration of queries to Prometheus, without waiting for a turn.",
            buckets=_QUICK,
        )

    def called(self, verb: str, resource: str, status: int, seconds: float) -> None:
        """One call to the API server."""
        self.api.labels(verb, resource, str(status)).inc()
        self.api_duration.labels(verb).observe(seconds)

    def queried(self, verdict: str, seconds: float) -> None:
        """One query to Prometheus."""
        self.queries.labels(verdict).inc()
        self.query_duration.observe(seconds)

    def decided(self, decision: Decision) -> None:
        """One decision."""
        self.decisions.labels(decision.status.reason or str(decision.status.phase)).inc()
        for note in decision.events:
            self.events.labels(note.type, note.reason).inc()

    def looked(self, looks: Sequence[LookResult], interval: float, now: float) -> None:
        """Looks that were asked for at the Unix time `now`, for an experiment with one every `interval` seconds."""
        for look in looks:
            for counts in look.services.values():
                result = counts.failure.value if isinstance(counts, Unmeasured) else "Counted"
                self.looks.labels(result).inc()
        if looks:
            self.lag.observe(max(0.0, now - looks[-1].ends_at - interval / 2))

    def reconciled(self, seconds: float) -> None:
        """One look."""
        self.duration.observe(seconds)

    @contextmanager
    def part(self, name: Part) -> Iterator[None]:
        """Times a part of a look, also one that fails."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self.took(name, time.monotonic() - begun)

    def took(self, name: Part, seconds: float, looks: int = 1) -> None:
        """Each of so many looks took so long for a part."""
        for _ in range(looks):
            self.parts.labels(name).observe(seconds)


class _Said(NamedTuple):
    """What the metrics say of one experiment."""

    phase: str
    stalled: bool
    info: tuple[str, ...]
    """Values of the labels of serin_experiment_info; none when it has ended."""


class _Condition(msgspec.Struct, frozen=True):
    type: str
    status: str


class _Status(msgspec.Struct, frozen=True, rename="camel"):
    phase: str = "Pending"
    reason: str = ""
    verdict: str = str(Status().verdict)
    ended_at: str = ""
    conditions: tuple[_Condition, ...] = ()


class _Experiment(msgspec.Struct, frozen=True):
    """What is read of an experiment."""

    status: _Status = _Status()


def _said(key: Key, kept: Kept) -> _Said:
    status = msgspec.json.decode(kept.text, type=_Experiment).status
    stalled = any(each.type == "Stalled" and each.status == "True" for each in status.conditions)
    # Thousands of experiments have some ten of these words.
    phase, reason, verdict = map(sys.intern, (status.phase, status.reason, status.verdict))
    return _Said(phase, stalled, () if status.ended_at else (*key, phase, reason, verdict))


METRICS = Metrics()


class Counted:
    """What the metrics say of the experiments in a store: of thousands only those are read again that have changed.

    Args:
        store: what is watched.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._said: dict[Key, tuple[Kept, _Said]] = {}

    def update(self) -> None:
        """Makes them say what the store holds now."""
        now = self._store.experiments.versions()
        for key in self._said.keys() - now.keys():
            _say(self._said.pop(key)[1], -1)
        for key, kept in now.items():
            known = self._said.get(key)
            if known is not None and known[0] is kept:
                continue
            said = _said(key, kept)
            if known is None or known[1] != said:
                if known is not None:
                    _say(known[1], -1)
                _say(said, 1)
            self._said[key] = kept, said


def _say(said: _Said, by: int) -> None:
    METRICS.experiments.labels(said.phase).inc(by)
    METRICS.stalled.inc(by * said.stalled)
    if said.info and by > 0:
        METRICS.info.labels(*said.info).set(1)
    elif said.info:
        METRICS.info.remove(*said.info)
