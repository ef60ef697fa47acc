"""Makes counts of what Prometheus answered, or says why these rows are no measurement.

Pure: rows in, `ServiceCounts` or `Unmeasured` out. Everything doubtful (absent, fractional, contradictory) is
Unmeasured; a zero is only given where the series that would have counted exists.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import itemgetter
from typing import Final

from serin.api.names import CANARY, CONTROL
from serin.api.spec import CustomGuardrail, Metrics, PrometheusRef
from serin.engine.observation import MeasurementFailure, ServiceCounts, Unmeasured, VariantCounts
from serin.metrics import queries
from serin.metrics.answers import Row
from serin.metrics.credentials import Access, access
from serin.metrics.presets import Naming, Sides, Values, naming

REQUESTS: Final = "requests"
BEFORE: Final = "before"
ENDED: Final = "ended"
SEEN: Final = "seen"
STEADY: Final = "steady"
"""The parts of an answer that have a name; what has none are the buckets."""

_TOLERANCE: Final = 1e-6


@dataclass(frozen=True)
class Target:
    """One service of one experiment, and how it is measured."""

    namespace: str
    service: str
    control_names: frozenset[str]
    """Accepted values of the variant label: the role `control` and the Deployment's name."""
    canary_names: frozenset[str]
    edges: tuple[float, ...] = ()
    """Histogram edges wanted, in seconds, ascending; empty: all that there are."""
    custom: tuple[CustomGuardrail, ...] = ()
    metrics: Metrics = field(default_factory=Metrics)
    prometheus: PrometheusRef = field(default_factory=PrometheusRef)
    sides: Sides | None = None
    """Whose series are whose, where the preset has other labels than those; None: by the names."""

    @property
    def naming(self) -> Naming:
        """How its series are called."""
        return naming(self.metrics)

    @property
    def control(self) -> list[Values]:
        """The label values of control's series."""
        return self.named(self.control_names) if self.sides is None else sorted(self.sides[0])

    @property
    def canary(self) -> list[Values]:
        """The label values of the canary's series."""
        return self.named(self.canary_names) if self.sides is None else sorted(self.sides[1])

    @cached_property
    def access(self) -> Access:
        """Whom it is measured by, and with whose credentials."""
        return access(self.prometheus, self.namespace)

    def __hash__(self) -> int:
        # Of what tells targets apart: hashing all of it at each look costs more than the rare look at an equal hash.
        return hash((self.namespace, self.service, self.control_names, self.canary_names))

    def named(self, names: Iterable[str]) -> list[Values]:
        """Series of the service's own: namespace, service, and one of `names`."""
        return [(self.namespace, self.service, name) for name in sorted(names)]


