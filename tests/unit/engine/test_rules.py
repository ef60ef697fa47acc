"""The policy, rule by rule, and the order of its chains."""

import dataclasses
from collections.abc import Callable
from typing import Literal

import msgspec
import pytest

from serin.api.names import APPROVE
from serin.api.spec import Goal, HTTPRouteRef, Traffic
from serin.api.status import Condition, GoalStatus, GuardrailStatus, Phase, ServiceStatus, Status, Step, VerdictName
from serin.engine import holds, rollbacks, run, stays
from serin.engine.evidence import Counted, Failing
from serin.engine.goals import record as goal_record
from serin.engine.observation import (
    LookResult,
    MeasurementFailure,
    Observation,
    RouteReading,
    ServiceObservation,
    Unmeasured,
    Workload,
)
from serin.engine.rules import HOLDS, ROLLS_BACK, STAYS, Case, Rule, first
from serin.engine.wording import timestamp
from serin.stats import SampleRatio
from tests.unit.engine.worlds import spec

NOW = 1_700_000_000.0
_NOTHING = Counted({}, {}, VerdictName.NONE, (), (), NOW, 0.0, 0.0)
_FAILING = Failing("rec", "errorRate", "rec: canary 5%; rule max, evidence 3x its limit")


def _workload(name: str) -> Workload:
    return Workload(name, name, 1, 1, 10, 10, 10, 10, 10, name)


def _case() -> Case:
    """A last stage that has nothing left to wait for: no rule finds anything."""
    wanted = spec(promotion={"approval": "Manual"}, stages=[{"name": "ab", "weight": 50, "duration": "2m"}])
    seen = Observation(
        uid="u",
        namespace="shop",
        name="phase4",
        generation=1,
        finalizer=True,
        annotations={APPROVE: "ab"},
        services=tuple(
            ServiceObservation(each.name, _workload("control"), _workload("canary"), RouteReading(50.0, True, "1"))
            for each in wanted.services
        ),
    )
    judged = (GuardrailStatus(name="errorRate", verdict="Healthy", summary=""),)
    status = Status(
        phase=Phase.PROGRESSING,
        stage="ab",
        weight=50,
        verdict=VerdictName.HEALTHY,
        stage_seconds=120.0,
        services=tuple(ServiceStatus(name=each.name, guardrails=judged) for each in wanted.services),
        checkpoint={f"{each.name}/_samples": "500,500" for each in wanted.services},
    )
    status = msgspec.structs.replace(status, run_id=run.run_id(wanted, status, seen))
    return Case(wanted, status, seen, _NOTHING, Phase.PROGRESSING, wanted.stages[0], NOW)


def _spec(**changes: object) -> Callable[[Case], Case]:
    return lambda case: dataclasses.replace(case, spec=msgspec.structs.replace(case.spec, **changes))


def _status(**changes: object) -> Callable[[Case], Case]:
    return lambda case: dataclasses.replace(case, status=msgspec.structs.replace(case.status, **changes))


def _counted(**changes: object) -> Callable[[Case], Case]:
    return lambda case: dataclasses.replace(case, counted=dataclasses.replace(case.counted, **changes))  # type: ignore[arg-type]


def _seen(**changes: object) -> Callable[[Case], Case]:
    return lambda case: dataclasses.replace(case, seen=dataclasses.replace(case.seen, **changes))  # type: ignore[arg-type]


def _last_service(**changes: object) -> Callable[[Case], Case]:
    """Changes what is seen of the last service only: one is enough for every rule."""

    def change(case: Case) -> Case:
        *others, last = case.seen.services
        changed = dataclasses.replace(last, **changes)  # type: ignore[arg-type]
        return dataclasses.replace(case, seen=dataclasses.replace(case.seen, services=(*others, changed)))

    return change


def _stage(**changes: object) -> Callable[[Case], Case]:
    def change(case: Case) -> Case:
        assert case.stage is not None
        return dataclasses.replace(case, stage=msgspec.structs.replace(case.stage, **changes))

    return change


def _promoting_another(case: Case) -> Case:
    return dataclasses.replace(_status(run_id="other")(case), position=Phase.PROMOTING)


