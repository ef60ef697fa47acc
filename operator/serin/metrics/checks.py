"""What can be known of the measurements before traffic moves: a typo must not cost a rollout.

Every finding is a `Problem` whose sentence says what to write instead.
"""

import math
import re
from typing import Final

from serin.api.spec import Metrics, PrometheusRef, Spec
from serin.engine.observation import MeasurementFailure, Problem, Unmeasured
from serin.metrics import queries
from serin.metrics.answers import Row, shown
from serin.metrics.credentials import mistake
from serin.metrics.rows import edge_of, expected, series_of
from serin.metrics.source import MetricsSource, Target

_RECENT: Final = 300.0
_SHOWN: Final = 10
_METRIC_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


def unsupported(metrics: Metrics) -> Problem | None:
    """What can't be put into a query."""
    for name in (*queries.variant_labels(metrics.labels), metrics.labels.code, metrics.labels.pod):
        try:
            queries.label(name)
        except ValueError as error:
            return Problem("InvalidLabelName", f"metrics.labels: {error}")
    for field, metric in (("requests", metrics.requests), ("latency", metrics.latency)):
        if metric is not None and not _METRIC_NAME.fullmatch(metric):
            text = f"metrics.{field} is {metric!r}, which is not PromQL's name of a metric"
            return Problem("InvalidPromQL", f"{text}: write a name alone, like http_requests_total")
    return None


def unsupported_prometheus(ref: PrometheusRef) -> Problem | None:
    """What contradicts itself in how Prometheus is asked."""
    text = mistake(ref)
    return Problem("InvalidPrometheus", text) if text else None


async def edges(source: MetricsSource, target: Target) -> tuple[float, ...] | Unmeasured:
    """Control's histogram edges in seconds, ascending, without +Inf; empty when it has no histogram."""
    names = target.naming
    series = series_of(names, names.buckets, target.control)
    rows = await _instant(source, target, queries.present(series, 0, (queries.LE,), _RECENT))
    if isinstance(rows, Unmeasured):
        return rows
    found = {edge_of(names, row.labels.get(queries.LE, "")) for row in rows}
    return tuple(sorted(edge for edge in found if math.isfinite(edge)))


async def check(source: MetricsSource, target: Target, spec: Spec) -> tuple[Problem, ...]:
    """Everything that is wrong with the measurements of one service, worst first."""
    first = unsupported(target.metrics) or unsupported_prometheus(target.prometheus)
    if first is not None:
        return (first,)
    refused = await source.refused(target.prometheus, target.namespace)
    if refused:
        return (Problem("CredentialsUnusable", refused),)
    answer = await _instant(source, target, "vector(1)")
    if isinstance(answer, Unmeasured):
        return (_unreachable(answer, target),)
    custom = await _check_custom(source, target)
    requests = await _check_requests(source, target)
    latency = await _check_latency(source, target, spec) if requests is None else None
    return tuple(problem for problem in (*custom, requests, latency) if problem is not None)


async def _instant(source: MetricsSource, target: Target, promql: str) -> list[Row] | Unmeasured:
    return await source.instant(target.prometheus, promql, namespace=target.namespace)


async def _check_custom(source: MetricsSource, target: Target) -> list[Problem]:
    """The users' own selectors: PromQL that can be counted, and that control has series of."""
    found = []
    for guardrail in target.custom:
        for part, text in (("total", guardrail.total), ("good", guardrail.good)):
            problem = await _check_selector(source, target, f"guardrails.custom {guardrail.name}: {part}", text)
            if problem is not None:
                found.append(problem)
    return found