@dataclass(slots=True)
class Answer:
    """What one group of queries gave for one look, by variant. `problem` stands for all of it."""

    problem: Unmeasured | None = None
    codes: dict[Values, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    sums: dict[Values, dict[float, float]] = field(default_factory=dict)
    """By edge, the last values of the buckets in the look."""
    seen: dict[Values, float] = field(default_factory=dict)
    """How many histograms have a sample in the look."""
    steady: dict[Values, float] = field(default_factory=dict)
    """Those whose buckets did nothing but count: how many histograms they are."""
    buckets: dict[Values, dict[float, float]] = field(default_factory=dict)
    """By edge, what was counted in the look."""
    uncounted: dict[Values, Unmeasured] = field(default_factory=dict)
    """Those whose buckets could not be counted, while all else was."""
    before: set[Values] = field(default_factory=set)
    ended: set[Values] = field(default_factory=set)
    """Who was seen shortly before the end of a long look; the counts of a short one tell."""
    custom: dict[str, dict[Values, float] | Unmeasured] = field(default_factory=dict)
    """By the user's selector."""

    def take(self, names: Naming, rows: Iterable[Row]) -> None:
        """Sorts rows by their part and variant: tens of thousands of them, and every look waits for it."""
        keys, code = names.keys, names.code
        buckets: list[Row] = []
        for row in rows:
            label = row.labels.get
            part = label(queries.PART)
            if part is None:
                # Nearly all of the rows.
                buckets.append(row)
                continue
            variant = values_of(keys, row)
            if part == STEADY:
                self.steady[variant] = row.value
            elif part == SEEN:
                self.seen[variant] = row.value
            elif part == REQUESTS:
                self.codes[variant][label(code, "")] = row.value
            elif part == BEFORE:
                self.before.add(variant)
            elif part == ENDED:
                self.ended.add(variant)
        self.sums = by_edge(names, buckets)


class NotCountedError(Exception):
    """Carries the `Unmeasured` that ends the reading of one service."""

    def __init__(self, failure: MeasurementFailure, message: str) -> None:
        super().__init__(message)
        self.unmeasured = Unmeasured(failure, message)


def values_of(labels: Sequence[str], row: Row) -> Values:
    """Whose a row is; absent labels are empty, as in Prometheus."""
    return tuple([row.labels.get(name, "") for name in labels])


def expected(target: Target, variants: Sequence[Values]) -> str:
    """The series of a variant as a person would type them."""
    names, matchers = target.naming, [f"{name}={queries.string(value)}" for name, value in target.naming.always]
    for index, name in enumerate(names.keys):
        found = sorted({each[index] for each in variants})
        sign = "=" if len(found) == 1 else "=~"
        matchers.append(f"{name}{sign}{queries.string('|'.join(found))}")
    return f"{names.requests}{{{','.join(matchers)}}}"


def series_of(names: Naming, metric: str, variants: Collection[Values], *more: str) -> str:
    """The selector of a metric's series of `variants`; `more` are further matchers."""
    always = (queries.one_of(name, [value]) for name, value in names.always)
    return queries.selector(metric, *always, *queries.each_of(names.keys, variants), *more)


def service_counts(target: Target, answer: Answer, seconds: float) -> ServiceCounts | Unmeasured:
    """Both variants of `target` from `answer`."""
    if answer.problem is not None:
        return answer.problem
    try:
        control = _seen(target, answer, target.control_names, CONTROL, seconds)
        _began(target, answer)
        _lasted(target, answer, seconds)
        canary = _seen(target, answer, target.canary_names, CANARY, seconds)
        edges = _edges(target, answer)
        return ServiceCounts(
            control=_variant(target, answer, control, target.control_names, edges),
            canary=_variant(target, answer, canary, target.canary_names, edges),
        )
    except NotCountedError as none:
        return none.unmeasured


def _seen(target: Target, answer: Answer, names: frozenset[str], role: str, seconds: float) -> list[Values]:
    """The series of a variant; refuses one without a request series, or with one that has no error code.

    A variant with no names is not asked for: while baking, one of the two serves everything.
    """
    if not names:
        return []
    variants = target.control if role == CONTROL else target.canary
    if not variants:
        text = f"{target.service}: the route does not tell which series of {target.naming.requests} are {role}'s"
        raise NotCountedError(MeasurementFailure.EMPTY, f"{text}: correct the route")
    codes = [code for variant in variants for code in answer.codes.get(variant, ())]
    if codes and "" not in codes:
        return variants
    what = expected(target, variants)
    if not codes and answer.before.intersection(variants):
        text = f"{target.service}: no sample of {role} in the last {seconds:g} s ({what}), though there were before"
        hint = "are its pods up, scraped at least once per analysis.interval, and labelled as before?"
        raise NotCountedError(MeasurementFailure.GAP, f"{text}: {hint}")
    if not codes:
        text = f"{target.service}: no series {what} of {role} in the last {seconds:g} s"
        hint = target.naming.absent
        raise NotCountedError(MeasurementFailure.EMPTY, f"{text}: {hint}")
    name = target.naming.code
    text = f"{target.service}: {what} of {role} has no label {name}, so errors can't be told"
    hint = "write the name of the label with the status code into metrics.labels.code"
    raise NotCountedError(MeasurementFailure.EMPTY, f"{text}: {hint}")


def _began(target: Target, answer: Answer) -> None:
    """Refuses a look before which control was not seen: after an outage every baseline may be missing."""
    if answer.before.intersection(target.control):
        return
    raise NotCountedError(
        MeasurementFailure.GAP,
        f"{target.service}: Prometheus has no sample of control from the {queries.PRESENT_SECONDS:g} s before"
        f" this look ({expected(target, target.control)}), so what was counted in it is not known",
    )


def _lasted(target: Target, answer: Answer, seconds: float) -> None:
    """Refuses a long look whose end was not scraped: its counts are of a part of it, and its length is none.

    Long looks make up for many that were missed. Where the clock of the operator has gone ahead, they end in a time
    that Prometheus does not know yet.
    """
    if seconds <= queries.PRESENT_SECONDS or answer.ended.intersection(target.control):
        return
    what = expected(target, target.control)
    text = f"{target.service}: no sample of control at the end of a look of {seconds:g} s ({what})"
    raise NotCountedError(MeasurementFailure.GAP, f"{text}: are its pods scraped, and is the operator's clock right?")


def _edges(target: Target, answer: Answer) -> tuple[float, ...]:
    """The edges of both variants: those wanted, or all of control's."""
    if target.edges:
        return tuple(sorted(target.edges))
    for variants in (target.control, target.canary):
        found = {edge for variant in variants for edge in answer.buckets.get(variant, ())}
        if found:
            return tuple(sorted(edge for edge in found if math.isfinite(edge)))
    return ()


def _variant(
    target: Target, answer: Answer, variants: list[Values], names: frozenset[str], edges: tuple[float, ...]
) -> VariantCounts:
    if not variants:
        return VariantCounts(0, 0)
    requests = errors = 0
    for variant in variants:
        for code, value in answer.codes.get(variant, {}).items():
            counted = _whole(target, target.naming.requests, value)
            requests += counted
            errors += counted if len(code) == 3 and code[0] == "5" else 0  # noqa: PLR2004 - 5xx
    within, timed = _timed(target, answer, variants, edges, answered=requests - errors)
    custom = tuple(_custom(target, answer, each, target.named(names)) for each in target.custom)
    return VariantCounts(requests, errors, edges, within, timed, custom)


def _timed(
    target: Target, answer: Answer, variants: list[Values], edges: tuple[float, ...], *, answered: int
) -> tuple[tuple[int, ...], int]:
    """Requests within each edge, and all in the histogram."""
    name = target.naming.buckets
    sums: dict[float, int] = defaultdict(int)
    for variant in variants:
        if (none := answer.uncounted.get(variant)) is not None:
            raise NotCountedError(none.failure, none.message)
        for edge, value in answer.buckets.get(variant, {}).items():
            # Nearly all of thousands: a count is what it should be.
            sums[edge] += int(value) if value >= 0 and value.is_integer() else _whole(target, name, value)
    # A variant that only failed may have timed nothing; its errors must count nevertheless.
    if not sums and not answered:
        return (0,) * len(edges), 0
    names = "|".join(variant[-1] or variant[-2] for variant in variants)
    if math.inf not in sums or not edges:
        text = f"{target.service}: requests of {names} were counted but not timed: no series {name} with its labels"
        hint = "write the histogram's name into metrics.latency"
        raise NotCountedError(MeasurementFailure.EMPTY, f"{text}: {hint}")
    if missing := [edge for edge in edges if edge not in sums]:
        text = f"{target.service}: {name} of {names} has no bucket at {missing[0]:g} s, which is judged"
        raise NotCountedError(MeasurementFailure.EMPTY, f"{text}: give both variants the same buckets")
    line = [*(sums[edge] for edge in edges), sums[math.inf]]
    if line != sorted(line):
        text = f"{target.service}: the buckets of {name} of {names} contradict each other in this look"
        hint = "a container restarted in it, or its pods have different buckets"
        raise NotCountedError(MeasurementFailure.GAP, f"{text}: {hint}")
    return tuple(line[:-1]), line[-1]


def _custom(target: Target, answer: Answer, guardrail: CustomGuardrail, variants: list[Values]) -> tuple[str, int, int]:
    """(name, total, bad) of one variant. No total is nothing to judge; a `good` that nobody has is a wrong selector."""
    total_rows = _rows(answer, guardrail.total)
    good_rows = _rows(answer, guardrail.good)
    total = sum(_whole(target, guardrail.total, total_rows.get(variant, 0.0)) for variant in variants)
    good = sum(_whole(target, guardrail.good, good_rows.get(variant, 0.0)) for variant in variants)
    both = target.named(target.control_names | target.canary_names)
    name = f"{target.service}: guardrail {guardrail.name}"
    if total and not any(variant in good_rows for variant in both):
        text = f"{name}: `total` counts, but there is no series of `good` ({guardrail.good})"
        raise NotCountedError(MeasurementFailure.EMPTY, f"{text}: correct the selector")
    if good > total:
        text = f"{name}: `good` counted {good}, more than `total` with {total}"
        raise NotCountedError(MeasurementFailure.NAN, f"{text}: `good` must be a part of `total`")
    return guardrail.name, total, total - good


def _rows(answer: Answer, selector: str) -> dict[Values, float]:
    rows = answer.custom.get(selector, {})
    if isinstance(rows, Unmeasured):
        raise NotCountedError(rows.failure, rows.message)
    return rows


def _whole(target: Target, name: str, value: float) -> int:
    """A count is a whole number that is not negative, or it is not a count."""
    if not math.isfinite(value):
        text = f"{target.service}: {name} is not a number in this look"
        raise NotCountedError(MeasurementFailure.NAN, text)
    nearest = round(value)
    if nearest < 0 or abs(value - nearest) > _TOLERANCE:
        text = f"{target.service}: {name} counted {value:g}, which is no count: use a counter of events"
        raise NotCountedError(MeasurementFailure.NAN, text)
    return nearest


def by_edge(names: Naming, rows: Iterable[Row]) -> dict[Values, dict[float, float]]:
    """Rows of buckets by variant and edge in seconds."""
    edges: dict[str, float] = {}
    # Of one name it would get a value and no tuple; the second is then left out again.
    all_keys, last = itemgetter(*names.keys, names.keys[-1]), len(names.keys)
    found: defaultdict[Values, dict[float, float]] = defaultdict(dict)
    for row in rows:
        labels = row.labels
        text = labels.get(queries.LE, "")
        edge = edges.get(text)
        if edge is None:
            edge = edges[text] = edge_of(names, text)
        try:
            values = found[all_keys(labels)[:last]]
        except KeyError:
            values = found[values_of(names.keys, row)]
        # `1` and `1.0` are one edge, from pods of different client libraries.
        values[edge] = values.get(edge, 0.0) + float(row.sample[1])
    return dict(found)


def edge_of(names: Naming, text: str) -> float:
    """A bucket's upper bound in seconds; NaN where the label is absent or wrong."""
    try:
        return names.in_seconds(float(text))
    except ValueError:
        return math.nan