def _goal(verdict: str, *fractions: float) -> Callable[[Case], Case]:
    """A goal of the stage with these looks behind it, and that verdict of the last one."""

    def change(case: Case) -> Case:
        wanted = msgspec.structs.replace(case.spec, goals=(Goal(name="happy", service="conversation"),))
        record = goal_record.fresh(wanted, wanted.goals[0], weekdays=False)
        record = msgspec.structs.replace(record, fractions=fractions, verdict=verdict)
        status = msgspec.structs.replace(
            case.status,
            step=Step(number=1, action="Shift", started_at="", done=True),
            goals=(GoalStatus(name="happy", verdict=verdict, summary="canary 3, control 4"),),
            checkpoint={**case.status.checkpoint, "goals/happy/record": goal_record.encode(record)},
        )
        return dataclasses.replace(case, spec=wanted, status=status)

    return change


def _unread(case: Case) -> Case:
    """The same, and the last reading has failed."""
    case = _goal("", 0.5)(case)
    goals = tuple(msgspec.structs.replace(each, note="timeout") for each in case.status.goals)
    return _status(goals=goals)(case)


def _twisted(case: Case) -> Case:
    """The last service has a route, which gave the canary nothing of 300,000 requests."""
    *others, last = case.spec.services
    routed = msgspec.structs.replace(last, traffic=Traffic(type="HTTPRoute", http_route=HTTPRouteRef(name="shop")))
    record = SampleRatio(300_000, 0, 0.5, 0.0, 99.0).record()
    case = _status(checkpoint={**case.status.checkpoint, f"{last.name}/_ratio": record})(case)
    return _spec(services=(*others, routed))(case)


_STUCK = dataclasses.replace(_workload("canary"), ready=3, deadline_exceeded=True, trouble="ImagePullBackOff")
_UNJUDGED = (
    ServiceStatus(
        name="recommendation", guardrails=(GuardrailStatus(name="errorRate", verdict="Insufficient", summary=""),)
    ),
)


_UNUSED = (
    ServiceStatus(
        name="recommendation",
        guardrails=(GuardrailStatus(name="errorRate", verdict="Insufficient", summary="", control_requests=180),),
    ),
)


def _warning(low: float | None, rule: str = "max") -> Callable[[Case], Case]:
    """A guardrail that warns, and the lower end of its ratio to control; None: an older operator kept none."""
    shown = GuardrailStatus(name="errorRate", verdict="Warning", summary="canary 19%", rule=rule)
    kept = {} if low is None else {"recommendation/_low": f"errorRate={low}"}
    return _status(services=(ServiceStatus(name="recommendation", guardrails=(shown,)),), checkpoint=kept)


