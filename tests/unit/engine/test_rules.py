"""The policy, rule by rule, and the order of its chains."""

import dataclasses
from collections.abc import Callable

import msgspec
import pytest

from serin.api.names import APPROVE
from serin.api.spec import Goal, HTTPRouteRef, Traffic
from serin.api.status import GoalStatus, GuardrailStatus, Phase, ServiceStatus, Status, Step, VerdictName
from serin.engine import rules, run
from serin.engine.evidence import Counted, Failing
from serin.engine.goals import record as goal_record
from serin.engine.observation import Observation, RouteReading, ServiceObservation, Workload
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


def _warning(ratio: str, rule: str = "max") -> Callable[[Case], Case]:
    """A guardrail that warns."""
    shown = GuardrailStatus(name="errorRate", verdict="Warning", summary="canary 19%", rule=rule, ratio=ratio)
    return _status(services=(ServiceStatus(name="recommendation", guardrails=(shown,)),))


RULES: list[tuple[Rule, Callable[[Case], Case], str, str]] = [
    (rules.aborted, _spec(abort=True), "Aborted", "spec.abort is true"),
    (rules.undecided, _warning("at least 7x"), "GuardrailUndecided", "is above its max and worse than control's"),
    (rules.undecided, _warning("5.7x [1.4, 25]"), "GuardrailUndecided", "waiting until it is, or is gone"),
    (rules.guardrail_failing, _counted(failing=(_FAILING,)), "GuardrailFailing", "rec: canary 5%"),
    (
        rules.guardrail_failing,
        _counted(failing=(_FAILING,), first_bad_look=NOW - 41),
        "GuardrailFailing",
        "Found 41s after the first bad look.",
    ),
    (rules.goal_inferior, _goal("Inferior", 0.5), "GoalInferior", "goal happy is worse: canary 3, control 4"),
    (rules.superseded, _promoting_another, "Superseded", "then a new run begins"),
    (rules.canary_gone, _last_service(canary=None), "CanaryDeleted", "conversation: the canary Deployment was deleted"),
    (rules.canary_cannot_start, _last_service(canary=_STUCK), "CanaryNotReady", "(3 of 10 pods ready): ImagePullBack"),
    (rules.paused, _spec(paused=True), "Paused", "paused at 50%"),
    (rules.no_control, _last_service(control=None), "ControlMissing", "conversation: control's Deployment is gone"),
    (
        rules.canary_unserved,
        _last_service(route=RouteReading(50.0, False, "2", unserved="the canary has had no ready pod for 15s")),
        "CanaryNotServing",
        "conversation: the canary has had no ready pod",
    ),
    (
        rules.route_not_followed,
        _last_service(route=RouteReading(None, False, "2", trouble="HTTPRoute shop is gone")),
        "RouteNotFollowed",
        "conversation: HTTPRoute shop is gone",
    ),
    (rules.no_measurement, _counted(unmeasured=("conversation: timeout",)), "NoMeasurement", "conversation: timeout"),
    (rules.no_measurement, _status(verdict=VerdictName.NO_DATA), "NoMeasurement", "the last look had no data"),
    (rules.sample_ratio_mismatch, _twisted, "SampleRatioMismatch", "got 0% of 300,000 requests, 50% was intended"),
    (rules.stage_time, _status(stage_seconds=90.0), "StageRunning", "(35s left); 1,000 canary requests in this stage"),
    (rules.stage_samples, _stage(min_samples=3500), "NeedsSamples", "needs 3,500 requests of each variant, has 500"),
    (rules.enough_evidence, _status(verdict=VerdictName.INSUFFICIENT), "InsufficientTraffic", "fewer than 50"),
    (rules.enough_evidence, _status(verdict=VerdictName.NONE), "InsufficientTraffic", "fewer than 50"),
    (rules.enough_evidence, _status(services=_UNJUDGED), "InsufficientTraffic", "fewer than 50"),
    (rules.enough_evidence, _status(services=_UNUSED), "InsufficientTraffic", "recommendation had none at all"),
    (rules.goals_judged, _goal("Inconclusive", 0.5), "JudgingGoals", "the last look at happy"),
    (rules.goals_judged, _unread, "NoGoalData", "the last look at happy: happy: timeout"),
    (rules.goals_reached, _goal("Inconclusive", 0.5, 1.0), "GoalsInconclusive", "serin.dev/approve=ab/goals/"),
    (
        rules.pods_ready,
        _last_service(route=RouteReading(40.0, False, "2", note="9 of 10 pods are ready")),
        "PodsNotReady",
        "conversation: waiting before the next step: 9 of 10",
    ),
    (rules.approval, _seen(annotations={}), "WaitingForApproval", "kubectl serin approve phase4"),
    (rules.approval, _status(stale_approval="ab"), "WaitingForApproval", "kubectl annotate --overwrite cex phase4"),
    (rules.approval, _seen(annotations={APPROVE: "ab/other"}), "WaitingForApproval", "serin.dev/approve=ab/"),
    (rules.approval, _seen(annotations={APPROVE: "canary"}), "WaitingForApproval", "serin.dev/approve=ab"),
]


@pytest.mark.parametrize(("rule", "change", "reason", "says"), RULES)
def test_rule_finds(rule: Rule, change: Callable[[Case], Case], reason: str, says: str) -> None:
    """Each rule finds its own trouble, with a reason for programs and a sentence for people."""
    found = rule(change(_case()))
    assert found is not None
    assert found.reason == reason
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
    pairable = [rule for rule in chain if rule is not rules.superseded]
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
        (rules.canary_cannot_start, _last_service(canary=dataclasses.replace(_STUCK, ready=10))),
        (rules.canary_cannot_start, _last_service(canary=dataclasses.replace(_STUCK, replicas=0, ready=0))),
        (rules.canary_cannot_start, _last_service(canary=dataclasses.replace(_STUCK, deadline_exceeded=False))),
        (rules.undecided, _warning("at least 0.9x")),
        (rules.undecided, _warning("1.08x [1.05, 1.1]")),  # as much worse as spec tolerates: it would wait for ever
        (rules.undecided, _warning("5.7x [0.54, inf]")),
        (rules.undecided, _warning("at least 7x", rule="warn")),
        (rules.stage_samples, _stage(min_samples=500)),
        (rules.stage_time, _status(stage_seconds=121.0)),
        (rules.enough_evidence, _status(verdict=VerdictName.WARNING)),
        (rules.superseded, _status(run_id="other")),
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
    found = rules.canary_cannot_start(case)
    assert (found is not None) == gives_up
    if found is not None:
        assert "ImagePullBackOff" in found.message


@pytest.mark.parametrize(
    ("rule", "change", "ends_as"),
    [
        (rules.aborted, _spec(abort=True), Phase.ROLLED_BACK),
        (rules.guardrail_failing, _counted(failing=(_FAILING,)), Phase.ROLLED_BACK),
        (rules.canary_gone, _last_service(canary=None), Phase.FAILED),
        (rules.canary_cannot_start, _last_service(canary=_STUCK), Phase.FAILED),
    ],
)
def test_how_a_rollback_ends(rule: Rule, change: Callable[[Case], Case], ends_as: Phase) -> None:
    """RolledBack is a verdict or a wish; Failed is what could not go on."""
    found = rule(change(_case()))
    assert found is not None
    assert found.ends_as is ends_as