async def _check_selector(source: MetricsSource, target: Target, where: str, text: str) -> Problem | None:
    # Parentheses would let `a) or (b` pass; Prometheus's own words are about the text as written.
    answer = await _instant(source, target, text)
    if isinstance(answer, Unmeasured) and answer.failure is MeasurementFailure.CLIENT_ERROR:
        return Problem("InvalidPromQL", f"{where} is not PromQL: {answer.message}")
    if isinstance(answer, Unmeasured) and answer.failure.passes:
        return _unreachable(answer, target)
    own = target.named(target.control_names)
    owner = queries.each_of(queries.variant_labels(target.metrics.labels), own)
    try:
        series, anywhere = queries.narrowed(text, *owner), queries.narrowed(text)
    except ValueError as error:
        return Problem("InvalidPromQL", f"{where}: {error}")
    rows = await _instant(source, target, queries.present(series, 0, (), _RECENT))
    if isinstance(rows, Unmeasured):
        return _unreachable(rows, target)
    if rows:
        return None
    # Nothing to count would be 0 of 0 at every look, and the stage would wait for traffic without end.
    others = await _instant(source, target, queries.present(anywhere, 0, (), _RECENT))
    none = isinstance(others, Unmeasured) or not others
    hint = (
        f"there is no series of {text} at all: correct the selector" if none else "others have it: correct its labels"
    )
    name = f"{target.service}: {where} gave nothing for control in the last {_RECENT / 60:g} minutes ({series})"
    return Problem("NoCustomSeries", f"{name}; {hint}. A counter that has not counted yet appears with its first event")


async def _check_requests(source: MetricsSource, target: Target) -> Problem | None:
    names = target.naming
    series = series_of(names, names.requests, target.control)
    rows = await _instant(source, target, queries.present(series, 0, (names.code,), _RECENT))
    if isinstance(rows, Unmeasured):
        return _unreachable(rows, target)
    what = expected(target, target.control)
    if any(not row.labels.get(names.code) for row in rows):
        text = f"{what} has no label {names.code}, so errors can't be told"
        return Problem("NoCodeLabel", f"{text}: write the label with the status code into metrics.labels.code")
    if rows:
        return None
    text = f"{target.service}: Prometheus at {shown(target.prometheus.address)} has no series {what} of control"
    return Problem("NoRequestSeries", f"{text}; {await _nearest(source, target)}")


async def _nearest(source: MetricsSource, target: Target) -> str:
    """What there is instead, from the first label that is as expected and the next that is not."""
    names = target.naming
    narrow = [queries.one_of(name, [value]) for name, value in names.always]
    for index, label in enumerate(names.keys):
        series = queries.selector(names.requests, *narrow)
        rows = await _instant(source, target, queries.present(series, 0, (label,), _RECENT))
        if isinstance(rows, Unmeasured):
            break
        if not rows:
            return f"it has no {names.requests} at all: {names.absent} Other names go into metrics.requests"
        found = sorted({row.labels.get(label, "") for row in rows})
        wanted = {each[index] for each in target.control}
        if not wanted & set(found):
            seen = ", ".join(each or "(no such label)" for each in found[:_SHOWN])
            hint = names.absent[:1].upper() + names.absent[1:]
            return f"it has {label}: {seen}. {hint} Label names go into metrics.labels"
        narrow.append(queries.one_of(label, wanted))
    return names.absent


async def _check_latency(source: MetricsSource, target: Target, spec: Spec) -> Problem | None:
    found = await edges(source, target)
    if isinstance(found, Unmeasured):
        return _unreachable(found, target)
    names = target.naming
    name = names.buckets
    if not found:
        text = f"{target.service}: control has no histogram {name} with the labels of its requests"
        return Problem("NoLatencySeries", f"{text}: write the histogram's name into metrics.latency")
    limit = spec.guardrails.latency_p95.max
    if limit.seconds in found:
        return None
    have = ", ".join(f"{edge:g}" for edge in found)
    text = f"{target.service}: no bucket at guardrails.latencyP95.max, {limit}, in {name} (found: {have} s)"
    wanted = [f"{edge:g}" for edge in sorted({names.in_units(edge) for edge in (*found, limit.seconds)})]
    hint = names.bucket.format(edge=f"{names.in_units(limit.seconds):g}", edges=",".join(wanted))
    return Problem("HistogramEdgeMissing", f"{text}: {hint}, or change latencyP95.max to one of them")


def _unreachable(answer: Unmeasured, target: Target) -> Problem:
    if answer.failure is MeasurementFailure.UNAUTHORIZED:
        return Problem("PrometheusUnauthorized", answer.message)
    text = f"{answer.message}; prometheus.address is {shown(target.prometheus.address)}"
    hint = "write the address of a Prometheus that answers, like http://prometheus.monitoring:9090"
    return Problem("PrometheusUnreachable", f"{text}: {hint}")