RULES: list[tuple[Rule, Callable[[Case], Case], str, str]] = [
    (rollbacks.aborted, _spec(abort=True), "Aborted", "spec.abort is true"),
    (stays.undecided, _warning(7.0), "GuardrailUndecided", "is above its max and worse than control's"),
    (stays.undecided, _warning(1.4), "GuardrailUndecided", "waiting until it is, or is gone"),
    (stays.undecided, _warning(None), "GuardrailUndecided", "waiting until it is, or is gone"),
    (rollbacks.guardrail_failing, _counted(failing=(_FAILING,)), "GuardrailFailing", "rec: canary 5%"),
    (
        rollbacks.guardrail_failing,
        _counted(failing=(_FAILING,), first_bad_look=NOW - 41),
        "GuardrailFailing",
        "Found 41s after the first bad look.",
    ),
    (rollbacks.goal_inferior, _goal("Inferior", 0.5), "GoalInferior", "goal happy is worse: canary 3, control 4"),
    (rollbacks.superseded, _promoting_another, "Superseded", "then a new run begins"),
    (
        rollbacks.canary_gone,
        _last_service(canary=None),
        "CanaryDeleted",
        "conversation: the canary's Deployment was deleted by somebody else",
    ),
    (
        rollbacks.canary_cannot_start,
        _last_service(canary=_STUCK),
        "CanaryNotReady",
        "within its progress deadline of 10m0s (3 of 10 pods ready): ImagePullBackOff",
    ),
    (holds.paused, _spec(paused=True), "Paused", "paused at 50%"),
    (holds.no_control, _last_service(control=None), "ControlMissing", "conversation: control's Deployment is gone"),
    (
        rollbacks.canary_unserved,
        _last_service(route=RouteReading(50.0, False, "2", unserved="the canary has had no ready pod for 15s")),
        "CanaryNotServing",
        "conversation: the canary has had no ready pod",
    ),
    (
        holds.route_not_followed,
        _last_service(route=RouteReading(None, False, "2", trouble="HTTPRoute shop is gone")),
        "RouteNotFollowed",
        "conversation: HTTPRoute shop is gone",
    ),
    (holds.no_measurement, _counted(unmeasured=("conversation: timeout",)), "NoMeasurement", "conversation: timeout"),
    (holds.no_measurement, _status(verdict=VerdictName.NO_DATA), "NoMeasurement", "the last look had no data"),
    (holds.sample_ratio_mismatch, _twisted, "SampleRatioMismatch", "got 0% of 300,000 requests, 50% was intended"),
    (stays.stage_time, _status(stage_seconds=90.0), "StageRunning", "(35s left); 1,000 canary requests in this stage"),
    (stays.stage_samples, _stage(min_samples=3500), "NeedsSamples", "needs 3,500 requests of each variant, has 500"),
    (stays.enough_evidence, _status(verdict=VerdictName.INSUFFICIENT), "InsufficientTraffic", "fewer than 50"),
    (stays.enough_evidence, _status(verdict=VerdictName.NONE), "InsufficientTraffic", "fewer than 50"),
    (stays.enough_evidence, _status(services=_UNJUDGED), "InsufficientTraffic", "fewer than 50"),
    (
        stays.enough_evidence,
        _status(services=_UNUSED),
        "InsufficientTraffic",
        "recommendation: the canary has had no request at all, and control 180",
    ),
    (stays.goals_judged, _goal("Inconclusive", 0.5), "JudgingGoals", "the last look at happy"),
    (stays.goals_judged, _unread, "NoGoalData", "the last look at happy: happy: timeout"),
    (stays.goals_reached, _goal("Inconclusive", 0.5, 1.0), "GoalsInconclusive", "serin.dev/approve=ab/goals/"),
    (
        stays.pods_ready,
        _last_service(route=RouteReading(40.0, False, "2", note="9 of 10 pods are ready")),
        "PodsNotReady",
        "conversation: waiting before the next step: 9 of 10",
    ),
    (stays.approval, _seen(annotations={}), "WaitingForApproval", "kubectl serin approve -n shop phase4"),
    (
        stays.approval,
        _status(stale_approval="ab"),
        "WaitingForApproval",
        "kubectl annotate --overwrite -n shop cex phase4",
    ),
    (stays.approval, _seen(annotations={APPROVE: "ab/other"}), "WaitingForApproval", "serin.dev/approve=ab/"),
    (stays.approval, _seen(annotations={APPROVE: "canary"}), "WaitingForApproval", "serin.dev/approve=ab"),
]


@pytest.mark.parametrize(("rule", "change", "reason", "says"), RULES)
def test_rule_finds(rule: Rule, change: Callable[[Case], Case], reason: str, says: str) -> None:
    """Each rule finds its own trouble, with a reason for programs and a sentence for people."""
    found = rule(change(_case()))
    assert found is not None
    assert found.reason == reason
    assert says in found.message


def _baking(case: Case) -> Case:
    stage = msgspec.structs.replace(case.spec.stages[0], name="bake", weight=100)
    return dataclasses.replace(_status(run_id="other")(case), position=Phase.BAKING, stage=stage)


def _lost(failure: MeasurementFailure, *change: Callable[[Case], Case]) -> Callable[[Case], Case]:
    """The last look of the last service had no data, for this reason."""

    def lose(case: Case) -> Case:
        for each in change:
            case = each(case)
        name = case.spec.services[-1].name
        looks = (LookResult(NOW, 10.0, {name: Unmeasured(failure, "no series of canary")}),)
        return _seen(looks=looks)(_counted(unmeasured=(f"{name}: no series of canary",))(case))

    return lose


def _condition(name: str, state: Literal["True", "False"], ago: float) -> Callable[[Case], Case]:
    made = Condition(name, state, "Why", "", timestamp(NOW - ago), 1)
    return _status(conditions=(made,))


