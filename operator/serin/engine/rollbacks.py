"""What rolls back, before anything else is considered. None of it needs a measurement of this look."""

from typing import Final

from serin.api.status import Phase
from serin.engine import wording
from serin.engine.case import Case, Finding, Rule
from serin.engine.goals import judging
from serin.engine.run import run_id, step_age


def aborted(case: Case) -> Finding | None:
    """`spec.abort: true` rolls back now."""
    if not case.spec.abort:
        return None
    return Finding("Aborted", "spec.abort is true: somebody asked for it")


def guardrail_failing(case: Case) -> Finding | None:
    """One failing guardrail of one service rolls all services back."""
    if not case.counted.failing:
        return None
    worst = case.counted.failing[0]
    found = ""
    if case.counted.first_bad_look:
        late = wording.length(max(0.0, int(case.now) - case.counted.first_bad_look))
        found = f" Found {late} after the first bad look."
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
    doing = "baking" if case.position is Phase.BAKING else "promoting"
    text = f"{case.edited} while {doing}: control gets its template and all traffic back, then a new run begins"
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
                f"{service.name}: canary Deployment {canary.name} did not become ready within its progress deadline of"
                f" {wording.length(canary.deadline)} ({canary.ready} of {canary.replicas} pods ready){trouble}"
            )
            brief = f"{service.name}: the canary is not ready ({canary.ready} of {canary.replicas} pods){trouble}"
            return Finding("CanaryNotReady", text, Phase.FAILED, brief)
    return None


def canary_gone(case: Case) -> Finding | None:
    """A canary that was deleted by somebody leaves control alone, which then needs its full size."""
    if case.position is not Phase.PROGRESSING and case.status.weight == 0:
        return None
    for service in case.seen.services:
        if service.canary is None:
            named = next((each.canary for each in case.status.services if each.name == service.name), "")
            text = f"{service.name}: the canary's Deployment {named}".rstrip() + " was deleted by somebody else"
            return Finding("CanaryDeleted", text, Phase.FAILED)
    return None


def canary_unserved(case: Case) -> Finding | None:
    """A route goes on leading users to a canary without a pod, and their errors are in nobody's metrics."""
    for service in case.seen.services:
        if service.route.unserved and (case.status.weight > 0 or case.status.mirror > 0):
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
