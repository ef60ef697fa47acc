"""Measures looks: one query for everybody who shares a Prometheus, the names of its series and the time of the look.

A hundred experiments that look at the same second must not be a hundred queries. The first who asks for a look asks for
all; who comes at the same time or later gets the same answer.
"""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Final

import structlog

from serin.api.spec import Metrics, PrometheusRef
from serin.engine.observation import History, MeasurementFailure, ServiceCounts, Unmeasured
from serin.metrics import queries
from serin.metrics.answers import Row, classify, shown
from serin.metrics.client import Client, QueryObserver
from serin.metrics.company import Company, Party
from serin.metrics.credentials import Access, access
from serin.metrics.history import read_history
from serin.metrics.keeper import KEPT_SECONDS, ReadSecret
from serin.metrics.latest import Latest
from serin.metrics.pace import MOST, Pace
from serin.metrics.presets import Naming, Values
from serin.metrics.rows import (
    BEFORE,
    ENDED,
    REQUESTS,
    SEEN,
    STEADY,
    Answer,
    Target,
    by_edge,
    series_of,
    service_counts,
    values_of,
)
from serin.metrics.sums import Sums

__all__ = ["MetricsSource", "Target"]

_KEPT: Final = 1024
_KEPT_SECONDS: Final = 30.0
"""For which an answer is kept from when it is there: after a start with thousands of experiments they look by turns."""
_FIRST_ROWS: Final = 140
"""Elements for one target until an answer has told: both variants with a large histogram."""

_LARGE: Final = 50
"""Targets from which on an answer takes megabytes while it is read."""

_FEW: Final = 2
"""Queries of a look that need not wait for their turn, unless they are large."""

_FORGET: Final = 0.9
"""Of the estimate, at each answer: one large histogram that is gone does not make small queries for ever."""

_log = structlog.get_logger("serin.metrics")

_Counts = dict[Target, ServiceCounts | Unmeasured]
_Key = tuple[Access, Metrics, float, float]


@dataclass(slots=True)
class _Shared:
    targets: set[Target]
    """Those who need not ask again: a failure that passes is asked again by the next look."""
    answers: _Counts
    task: asyncio.Task[None]
    since: float = math.inf
    """When it was answered, in monotonic seconds."""

    def counts(self, target: Target) -> ServiceCounts | Unmeasured | None:
        """Those of a target; None while they are to come, or when somebody has to ask again."""
        return None if math.isinf(self.since) or target not in self.targets else self.answers.get(target)

    def answered(self, task: "asyncio.Task[None]") -> None:
        self.since = time.monotonic()
        error = None if task.cancelled() else task.exception()
        if error is not None:
            _log.error("an answer can't be read", exc_info=error)
        if task.cancelled() or error is not None:
            self.targets.clear()
        self.targets -= {
            target
            for target, counts in self.answers.items()
            if isinstance(counts, Unmeasured) and counts.failure.passes
        }


@dataclass(slots=True)
class _Look:
    """The answers of one look."""

    parts: list[_Shared] = field(default_factory=list)
    of: dict[Target, _Shared] = field(default_factory=dict)
    """Where each target was asked for last."""


@dataclass(frozen=True, slots=True)
class _Asking:
    """How the queries for a party are asked.

    Attributes:
        party: for whom.
        query: asks the server (text, Unix time).
        company: where suspects wait for their turn.
        pace: where the others do, if their queries are large.
        timeout: seconds that a suspect waits, at the most.
    """

    party: Party
    query: Callable[[str, float], Awaitable[list[Row] | Unmeasured]]
    company: Company
    pace: Pace | None
    timeout: float

    async def ask(self, text: str, at: float) -> list[Row] | Unmeasured:
        """The answer to a query, when it is its turn."""
        if self.party.suspect:
            answer = await self.company.in_turn(partial(self._asked, text, at), self.timeout)
            return self._not_asked() if answer is None else answer
        if self.pace is not None:
            return await self.pace.ask(partial(self._asked, text, at), usual=self.party.free)
        return await self._asked(text, at)

    def _not_asked(self) -> Unmeasured:
        address = shown(self.party.targets[0].prometheus.address)
        text = (
            f"Prometheus at {address} is late with others that were asked for first; this is asked for at the next look"
        )
        return Unmeasured(MeasurementFailure.TIMEOUT, text)

    async def _asked(self, text: str, at: float) -> list[Row] | Unmeasured:
        answer = await self.query(text, at)
        self.party.take(answer)
        return answer