_LATE = RouteReading(50.0, False, "2", trouble="it is behind: does it run?", unfollowed="HTTPRoute conv", behind=True)
_TROUBLE = _last_service(route=RouteReading(None, False, "2", trouble="shop is behind: does it run?"))
_WARNS = ServiceStatus(
    name="recommendation",
    guardrails=(
        GuardrailStatus(
            name="errorRate", verdict="Warning", summary="", rule="max", canary="4%", control="3.9%", evidence="0.2"
        ),
    ),
)
_SEE = "To see what the controller says (Status): kubectl describe -n shop HTTPRoute conv"
_JUST = "traffic has only just moved, so requests before 22:13:35 UTC are not counted"
_RATE = "; at this rate until about 22:25:20 UTC (12m0s more)"
_BACK = "; to roll back: kubectl serin abort -n shop phase4 (spec.abort: true)"

TELLS: list[tuple[Rule, Callable[[Case], Case], str]] = [
    (holds.paused, _spec(paused=True), "paused at 50% by spec.paused; guardrails still roll back, the stage's clock"),
    (holds.paused, _spec(paused=True), f"To go on: kubectl serin resume -n shop phase4 (spec.paused: false){_BACK}"),
    (holds.paused, lambda case: _baking(_spec(paused=True)(case)), "paused in the bake by spec.paused"),
    (holds.route_not_followed, _TROUBLE, "conversation: shop is behind: does it run? Held at 50% until that has"),
    (holds.route_not_followed, _TROUBLE, f"Nothing is counted{_BACK}"),
    (
        holds.route_not_followed,
        lambda case: _status(step=Step(number=1, action="Shift", started_at="", done=True))(_TROUBLE(case)),
        f"Guardrails still roll back{_BACK}",
    ),
    (
        holds.route_not_followed,
        _last_service(route=_LATE),
        f"is not sure, and a rollback reaches nobody yet. Nothing is counted. {_SEE}{_BACK}",
    ),
    (
        holds.route_not_followed,
        lambda case: _status(step=Step(number=1, action="Shift", started_at="", done=True))(
            _last_service(route=_LATE)(case)
        ),
        "Guardrails still roll back and change the route, which users have when its controller follows. To see what",
    ),
    (
        holds.route_not_followed,
        _last_service(route=dataclasses.replace(_LATE, behind=False)),
        "and a rollback may not reach everybody yet. Nothing is counted. To see what",
    ),
    (
        holds.no_measurement,
        _lost(MeasurementFailure.EMPTY),
        "no series of canary. All of its pods are ready, by the API server. Until there is one",
    ),
    (
        holds.no_measurement,
        _lost(MeasurementFailure.GAP, _last_service(canary=_STUCK)),
        "no series of canary. Pods that are ready: 3 of 10 of canary. Until there is one",
    ),
    (holds.no_measurement, _lost(MeasurementFailure.TIMEOUT), "no series of canary. Until there is one"),
    (holds.no_measurement, _lost(MeasurementFailure.TIMEOUT), "no step and no rollback at 50%"),
    (
        holds.no_measurement,
        _lost(MeasurementFailure.TIMEOUT),
        "guardrails show what was before, so nothing guards the canary's users meanwhile. It goes on by itself",
    ),
    (
        holds.no_measurement,
        lambda case: _status(weight=0)(_lost(MeasurementFailure.TIMEOUT)(case)),
        "guardrails show what was before. It goes on by itself",
    ),
    (holds.no_measurement, _lost(MeasurementFailure.TIMEOUT), "no measurement since 22:13:20 UTC: "),
    (
        holds.no_measurement,
        _lost(MeasurementFailure.TIMEOUT, _condition("MetricsAvailable", "False", 80)),
        "no measurement since 22:12:00 UTC: ",
    ),
    (
        stays.stage_time,
        _status(stage_seconds=90.0, counted_until=timestamp(NOW + 15)),
        f"stage ab (50%) until 22:14:10 UTC (50s left); {_JUST}; 1,000 canary requests in this stage; then it waits",
    ),
    (
        stays.stage_time,
        _status(stage_seconds=90.0, verdict=VerdictName.INSUFFICIENT),
        "; then, when 50 canary requests are judged, it waits for an approval",
    ),
    (
        stays.stage_time,
        lambda case: _baking(_status(stage_seconds=90.0)(case)),
        "1,000 requests in the bake; then it has succeeded (until then guardrails still roll back)",
    ),
    (
        stays.stage_time,
        _status(stage_seconds=90.0, services=(_WARNS,)),
        "it is not shown to be worse than control (evidence 0.2, 1 rolls back), so it goes on, and nothing has to be",
    ),
    (
        stays.stage_samples,
        _stage(min_samples=3500),
        f"has 500 (minSamples of stage ab){_RATE}; then it waits for an approval{_BACK}",
    ),
    (
        stays.stage_samples,
        lambda case: _stage(min_samples=3500)(_status(stage_seconds=0.0)(case)),
        f"has 500 (minSamples of stage ab); then it waits for an approval{_BACK}",
    ),
    (stays.enough_evidence, _status(services=_UNJUDGED), f"lower analysis.minRequests (a new run){_BACK}"),
    (
        stays.enough_evidence,
        _status(services=_UNUSED),
        f"can't be rolled back by a guardrail. When 50 canary requests are judged: it waits for an approval{_BACK}",
    ),
    (
        stays.enough_evidence,
        lambda case: _baking(_status(services=_UNUSED)(case)),  # control's count is from before
        "the bake's time is over, but fewer than 50 requests were judged (recommendation: errorRate on 0). It waits in",
    ),
    (stays.approval, _seen(annotations={}), "every stage has passed; waiting for approval at 50%, without limit;"),
    (stays.approval, _seen(annotations={}), "To have it promoted and watched for 1h (bake): kubectl serin approve"),
    (rollbacks.superseded, _promoting_another, "the spec or the canary's template was changed while promoting: "),
    (rollbacks.superseded, _baking, "while baking: control gets its template and all traffic back"),
    (
        rollbacks.canary_gone,
        lambda case: _last_service(canary=None)(
            _status(services=(ServiceStatus(name="conversation", canary="conv-next"),))(case)
        ),
        "conversation: the canary's Deployment conv-next was deleted by somebody else",
    ),
    (
        rollbacks.guardrail_failing,
        lambda case: dataclasses.replace(
            _counted(failing=(_FAILING,), first_bad_look=NOW - 41)(case), now=NOW + 0.9
        ),  # as whoever subtracts the times in the status
        "Found 41s after the first bad look.",
    ),
]


