"""The policy: what rolls back, what holds, what lets a step go on, each an ordered tuple of small functions.

A rule is asked with one `Case` and answers with a `Finding` or None; the first finding of a chain counts. The tuples
are the documentation of the policy, and docs are generated from the rules' docstrings.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from serin.api.names import APPROVE
from serin.api.spec import Spec, Stage
from serin.api.status import GuardrailStatus, Phase, Status, VerdictName
from serin.engine import sample_ratio, wording
from serin.engine.evidence import Counted, samples
from serin.engine.goals import judging
from serin.engine.observation import Observation
from serin.engine.run import approved, run_id, step_age


@dataclass(frozen=True, slots=True)
class Case:
    """All that a rule may look at."""

    spec: Spec
    status: Status
    """With this look's counts already in it."""
    seen: Observation
    counted: Counted
    position: Phase
    """The phase that counts beneath Paused and Holding."""
    stage: Stage | None
    now: float
    replaced: bool = False
    """The spec names other services or Deployments than the run has: `spec` then has the run's own."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Why something happens: a CamelCase reason and a sentence."""

    reason: str
    message: str
    ends_as: Phase = Phase.ROLLED_BACK
    """Of a rollback: RolledBack for a verdict or a wish, Failed for what could not go on."""
    brief: str = ""
    """The message in the width of a table; empty: the beginning of the message."""


Rule = Callable[[Case], Finding | None]


def aborted(case: Case) -> Finding | None:
    """`spec.abort: true` rolls back now."""
    if not case.spec.abort:
        return None
    return Finding("Aborted", "spec.abort is true: rolled back as asked")


def guardrail_failing(case: Case) -> Finding | None:
    """One failing guardrail of one service rolls all services back."""
    if not case.counted.failing:
        return None
    worst = case.counted.failing[0]
    found = ""
    if case.counted.first_bad_look:
        found = f" Found {wording.length(max(0.0, case.now - case.counted.first_bad_look))} after the first bad look."
    where = "in the bake: " if case.position is Phase.BAKING else ""
    return Finding("GuardrailFailing", f"{where}{worst.reason}.{found}", brief=worst.brief)


def goal_inferior(case: Case) -> Finding | None:
    """A goal that is proven to be worse, in its stage, rolls all services back."""
    worse = judging.inferior(case.spec, case.status)
    return None if worse is None else Finding("GoalInferior", worse)


def superseded(case: Case) -> Finding | None:
    """A revision in the middle of a promotion, or other Deployments: what this run took comes back before the next."""
    if case.replaced:
        text = "spec.services was changed: these Deployments get their state back first, then a new run begins"
        return Finding("Superseded", text)
    if case.position not in {Phase.PROMOTING, Phase.BAKING}:
        return None
    if run_id(case.spec, case.status, case.seen) == case.status.run_id:
        return None
    text = "the spec or the canary was changed while promoting: control gets its template back, then a new run begins"
    return Finding("Superseded", text)


def canary_cannot_start(case: Case) -> Finding | None:
    """A canary whose pods are not ready within its Deployment's progress deadline cannot go on.

    The Deployment's own condition tells it only where the template is new: one that had no pods counts as complete, and
    is not timed when it is scaled up. There the step's age counts, and how long too few pods have been available: a
    step that takes long for another reason must not end with a pod that restarts.
    """
    late = step_age(case.status, case.now)
    for service in case.seen.services:
        canary = service.canary
        if canary is None or canary.ready >= canary.replicas:
            continue
        since = canary.unavailable_since
        if canary.deadline_exceeded or (since is not None and min(late, case.now - since) > canary.deadline):
            trouble = f": {canary.trouble}" if canary.trouble else ""
            text = (
                f"{service.name}: canary Deployment {canary.name} did not become ready within its progress deadline"
                f" ({canary.ready} of {canary.replicas} pods ready){trouble}"
            )
            return Finding("CanaryNotReady", text, Phase.FAILED)
    return None


