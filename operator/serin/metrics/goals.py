"""Reads goals: sums over users by variant and segment, from the series of Serin's services or by the user's queries.

Rows in, `GoalReading` or `Unmeasured` out. Sums that contradict each other, rows that would be counted twice and
figures that are old are no reading: a goal without one waits.
"""

import asyncio
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from serin.api.names import CANARY, CONTROL
from serin.api.spec import Goal, MetricLabels, Service, Spec, canary_name
from serin.engine.goals.schedule import goal_problems
from serin.engine.observation import GoalReading, MeasurementFailure, Problem, Unmeasured
from serin.metrics import queries
from serin.metrics.answers import Row, shown
from serin.metrics.source import MetricsSource
from serin.stats.goals import Moments

USERS: Final = "serin_goal_users"
SUM: Final = "serin_goal_sum"
SQUARES: Final = "serin_goal_sum_of_squares"
AGE: Final = "serin_goals_age_seconds"
"""How old a pod's figures are; pods compute them about once a minute."""

_PARTS: Final = (USERS, SUM, SQUARES)
_OLDEST: Final = 600.0
"""Seconds that figures may be old."""
_STAGE: Final = "$stage"
"""In a query: replaced by the time since the stage began, like `86400s`."""
_SEGMENT: Final = "segment"
_EXPORTED: Final = "exported_"
"""What Prometheus puts before a series' own label when the target has one of that name."""
_SEEN: Final = 10

_Cell = tuple[str, str]
"""Variant (`control` or `canary`) and segment (empty when there is none)."""


@dataclass(frozen=True, slots=True)
class _Roles:
    """Which values of the variant label mean control, and which the canary."""

    label: str
    control: frozenset[str]
    canary: frozenset[str]

    def of(self, value: str) -> str:
        """`control`, `canary`, or empty for somebody else's."""
        return CONTROL if value in self.control else CANARY if value in self.canary else ""


async def read_goals(
    source: MetricsSource, spec: Spec, namespace: str, at: float, stage_seconds: float
) -> dict[str, GoalReading | Unmeasured]:
    """The reading of each goal of `spec` at a Unix time, by the goal's name.

    Args:
        source: asks Prometheus.
        spec: the experiment.
        namespace: of the experiment.
        at: Unix time; everything is read as of then.
        stage_seconds: wall-clock seconds since the stage began, for `$stage` in queries.
    """
    answers = await _ask(source, spec, namespace, at, stage_seconds)
    return {goal.name: _reading(spec, goal, answers, at) for goal in spec.goals}


async def check_goals(source: MetricsSource, spec: Spec, namespace: str) -> tuple[Problem, ...]:
    """What is wrong with the goals, before traffic moves: each with a sentence that says what to write instead."""
    wrong = goal_problems(spec)
    if wrong or not spec.goals:
        return wrong
    answers = await _ask(source, spec, namespace, None, 300.0)
    return tuple(problem for goal in spec.goals for problem in _problems(spec, goal, answers))


class _Answers:
    """What Prometheus said: one answer for the series of Serin's services, one for each text of the users'."""

    def __init__(self, own: list[Row] | Unmeasured, texts: Mapping[str, list[Row] | Unmeasured]) -> None:
        self.own = own
        self.texts = texts


async def _ask(source: MetricsSource, spec: Spec, namespace: str, at: float | None, stage_seconds: float) -> _Answers:
    preset = [goal for goal in spec.goals if goal.count is None]
    texts = sorted({_expanded(text, stage_seconds) for goal in spec.goals for text in _texts(goal)})
    own = _preset_query(spec, preset, namespace) if preset else "vector(0)"
    asked = [own, *texts] if preset else texts
    results = await asyncio.gather(*(source.instant(spec.prometheus, text, at, namespace=namespace) for text in asked))
    answers = dict(zip(asked, results, strict=True))
    known = {text: answers[_expanded(text, stage_seconds)] for goal in spec.goals for text in _texts(goal)}
    return _Answers(answers.get(own, []), known)