@pytest.mark.parametrize(("rule", "change", "says"), TELLS)
def test_what_a_finding_tells(rule: Rule, change: Callable[[Case], Case], says: str) -> None:
    """Since and until when, what happens meanwhile, what comes next, and what a person can do."""
    found = rule(change(_case()))
    assert found is not None
    assert says in found.message


def test_a_table_has_no_room_for_what_is_not_counted() -> None:
    """Until when and how many: that nothing is counted for a moment stands in the message."""
    found = stays.stage_time(_status(stage_seconds=90.0, counted_until=timestamp(NOW + 15))(_case()))
    assert found is not None
    assert found.brief == "until 22:14:10 UTC (50s left); 1,000 canary requests in this stage"


def test_a_warning_comes_first_in_a_summary() -> None:
    """The column has room for the beginning only, and the clock can be seen in the message."""
    found = stays.stage_time(_status(stage_seconds=90.0, services=(_WARNS,))(_case()))
    assert found is not None
    assert found.brief.startswith("recommendation warns: errorRate 4%, above max, control 3.9%; until ")


@pytest.mark.parametrize(
    ("by", "says"),
    [
        ("warn", "it is not shown to be above max 1% or worse than control (evidence"),
        ("max", "it is not shown to be worse than control (evidence"),
    ],
)
def test_a_warning_says_why_nothing_is_rolled_back(by: str, says: str) -> None:
    """Seven of 200 requests are 3.5 %, and do not show that more than 1 % fail: a reader would miss `max`."""
    warned = msgspec.structs.replace(_WARNS.guardrails[0], rule=by)
    services = (msgspec.structs.replace(_WARNS, guardrails=(warned,)),)
    found = stays.stage_time(_status(stage_seconds=90.0, services=services)(_case()))
    assert found is not None
    assert says in found.message


@pytest.mark.parametrize("rule", [*ROLLS_BACK, *HOLDS, *STAYS])
def test_rule_is_silent(rule: Rule) -> None:
    """No rule finds anything in an experiment that is well and has waited enough."""
    assert rule(_case()) is None


@pytest.mark.parametrize("rule", [*ROLLS_BACK, *HOLDS, *STAYS])
def test_rule_says_what_it_is(rule: Rule) -> None:
    """The rules' docstrings are the policy's documentation, and each rule has a test here."""
    assert rule.__doc__
    assert any(tested is rule for tested, *_ in RULES)