def canary_gone(case: Case) -> Finding | None:
    """A canary that was deleted by somebody leaves control alone, which then needs its full size."""
    if case.position is not Phase.PROGRESSING and case.status.weight == 0:
        return None
    for service in case.seen.services:
        if service.canary is None:
            text = f"{service.name}: the canary Deployment was deleted; control gets its full size back"
            return Finding("CanaryDeleted", text, Phase.FAILED)
    return None


def canary_unserved(case: Case) -> Finding | None:
    """A route goes on leading users to a canary without a pod, and their errors are in nobody's metrics."""
    for service in case.seen.services:
        if service.route.unserved and case.status.weight > 0:
            return Finding("CanaryNotServing", f"{service.name}: {service.route.unserved}", Phase.FAILED)
    return None


ROLLS_BACK: Final[tuple[Rule, ...]] = (
    aborted,
    guardrail_failing,
    goal_inferior,
    superseded,
    canary_gone,
    canary_cannot_start,
    canary_unserved,
)
"""What rolls back, before anything else is considered. None of it needs a measurement of this look."""


def paused(case: Case) -> Finding | None:
    """`spec.paused: true` freezes the weight; guardrails still roll back."""
    if not case.spec.paused:
        return None
    return Finding(
        "Paused",
        f"paused at {case.status.weight}% by spec.paused; guardrails still roll back; to go on: kubectl serin resume"
        f" {case.seen.name}",
    )


def no_control(case: Case) -> Finding | None:
    """Without control's Deployment there is nothing to compare with and nothing to return to."""
    for service in case.seen.services:
        if service.control is None:
            return Finding("ControlMissing", f"{service.name}: control's Deployment is gone; holding until it is back")
    return None


def no_measurement(case: Case) -> Finding | None:
    """A look that could not be taken holds, for as long as it lasts."""
    if not case.counted.unmeasured:
        return _still_unmeasured(case)
    return Finding(
        "NoMeasurement",
        f"no measurement, so no step and no rollback at {case.status.weight}% until there is one:"
        f" {case.counted.unmeasured[0]}",
        brief=f"no measurement at {case.status.weight}%: {case.counted.unmeasured[0]}",
    )


def route_not_followed(case: Case) -> Finding | None:
    """A route that is gone, or that its controller does not follow, holds: the split is not what was written."""
    for service in case.seen.services:
        if service.route.trouble:
            text = f"{service.name}: {service.route.trouble}"
            stop = "" if text.endswith((".", "?")) else "."
            return Finding("RouteNotFollowed", f"{text}{stop} Held at {case.status.weight}% until then", brief=text)
    return None


def sample_ratio_mismatch(case: Case) -> Finding | None:
    """A split that is shown not to be the intended one holds, until a person goes on knowingly or a new run begins."""
    found = sample_ratio.holds(case.spec, case.status)
    if found is None:
        return None
    what, text = sample_ratio.approval_of(case.status), sample_ratio.sentence(found)
    command = f"kubectl serin approve {case.seen.name} --srm"
    return Finding(
        "SampleRatioMismatch",
        f"the split is not the intended one, so no comparison can be trusted: {text}. No step, and no rollback for it;"
        f" guardrails still roll back. To go on in this stage all the same: {command}, or kubectl annotate --overwrite"
        f" cex {case.seen.name} {APPROVE}={what}/{case.status.run_id}; to roll back: spec.abort",
        brief=f"{found.name}: {found.brief}",
    )


HOLDS: Final[tuple[Rule, ...]] = (paused, no_control, route_not_followed, no_measurement, sample_ratio_mismatch)
"""What freezes an experiment where it is."""