def _preset_query(spec: Spec, goals: Iterable[Goal], namespace: str) -> str:
    """One query for all goals that have none of their own; the age has no label `goal`, which equals an empty one."""
    goals = tuple(goals)
    labels = spec.metrics.labels
    services = {_service(spec, goal).name for goal in goals}
    matchers = (
        queries.one_of(labels.namespace, [namespace]),
        queries.one_of(labels.service, services),
        queries.one_of("goal", {*(_metric_goal(goal) for goal in goals), ""}),
    )
    names = "|".join(queries.literal(name) for name in (*_PARTS, AGE))
    return "{" + ",".join((f"__name__=~{queries.string(names)}", *matchers)) + "}"


def _reading(spec: Spec, goal: Goal, answers: _Answers, at: float) -> GoalReading | Unmeasured:
    roles = _roles(spec, goal)
    if goal.count is None:
        if isinstance(answers.own, Unmeasured):
            return answers.own
        return _from_preset(spec, goal, roles, answers.own, at)
    parts: list[dict[_Cell, float]] = []
    for text in _texts(goal):
        rows = answers.texts[text]
        if isinstance(rows, Unmeasured):
            return rows
        try:
            parts.append(_cells(rows, roles, goal.segment_label or ""))
        except ValueError as error:
            return Unmeasured(MeasurementFailure.CLIENT_ERROR, f"goal {goal.name}: {error}")
    return _combined(goal, (parts[0], parts[1], parts[2]), at)


def _from_preset(spec: Spec, goal: Goal, roles: _Roles, rows: list[Row], at: float) -> GoalReading | Unmeasured:
    """Every pod exports the same figures of all users, so those of one pod are taken: the youngest."""
    service, labels = _service(spec, goal).name, spec.metrics.labels
    by_pod: dict[tuple[str, str], list[Row]] = defaultdict(list)
    ages: dict[tuple[str, str], float] = {}
    for row in rows:
        pod = row.labels.get("pod", ""), row.labels.get("instance", "")
        if _own(row, labels.service) != service:
            continue
        if row.labels.get("__name__") == AGE:
            ages[pod] = row.value
        elif row.labels.get("goal") == _metric_goal(goal):
            by_pod[pod].append(row)
    if not by_pod:
        text = f"goal {goal.name}: no series {USERS}{{{labels.service}={queries.string(service)}"
        return Unmeasured(MeasurementFailure.EMPTY, f"{text},goal={queries.string(_metric_goal(goal))}}}")
    fresh = {pod: ages.get(pod, math.inf) for pod in by_pod}
    pod = min(sorted(fresh), key=lambda each: fresh[each])
    if not fresh[pod] <= _OLDEST:
        age = f"{fresh[pod]:.0f} s old" if math.isfinite(fresh[pod]) else f"of unknown age (no series {AGE})"
        return Unmeasured(MeasurementFailure.GAP, f"goal {goal.name}: the figures of {service} are {age}")
    parts = []
    for name in _PARTS:
        own = [row for row in by_pod[pod] if row.labels.get("__name__") == name]
        try:
            parts.append(_cells(own, roles, goal.segment_label or _SEGMENT))
        except ValueError as error:
            return Unmeasured(MeasurementFailure.CLIENT_ERROR, f"goal {goal.name}: {error}")
    return _combined(goal, (parts[0], parts[1], parts[2]), at)


def _cells(rows: Iterable[Row], roles: _Roles, segment: str) -> dict[_Cell, float]:
    """Values by variant and segment.

    Raises:
        ValueError: two rows of one variant and segment; a sentence for the user.
    """
    found: dict[_Cell, float] = {}
    for row in rows:
        role = roles.of(_own(row, roles.label))
        cell = role, _own(row, segment) if segment else ""
        if role and cell in found:
            by = ", ".join(filter(None, (roles.label, segment)))
            raise ValueError(f"several rows of {role}: write sum by ({by}) (...), or max where all pods say the same")
        if role:
            found[cell] = row.value
    return found