@pytest.mark.parametrize("chain", [ROLLS_BACK, HOLDS, STAYS])
def test_first_finding_counts(chain: tuple[Rule, ...]) -> None:
    """Of two troubles in a chain, the earlier rule's is the one that is said."""
    # A canary that is gone has no revision to be superseded by, so these two can't come together.
    pairable = [rule for rule in chain if rule is not rollbacks.superseded]
    troubles = [next((change, reason) for tested, change, reason, _ in RULES if tested is rule) for rule in pairable]
    for index, (earlier, reason) in enumerate(troubles):
        for later, _ in troubles[index + 1 :]:
            found = first(chain, earlier(later(_case())))
            assert found is not None
            assert found.reason == reason


def test_order_of_the_chains() -> None:
    """A change of this order is a change of the policy, and needs a reason."""
    names = [[rule.__name__ for rule in chain] for chain in (ROLLS_BACK, HOLDS, STAYS)]
    assert names == [
        [
            "aborted",
            "guardrail_failing",
            "goal_inferior",
            "superseded",
            "canary_gone",
            "canary_cannot_start",
            "canary_unserved",
        ],
        ["paused", "no_control", "route_not_followed", "no_measurement", "sample_ratio_mismatch"],
        [
            "stage_time",
            "stage_samples",
            "enough_evidence",
            "undecided",
            "goals_judged",
            "goals_reached",
            "pods_ready",
            "approval",
        ],
    ]


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        (rollbacks.canary_cannot_start, _last_service(canary=dataclasses.replace(_STUCK, ready=10))),
        (rollbacks.canary_cannot_start, _last_service(canary=dataclasses.replace(_STUCK, replicas=0, ready=0))),
        (rollbacks.canary_cannot_start, _last_service(canary=dataclasses.replace(_STUCK, deadline_exceeded=False))),
        (stays.undecided, _warning(0.9)),
        (stays.undecided, _warning(1.05)),  # as much worse as spec tolerates: it would wait for ever
        (stays.undecided, _warning(0.0)),
        (stays.undecided, _warning(7.0, rule="warn")),
        (stays.stage_samples, _stage(min_samples=500)),
        (stays.stage_time, _status(stage_seconds=121.0)),
        (stays.enough_evidence, _status(verdict=VerdictName.WARNING)),
        (rollbacks.superseded, _status(run_id="other")),
    ],
)
def test_rule_at_its_edge(rule: Rule, change: Callable[[Case], Case]) -> None:
    """Just on this side of a rule nothing is found."""
    assert rule(change(_case())) is None


@pytest.mark.parametrize(
    ("age", "unavailable", "deadline", "gives_up"),
    [
        (599, 599, 600, False),
        (601, 601, 600, True),
        (31, 31, 30, True),
        (3600, 5, 600, False),  # a pod restarts in a step that takes long for another reason
        (3600, None, 600, False),  # enough pods are ready by the Deployment's own strategy
        (5, 3600, 600, False),  # the step has only begun
    ],
)
def test_a_canary_that_is_not_ready_in_time(
    age: float, unavailable: float | None, deadline: float, *, gives_up: bool
) -> None:
    """Its Deployment says nothing when it was scaled up from no pods, so the step's own age counts."""
    since = None if unavailable is None else NOW - unavailable
    late = dataclasses.replace(_STUCK, deadline_exceeded=False, deadline=deadline, unavailable_since=since)
    step = Step(number=1, action="Shift", started_at=timestamp(NOW - age))
    case = _status(step=step)(_last_service(canary=late)(_case()))
    found = rollbacks.canary_cannot_start(case)
    assert (found is not None) == gives_up
    if found is not None:
        assert "ImagePullBackOff" in found.message


@pytest.mark.parametrize(
    ("rule", "change", "ends_as"),
    [
        (rollbacks.aborted, _spec(abort=True), Phase.ROLLED_BACK),
        (rollbacks.guardrail_failing, _counted(failing=(_FAILING,)), Phase.ROLLED_BACK),
        (rollbacks.canary_gone, _last_service(canary=None), Phase.FAILED),
        (rollbacks.canary_cannot_start, _last_service(canary=_STUCK), Phase.FAILED),
    ],
)
def test_how_a_rollback_ends(rule: Rule, change: Callable[[Case], Case], ends_as: Phase) -> None:
    """RolledBack is a verdict or a wish; Failed is what could not go on."""
    found = rule(change(_case()))
    assert found is not None
    assert found.ends_as is ends_as