def stage_time(case: Case) -> Finding | None:
    """A stage lasts its duration, in measured time."""
    if case.stage is None:
        return None
    left = case.stage.duration.seconds - case.status.stage_seconds
    if left <= 0:
        return None
    # The stage ends with a look, and a look is counted half an interval after its end.
    counted = wording.unix(case.status.counted_until) or case.now
    ends = max(case.now, counted + left + case.spec.analysis.interval.seconds / 2)
    requests = sum(samples(case.status.checkpoint, service.name)[1] for service in case.spec.services)
    text = (
        f"until {wording.clock(ends, case.now)} ({wording.length(ends - case.now)} left);"
        f" {wording.count(requests)} canary requests in this stage"
    )
    more = judging.so_far(case.status) + _warned(case.status)
    return Finding("StageRunning", f"{text}{more}; then {_afterwards(case)}", brief=text)


def _warned(status: Status) -> str:
    """The first guardrail that warns, and why that alone does not roll back."""
    for service in status.services:
        for each in service.guardrails:
            if each.verdict == VerdictName.WARNING:
                return f"; {service.name} warns: {each.name} {each.canary}, control {each.control} (rule {each.rule})"
    return ""


def _afterwards(case: Case) -> str:
    """What comes when the stage is over."""
    if case.position is Phase.BAKING or case.stage is None:
        return "it has succeeded"
    later = [stage for stage in case.spec.stages if stage.weight > case.stage.weight]
    if later:
        return f"{later[0].weight}% ({later[0].name})"
    return "it waits for an approval" if case.spec.promotion.approval == "Manual" else "it is promoted"


def stage_samples(case: Case) -> Finding | None:
    """A stage with `minSamples` lasts until each variant of each service has as many."""
    if case.stage is None or case.stage.min_samples is None:
        return None
    if judging.by_users(case.spec, case.stage.name):
        missing = judging.users_missing(case.status, case.stage.min_samples)
        return None if missing is None else Finding("NeedsSamples", missing)
    need = case.stage.min_samples
    for service in case.spec.services:
        have = min(samples(case.status.checkpoint, service.name))
        if have < need:
            rate = have / case.status.stage_seconds if case.status.stage_seconds else 0.0
            eta = f", about {wording.length((need - have) / rate)} more" if rate else ""
            text = (
                f"{service.name}: needs {wording.count(need)} requests of each variant, has {wording.count(have)}{eta}"
            )
            return Finding("NeedsSamples", text)
    return None


def enough_evidence(case: Case) -> Finding | None:
    """A step forward needs a verdict: every guardrail judged on at least `minRequests`."""
    if case.status.verdict in {VerdictName.HEALTHY, VerdictName.WARNING} and _all_judged(case):
        return None
    few = [
        f"{service.name}: {each.name} on {wording.count(each.canary_requests)}"
        for service in case.status.services
        for each in service.guardrails
        if each.verdict == VerdictName.INSUFFICIENT
    ]
    what = f" ({', '.join(few)})" if few else ""
    none = sorted(
        {
            service.name
            for service in case.status.services
            for each in service.guardrails
            if each.verdict == VerdictName.INSUFFICIENT and each.control_requests > 0 and each.canary_requests == 0
        }
    )
    hint = f": the canary of {', '.join(none)} had none at all and control had some, so look at what leads users to it"
    return Finding(
        "InsufficientTraffic",
        f"the stage's time is over, but fewer than {case.spec.analysis.min_requests} canary requests were judged{what};"
        f" waiting for traffic{hint if none else ''}",
        brief=f"waiting for traffic: fewer than {case.spec.analysis.min_requests} canary requests were judged",
    )


def undecided(case: Case) -> Finding | None:
    """A step forward waits while a guardrail is above `max` and worse than control, until that is shown or gone.

    A stage that is over before the evidence is would else promote what it has just warned of.
    """
    for service in case.status.services:
        for each in service.guardrails:
            if each.verdict == VerdictName.WARNING and each.rule == "max" and _looks_worse(case.spec, each):
                text = (
                    f"the stage's time is over, but {service.name}'s {each.name} is above its max and worse than"
                    f" control's, which is not shown beyond doubt yet: {each.summary}; waiting until it is, or is gone"
                )
                brief = f"{service.name}: {each.name} {each.canary}, control {each.control}: not decided yet"
                return Finding("GuardrailUndecided", text, brief=brief)
    return None