class MetricsSource:
    """Counts of looks from Prometheus. Make it inside the event loop that uses it.

    Args:
        executor: threads for the client library; None makes sixteen.
        timeout: seconds that one query may take.
        on_query: told (`Answered` or the failure, seconds) after each query.
        read_secret: reads the Secrets that experiments name for Prometheus; None where there are none to read.
        kept: seconds for which a Secret is not read again, unless Prometheus refuses what it holds.
    """

    def __init__(
        self,
        executor: ThreadPoolExecutor | None = None,
        timeout: float = 10.0,
        on_query: QueryObserver | None = None,
        read_secret: ReadSecret | None = None,
        kept: float = KEPT_SECONDS,
    ) -> None:
        self._client = Client(executor, timeout, on_query, read_secret, kept)
        self._shared: OrderedDict[_Key, _Look] = OrderedDict()
        self._rows = float(_FIRST_ROWS)
        self._sums = Latest[tuple[Access, Metrics], Sums](Sums)
        self._paces = Latest[Access, Pace](lambda: Pace(timeout))
        self._companies = Latest[Access, Company](Company)

    async def look(
        self, target: Target, everyone: Iterable[Target], ends_at: float, seconds: float
    ) -> ServiceCounts | Unmeasured:
        """The counts of `target` in the `seconds` that end at the Unix time `ends_at`.

        `everyone` is who else is asked for; it is read only if nobody has asked for this look yet.
        """
        shared = self._shared_by(target, everyone, ends_at, seconds)
        # One caller that is cancelled must not take the answer away from the others.
        try:
            await asyncio.shield(shared.task)
            counts = shared.answers[target]
        except Exception as error:  # noqa: BLE001 - whatever can't be read is a failed measurement, and no failed look
            counts = classify(error, target.prometheus.address, self._client.timeout)
        return counts

    async def looks(self, targets: Collection[Target], ends_at: float, seconds: float, most: float) -> _Counts:
        """The counts of those of `targets` that are answered within `most` seconds; others ask by `look`.

        It waits for each answer, and not for each target, which thousands of them would pay for.
        """
        asked = {each: self._shared_by(each, targets, ends_at, seconds) for each in targets}
        if asked:
            await asyncio.wait({shared.task for shared in asked.values()}, timeout=most)
        found = ((each, shared.counts(each)) for each, shared in asked.items())
        return {each: counts for each, counts in found if counts is not None}

    def answered(self, target: Target, ends_at: float, seconds: float) -> ServiceCounts | Unmeasured | None:
        """The counts of a look that need not be waited for; None when nobody has asked, or the answer is to come."""
        shared = self._join(_key(target, ends_at, seconds), target)
        return None if shared is None else shared.counts(target)

    def asked(self, target: Target, ends_at: float, seconds: float) -> bool:
        """Whether somebody has asked for this look, whose answer is under way or still there."""
        return self._join(_key(target, ends_at, seconds), target) is not None

    async def instant(
        self, ref: PrometheusRef, promql: str, at: float | None = None, *, namespace: str = ""
    ) -> list[Row] | Unmeasured:
        """One query that nobody shares, at a Unix time or now; `namespace` is where the Secrets of `ref` are."""
        return await self._client.query(access(ref, namespace), promql, time.time() if at is None else at)

    async def refused(self, ref: PrometheusRef, namespace: str) -> str:
        """Why the credentials of `ref` can't be used, as a sentence; empty when they can, or when it has none."""
        return await self._client.refused(access(ref, namespace))

    async def history(self, target: Target, until: float) -> History | Unmeasured:
        """The day of control before the Unix time `until`, its pods split in two."""
        return await read_history(self._client, target, until)

    def close(self) -> None:
        """Ends what is under way, connections and threads."""
        for shared in chain.from_iterable(kept.parts for kept in self._shared.values()):
            shared.task.cancel()
        self._shared.clear()
        self._client.close()

    def _shared_by(self, target: Target, everyone: Iterable[Target], ends_at: float, seconds: float) -> _Shared:
        key = _key(target, ends_at, seconds)
        there = self._join(key, target)
        return there or self._start(key, chain((target,), everyone)).of[target]

    def _join(self, key: _Key, target: Target) -> _Shared | None:
        kept = self._shared.get(key)
        shared = None if kept is None else kept.of.get(target)
        return None if shared is None or target not in shared.targets else shared

    def _expire(self) -> None:
        """Drops what nobody will ask for any more."""
        old = time.monotonic() - _KEPT_SECONDS
        while self._shared:
            first, kept = next(iter(self._shared.items()))
            since = max(each.since for each in kept.parts)
            if math.isinf(since) or (since >= old and len(self._shared) <= _KEPT):
                break
            del self._shared[first]

    def _start(self, key: _Key, candidates: Iterable[Target]) -> _Look:
        self._expire()
        allowed, metrics, ends_at, seconds = key
        of = self._shared[key].of if key in self._shared else {}
        asked = {target for target, shared in of.items() if target in shared.targets}
        fits = {each for each in candidates if (each.access, each.metrics) == (allowed, metrics)} - asked
        parties, pace = self._parties(fits)
        kept = self._shared.setdefault(key, _Look())
        for party in parties:
            answers: _Counts = {}
            task = asyncio.create_task(self._ask_party(party, pace, answers, ends_at, seconds))
            shared = _Shared(set(party.targets), answers, task)
            task.add_done_callback(shared.answered)
            kept.parts.append(shared)
            kept.of.update(dict.fromkeys(party.targets, shared))
        return kept

    def _parties(self, targets: Iterable[Target]) -> tuple[list[Party], Pace | None]:
        """Those who share a query; and the pace at which they are asked, if that matters."""
        ordered = sorted(targets, key=lambda each: (each.namespace, each.service, sorted(each.canary_names)))
        allowed = ordered[0].access
        pace, large = self._paces.of(allowed), len(ordered) > _LARGE
        size = max(1, int((pace.rows if large else MOST) // self._rows))
        parties = self._companies.of(allowed).parties(ordered, size, time.monotonic())
        return parties, pace if large or len(parties) > _FEW else None

    async def _ask_party(
        self, party: Party, pace: Pace | None, answers: _Counts, ends_at: float, seconds: float
    ) -> None:
        if party.refusal is not None:
            answers.update(dict.fromkeys(party.targets, party.refusal))
            return
        allowed = party.targets[0].access
        company = self._companies.of(allowed)
        asking = _Asking(party, partial(self._client.query, allowed), company, pace, self._client.timeout)
        try:
            await self._ask(asking, party.targets, answers, ends_at, seconds)
        finally:
            company.learn(party, time.monotonic(), seconds)

    async def _ask(
        self, asking: _Asking, targets: list[Target], answers: _Counts, ends_at: float, seconds: float
    ) -> None:
        """Asks for `targets` of a party; who is refused is halved, so that one target can't blind the others."""
        answer = Answer()
        try:
            text = look_query(targets, seconds)
        except ValueError as error:  # a label name that can't be in a query; all of them share it
            answer.problem = Unmeasured(MeasurementFailure.CLIENT_ERROR, f"metrics.labels: {error}")
        else:
            answer.problem = await self._fill(answer, asking, targets, text, ends_at)
            refused = answer.problem is not None and answer.problem.failure is MeasurementFailure.CLIENT_ERROR
            if refused and len(targets) > 1:
                half = len(targets) // 2
                await self._ask(asking, targets[:half], answers, ends_at, seconds)
                await self._ask(asking, targets[half:], answers, ends_at, seconds)
                return
        if answer.problem is None:
            await self._count_buckets(answer, asking, targets, ends_at, seconds)
            await self._ask_custom(targets, answer, ends_at, seconds)
        # Counts are kept and not the rows: those of a thousand experiments are tens of megabytes.
        answers.update((target, service_counts(target, answer, seconds)) for target in targets)

    async def _fill(
        self, answer: Answer, asking: _Asking, targets: list[Target], text: str, ends_at: float
    ) -> Unmeasured | None:
        """Takes in what Prometheus says, or says why there is nothing."""
        rows = await asking.ask(text, ends_at)
        if isinstance(rows, Unmeasured):
            return rows
        answer.take(targets[0].naming, rows)
        if asking.party.free:  # of one that is asked for alone the average would be of nobody else
            self._rows = max(1.0, len(rows) / len(targets), self._rows * _FORGET)
        return None

    async def _count_buckets(
        self, answer: Answer, asking: _Asking, targets: list[Target], ends_at: float, seconds: float
    ) -> None:
        """What the buckets counted: from their sums where nothing else happened, else series by series."""
        names, begins = targets[0].naming, ends_at - seconds
        sums = self._sums.of((targets[0].access, targets[0].metrics))
        asked = {each for target in targets for each in (*target.control, *target.canary)} & answer.sums.keys()
        steady = {each: series for each, series in answer.steady.items() if each in asked}
        unknown = {each for each, series in steady.items() if not sums.knows(each, begins, series)}
        if unknown:
            found = await asking.ask(sums_query(names, unknown, seconds, *_edges(targets)), begins)
            if not isinstance(found, Unmeasured):
                before = Answer()
                before.take(names, found)
                # The matchers of many match more than those.
                for variant in unknown & before.sums.keys():
                    sums.keep(variant, begins, before.sums[variant], before.seen.get(variant, math.nan))
        for variant, series in steady.items():
            rise = sums.rise(variant, begins, answer.sums[variant], series)
            # More was timed than there were requests: another replica of Prometheus has answered, or a late one.
            if rise is not None and rise.get(math.inf, 0.0) <= sum(answer.codes.get(variant, {}).values()):
                answer.buckets[variant] = rise
        for variant in asked:
            sums.keep(variant, ends_at, answer.sums[variant], answer.seen.get(variant, math.nan))
        if others := asked - answer.buckets.keys():
            await self._count_each(answer, asking, targets, sorted(others), ends_at, seconds)

    async def _count_each(
        self,
        answer: Answer,
        asking: _Asking,
        targets: list[Target],
        variants: list[Values],
        ends_at: float,
        seconds: float,
    ) -> None:
        """Series by series; what is refused is halved, so that one variant can't blind the others."""
        names = targets[0].naming
        text = queries.count(
            series_of(names, names.buckets, variants, *_edges(targets)), seconds, (*names.keys, queries.LE)
        )
        found = await asking.ask(text, ends_at)
        if not isinstance(found, Unmeasured):
            counts = by_edge(names, found)
            answer.buckets |= {each: counts[each] for each in variants if each in counts}
        elif found.failure is MeasurementFailure.CLIENT_ERROR and len(variants) > 1:
            half = len(variants) // 2
            await self._count_each(answer, asking, targets, variants[:half], ends_at, seconds)
            await self._count_each(answer, asking, targets, variants[half:], ends_at, seconds)
        else:
            answer.uncounted |= dict.fromkeys(variants, found)

    async def _ask_custom(self, targets: list[Target], answer: Answer, ends_at: float, seconds: float) -> None:
        """The users' own counters: one query for each selector, whoever shares it."""
        users: dict[str, list[Target]] = {}
        for target in targets:
            for selector in {text for each in target.custom for text in (each.good, each.total)}:
                users.setdefault(selector, []).append(target)

        async def ask(selector: str, who: list[Target]) -> None:
            labels = queries.variant_labels(who[0].metrics.labels)
            whose = {each for target in who for each in target.named(target.control_names | target.canary_names)}
            try:
                series = queries.narrowed(selector, *queries.each_of(labels, whose))
            except ValueError as error:
                answer.custom[selector] = Unmeasured(MeasurementFailure.CLIENT_ERROR, str(error))
                return
            rows = await self._client.query(who[0].access, queries.count(series, seconds, labels), ends_at)
            answer.custom[selector] = (
                rows if isinstance(rows, Unmeasured) else {values_of(labels, row): row.value for row in rows}
            )

        await asyncio.gather(*(ask(selector, who) for selector, who in users.items()))


def _key(target: Target, ends_at: float, seconds: float) -> _Key:
    """What those who share an answer have in common."""
    return target.access, target.metrics, ends_at, seconds


def look_query(targets: Sequence[Target], seconds: float) -> str:
    """Requests by code, request series before the look, sums of buckets: one answer, whose rows say which they are.

    A look that is longer than what a query looks back asks also who was still there at its end.

    Raises:
        ValueError: a label name that can't be in a query.
    """
    names = targets[0].naming
    by, whose = names.keys, {each for target in targets for each in (*target.control, *target.canary)}
    requests = series_of(names, names.requests, whose)
    parts = {
        REQUESTS: queries.count(requests, seconds, (*by, names.code)),
        BEFORE: queries.present(requests, seconds, by),
        STEADY: queries.steady(_histograms(names, whose), seconds, by),
    }
    if seconds > queries.PRESENT_SECONDS:
        parts[ENDED] = queries.present(requests, 0, by)
    return sums_query(names, whose, seconds, *_edges(targets), parts=parts)


def sums_query(
    names: Naming, whose: Collection[Values], seconds: float, *edges: str, parts: Mapping[str, str] | None = None
) -> str:
    """The sums of the buckets of `whose` in a look, how many histograms they are of, and other `parts`."""
    series = series_of(names, names.buckets, whose, *edges)
    seen = {SEEN: queries.seen(_histograms(names, whose), seconds, names.keys)}
    return queries.together(seen | dict(parts or {}), queries.sums(series, seconds, (*names.keys, queries.LE)))


def _histograms(names: Naming, whose: Collection[Values]) -> str:
    """One series of each histogram, which has all of its others with it."""
    return series_of(names, names.buckets, whose, queries.one_of(queries.LE, ["+Inf"]))


def _edges(targets: Sequence[Target]) -> tuple[str, ...]:
    """The matcher of the edges that are wanted, where all say which."""
    edges = {targets[0].naming.in_units(edge) for each in targets for edge in each.edges}
    return (queries.edge_matcher(edges),) if all(each.edges for each in targets) else ()