def _combined(
    goal: Goal, parts: tuple[dict[_Cell, float], dict[_Cell, float], dict[_Cell, float]], at: float
) -> GoalReading | Unmeasured:
    counts, totals, squares = parts
    if not set(counts) == set(totals) == set(squares):
        text = f"goal {goal.name}: count, sum and sumOfSquares are not of the same variants and segments"
        return Unmeasured(MeasurementFailure.PARTIAL, text)
    for role in (CONTROL, CANARY):
        if not any(cell[0] == role for cell in counts):
            return Unmeasured(MeasurementFailure.EMPTY, f"goal {goal.name}: no rows of {role}")
    sums: dict[_Cell, Moments] = {}
    for cell, value in counts.items():
        try:
            sums[cell] = Moments(value, totals[cell], squares[cell])
        except ValueError as error:
            return Unmeasured(MeasurementFailure.NAN, f"goal {goal.name}, {cell[0]}: {error}")
    whole = {role: sum((each for cell, each in sums.items() if cell[0] == role), Moments(0, 0, 0)) for role in _BOTH}
    nobody = Moments(0, 0, 0)
    names = sorted({cell[1] for cell in sums if cell[1]})
    segments = {name: (sums.get((CONTROL, name), nobody), sums.get((CANARY, name), nobody)) for name in names}
    return GoalReading(whole[CONTROL], whole[CANARY], at, segments)


_BOTH: Final = (CONTROL, CANARY)


def _problems(spec: Spec, goal: Goal, answers: _Answers) -> list[Problem]:
    """A typing error must not be found at the end of a stage of two weeks."""
    address = shown(spec.prometheus.address)
    if goal.count is None:
        if isinstance(answers.own, Unmeasured):
            return [Problem("PrometheusUnreachable", answers.own.message)]
        reading = _reading(spec, goal, answers, 0.0)
        no_canary = isinstance(reading, Unmeasured) and reading.message.endswith(f"no rows of {CANARY}")
        if isinstance(reading, GoalReading) or no_canary:
            return []
        hint = f"is the name right, and has a user of control a figure yet? Prometheus is {address}"
        hint += "; or write count, sum and sumOfSquares"
        return [Problem("NoGoalSeries", f"{reading.message}: {hint}")]
    roles = _roles(spec, goal)
    for field, text in zip(("count", "sum", "sumOfSquares"), _texts(goal), strict=True):
        rows, where = answers.texts[text], f"goal {goal.name}: {field}"
        if isinstance(rows, Unmeasured):
            reason = "InvalidPromQL" if rows.failure is MeasurementFailure.CLIENT_ERROR else "PrometheusUnreachable"
            return [Problem(reason, f"{where}: {rows.message}")]
        try:
            cells = _cells(rows, roles, goal.segment_label or "")
        except ValueError as error:
            return [Problem("InvalidGoal", f"{where}: {error}")]
        if not any(role == CONTROL for role, _ in cells):
            found = sorted({_own(row, roles.label) or "(no such label)" for row in rows})[:_SEEN]
            seen = f"it has {roles.label}: {', '.join(found)}" if found else "it has no rows at all"
            names = " or ".join(sorted(roles.control))
            wanted = f"{where} has no rows of control ({roles.label}={names}) in {address}"
            return [Problem("NoGoalSeries", f"{wanted}; {seen}")]
    return []


def _texts(goal: Goal) -> tuple[str, ...]:
    return tuple(text for text in (goal.count, goal.sum, goal.sum_of_squares) if text is not None)


def _expanded(text: str, stage_seconds: float) -> str:
    return text.replace(_STAGE, queries.span(max(1.0, stage_seconds)))


def _metric_goal(goal: Goal) -> str:
    """The goal's name as metrics have it: a Kubernetes name has no underscores."""
    return goal.name.replace("-", "_")


def _service(spec: Spec, goal: Goal) -> Service:
    return spec.service(goal.service) if goal.service is not None else spec.services[0]


def _labels(spec: Spec, goal: Goal) -> MetricLabels:
    return (_service(spec, goal).metrics or spec.metrics).labels


def _roles(spec: Spec, goal: Goal) -> _Roles:
    """A goal without a service may be labelled with the Deployments of any of them."""
    services = spec.services if goal.service is None else (_service(spec, goal),)
    return _Roles(
        queries.label(_labels(spec, goal).variant),
        frozenset({CONTROL, *(service.control.deployment for service in services)}),
        frozenset({CANARY, *(canary_name(service) for service in services)}),
    )


def _own(row: Row, label: str) -> str:
    """The series' own value of a label: the variant that served a user, not that of the pod that says so."""
    return row.labels.get(f"{_EXPORTED}{label}", row.labels.get(label, ""))