def _looks_worse(spec: Spec, guardrail: GuardrailStatus) -> bool:
    """The interval of the ratio to control lies above what is tolerated: below that it would never be decided."""
    tolerated = {
        "errorRate": spec.guardrails.error_rate.worse_than_control,
        "latencyP95": spec.guardrails.latency_p95.worse_than_control,
        **{each.name: each.worse_than_control for each in spec.guardrails.custom},
    }.get(guardrail.name)
    low = re.search(r"at least ([\d.]+)x|\[([\d.]+),", guardrail.ratio)
    return low is not None and tolerated is not None and float(low[1] or low[2]) > 1 + tolerated.value


def goals_judged(case: Case) -> Finding | None:
    """A step forward from the stage of the goals needs the last look at each of them, however long that takes."""
    lost = judging.unmeasured(case.spec, case.status)
    if lost is not None:
        return Finding("NoGoalData", lost)
    waiting = judging.unjudged(case.spec, case.status)
    return None if waiting is None else Finding("JudgingGoals", waiting)


def goals_reached(case: Case) -> Finding | None:
    """All goals together must be what `promoteOn` asks for; where one is not, a person decides."""
    missing = judging.unreached(case.spec, case.status)
    what = judging.approval_of(case.spec)
    if missing is None or approved(case.status, case.seen, what):
        return None
    command = f"kubectl serin approve {case.seen.name} --goals"
    return Finding(
        "GoalsInconclusive",
        f"not every goal is reached, so a person decides: {missing}. To promote all the same: {command}, or kubectl"
        f" annotate --overwrite cex {case.seen.name} {APPROVE}={what}/{case.status.run_id}; to roll back: spec.abort",
        brief=f"not every goal is reached, so a person decides; to promote: {command}",
    )


def pods_ready(case: Case) -> Finding | None:
    """A step forward needs the pods of the present step."""
    for service in case.seen.services:
        if not service.route.settled:
            return Finding("PodsNotReady", f"{service.name}: waiting before the next step: {service.route.note}")
    return None


def approval(case: Case) -> Finding | None:
    """`promotion.approval: Manual` waits before full for an approval of this run."""
    last = case.spec.stages[-1].name
    if case.spec.promotion.approval != "Manual" or case.position is not Phase.PROGRESSING or case.stage is None:
        return None
    given = (approved(case.status, case.seen, what) for what in (last, f"{last}/goals"))
    if case.stage.name != last or any(given):
        return None
    command = f"kubectl serin approve {case.seen.name}"
    return Finding(
        "WaitingForApproval",
        f"every stage has passed; waiting for approval: {command}, or kubectl annotate --overwrite cex"
        f" {case.seen.name} {APPROVE}={last}/{case.status.run_id}",
        brief=f"every stage has passed; waiting for approval: {command}",
    )


STAYS: Final[tuple[Rule, ...]] = (
    stage_time,
    stage_samples,
    enough_evidence,
    undecided,
    goals_judged,
    goals_reached,
    pods_ready,
    approval,
)
"""What keeps a stage from ending. When none of these finds anything, the next step is taken."""


def first(chain: tuple[Rule, ...], case: Case) -> Finding | None:
    """The first finding of a chain."""
    return next((found for rule in chain if (found := rule(case)) is not None), None)


def _still_unmeasured(case: Case) -> Finding | None:
    """Whatever wakes the controller between two looks, the last look decides: without data it holds until the next."""
    if case.status.verdict is not VerdictName.NO_DATA:
        return None
    before = case.status.message if case.status.reason == "NoMeasurement" else ""
    text = f"no measurement, so no step and no rollback at {case.status.weight}%: the last look had no data"
    return Finding("NoMeasurement", before or text)


def _all_judged(case: Case) -> bool:
    return all(
        service.guardrails and all(each.verdict in {"Healthy", "Warning"} for each in service.guardrails)
        for service in case.status.services
    )
