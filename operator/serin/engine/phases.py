"""One function a phase: given a Case, what the status becomes and what is to be done.

Each function may be entered at any time with any observation, for a crash can have happened between any two lines of
the controller. So none of them assumes that an act of an earlier look has had its effect: it looks.
"""

from dataclasses import replace
from typing import Final

import msgspec

from serin.api.spec import Stage
from serin.api.status import Phase, Status, VerdictName
from serin.engine import run, wording
from serin.engine.case import Case, Finding, first
from serin.engine.decision import (
    AddFinalizer,
    EnsureCanary,
    KeepTemplate,
    PromoteTemplate,
)
from serin.engine.evidence import without_samples
from serin.engine.history import histories
from serin.engine.holds import HOLDS, route_not_followed
from serin.engine.observation import ServiceObservation
from serin.engine.outcome import LATER, SOON, Outcome, hold, in_phase, next_look, waiting
from serin.engine.phrases import correct, lately, resume, watched, way_back
from serin.engine.record import touched
from serin.engine.restoring import removals, roll_back
from serin.engine.rollbacks import ROLLS_BACK, superseded
from serin.engine.stays import STAYS, enough_evidence, stage_time
from serin.engine.wording import timestamp

SHIFT: Final = "Shift"
TO_CANARY: Final = "ShiftToCanary"
TEMPLATE: Final = "PromoteTemplate"
TO_CONTROL: Final = "ShiftToControl"

_DAY: Final = 86_400.0


def pending(case: Case) -> Outcome:
    """Nothing has been touched by this run. Problems are said; without any, preparing begins."""
    if case.replaced and (found := superseded(case)) is not None:
        return roll_back(case, found)
    if case.seen.problems:
        return _refused(case)
    status = in_phase(case.status, Phase.PREPARING, "Preparing", "control has 100%, the canary is being set up")
    return Outcome(status, (), 0.0)


def preparing(case: Case) -> Outcome:
    """The finalizer, control at its full size, and the canary's Deployment come before any traffic."""
    if case.seen.problems and not case.replaced:
        return _refused(case)
    if (found := first(ROLLS_BACK, case)) is not None:
        return roll_back(case, found)
    if case.spec.paused:
        brief = "paused before the first stage by spec.paused; no traffic has moved"
        return hold(case, Finding("Paused", f"{brief}. {resume(case)}", brief=brief))
    status = msgspec.structs.replace(case.status, weight=0, mirror=0, stage="")
    if not case.seen.finalizer:
        status = run.with_sizes(status, case.seen)
        return Outcome(waiting(status, "Preparing", case.status.message), (AddFinalizer(),), 0.5)
    # A new run may find the last one's split: its canary is not given another template while it has traffic.
    if not run.settled(case.seen):
        note = _notes(case)
        text = f"control must have 100% and be ready before the first stage: {note}"
        return Outcome(waiting(status, "Preparing", text), run.shifts(case.spec, status, case.seen), SOON)
    missing = [
        EnsureCanary(service.name)
        for service in case.spec.services
        if service.canary.patch is not None and _to_make(case.seen.service(service.name))
    ]
    if missing:
        return Outcome(waiting(status, "Preparing", "making the canary's Deployment"), tuple(missing), SOON)
    templates = tuple(
        msgspec.structs.replace(each, control_template=_template(case.seen.service(each.name)))
        for each in status.services
    )
    status = msgspec.structs.replace(status, services=templates)
    return enter_stage(case, status, case.spec.stages[0])


def progressing(case: Case) -> Outcome:
    """A stage: reach its weight, count, judge, and go on when nothing keeps it."""
    if (found := first(ROLLS_BACK, case)) is not None:
        return roll_back(case, found)
    assert case.stage is not None
    status = case.status
    if status.step is None or not status.step.done:
        if not run.settled(case.seen):
            return _shifting(case, _moving(status))
        status = run.finish_step(case.spec, status, case.seen, case.now)
    if (found := first(HOLDS, case)) is not None:
        return hold(case, found, status)
    if (found := first(STAYS, _with_status(case, status))) is not None:
        if found.reason in {"WaitingForApproval", "InsufficientTraffic", "NoGoalData", "GoalsInconclusive"}:
            return hold(case, found, status)
        text = _granularity(case) + found.message + lately(status, case.now)
        brief = found.brief or found.message
        return Outcome(in_phase(status, Phase.PROGRESSING, found.reason, text), (), next_look(case), brief)
    if (later := run.next_stage(case.spec, case.stage)) is not None:
        return enter_stage(case, status, later)
    status = msgspec.structs.replace(status, stage="full")
    status = run.begin_step(status, TO_CANARY, 100, case.now)
    then = "; then control takes its template" if case.spec.promotion.mode != "TrafficOnly" else ""
    text = f"every stage has passed: moving all traffic to the canary{then}"
    return Outcome(in_phase(status, Phase.PROMOTING, "StagesPassed", text), (), 0.0)


def promoting(case: Case) -> Outcome:
    """The canary carries everything while control takes over its template; then traffic returns to control."""
    if (found := first(ROLLS_BACK, case)) is not None:
        return roll_back(case, found)
    step = case.status.step
    action = step.action if step is not None else TO_CANARY
    if action == TEMPLATE:
        return _promote_template(case)
    if not run.settled(case.seen):
        what = (
            "moving all traffic to the canary" if action == TO_CANARY else "returning traffic to the promoted control"
        )
        return _shifting(case, what)
    if action == TO_CANARY and (frozen := _frozen(case)) is not None:
        return frozen
    if action == TO_CONTROL or case.spec.promotion.mode == "TrafficOnly":
        status = msgspec.structs.replace(
            run.finish_step(case.spec, case.status, case.seen, case.now),
            stage="bake",
            stage_seconds=0.0,
            stage_started_at=timestamp(case.now),
            verdict=VerdictName.INSUFFICIENT,
            checkpoint=without_samples(case.status.checkpoint),
        )
        text = f"everything is served by the new version{watched(case)}"
        return Outcome(in_phase(status, Phase.BAKING, "Baking", text), (), 1.0)
    status = run.begin_step(case.status, TEMPLATE, 100, case.now)
    text = "the canary carries all traffic; control takes over its template"
    return Outcome(in_phase(status, Phase.PROMOTING, "StagesPassed", text), (), 0.0)


def baking(case: Case) -> Outcome:
    """The new version serves everything, still watched; a failure gives control its old template back."""
    if (found := first(ROLLS_BACK, case)) is not None:
        return roll_back(case, found)
    if case.spec.promotion.bake.seconds > 0:
        if (found := first(HOLDS, case)) is not None:
            return hold(case, found)
        if (found := first((stage_time, enough_evidence), case)) is not None:
            text = f"the new version serves everything; baking: {found.message}"
            brief = f"baking: {found.brief or found.message}"
            return Outcome(in_phase(case.status, Phase.BAKING, found.reason, text), (), next_look(case), brief)
    status = msgspec.structs.replace(case.status, ended_at=timestamp(case.now), stage="full")
    done = "control runs the canary's template with 100%, the canary is removed"
    if case.spec.promotion.mode == "TrafficOnly":
        done = "the canary has 100%; templates were left alone (promotion.mode TrafficOnly)"
    text = f"promoted at {wording.clock(case.now, case.now)}: {done}"
    return Outcome(in_phase(status, Phase.SUCCEEDED, "Promoted", text), (), 0.5)


def enter_stage(case: Case, status: Status, stage: Stage) -> Outcome:
    """The intent of a stage's weight; it is acted on at the next look, after it has been written."""
    # What copies have shown is not what users will meet: a first share is judged by its own requests alone.
    anew = bool(status.mirror)
    status = msgspec.structs.replace(
        status,
        stage=stage.name,
        stage_seconds=0.0,
        stage_started_at=timestamp(case.now),
        checkpoint=histories(status.checkpoint) if anew else without_samples(status.checkpoint),
        services=tuple(
            msgspec.structs.replace(
                each, copied=each.copied or stage.mirror is not None, guardrails=() if anew else each.guardrails
            )
            for each in status.services
        ),
        verdict=VerdictName.INSUFFICIENT,
    )
    status = run.begin_step(status, SHIFT, stage.weight, case.now, mirror=stage.mirror or 0)
    text = f"stage {stage.name}: {_moving(status)} for {stage.duration}"
    return Outcome(in_phase(status, Phase.PROGRESSING, "StageEntered", text), (), 0.0)


def _moving(status: Status) -> str:
    """What a stage's step does."""
    if status.mirror:
        return f"the canary is to get copies of {status.mirror}% of the requests, whose answers nobody sees,"
    return f"moving to {status.weight}%"


def _with_status(case: Case, status: Status) -> Case:
    """The same case with a later status."""
    return replace(case, status=status)


def _to_make(service: ServiceObservation) -> bool:
    return service.canary is None or service.canary_outdated


def _promote_template(case: Case) -> Outcome:
    """Keep first, then replace, then wait until control has rolled out; each seen before the next."""
    keep = tuple(KeepTemplate(each.name) for each in case.seen.services if not each.kept_template)
    if keep:
        return Outcome(in_phase(case.status, Phase.PROMOTING, "StagesPassed", "keeping control's template"), keep, 0.5)
    give = tuple(
        PromoteTemplate(each.name)
        for each in case.seen.services
        if each.control is not None and each.canary_template and each.control.template_hash != each.canary_template
    )
    if give:
        text = "control takes over the canary's template while the canary carries all traffic"
        return Outcome(in_phase(case.status, Phase.PROMOTING, "StagesPassed", text), give, 0.5)
    if not all(each.control is not None and each.control.rolled_out for each in case.seen.services):
        text = "control rolls out its new template while the canary carries all traffic"
        return Outcome(in_phase(case.status, Phase.PROMOTING, "StagesPassed", text), (), SOON)
    if (frozen := _frozen(case)) is not None:
        return frozen
    status = run.begin_step(case.status, TO_CONTROL, 0, case.now)
    text = "control has the new template; traffic returns to it"
    return Outcome(in_phase(status, Phase.PROMOTING, "StagesPassed", text), (), 0.0)


def _frozen(case: Case) -> Outcome | None:
    """Between two steps of a promotion, where the canary carries everything with all its pods: a pause waits here.

    What it serves meanwhile is counted as in the bake, for nobody else watches it.
    """
    if (found := first(HOLDS, case)) is None:
        return None
    status, step = case.status, case.status.step
    if step is not None and not step.done and run.settled(case.seen):
        status = run.finish_step(case.spec, status, case.seen, case.now)
    return hold(case, found, status)


def _shifting(case: Case, what: str) -> Outcome:
    text = f"{what}: {_notes(case)}{_patience(case)}"
    status = waiting(case.status, case.status.reason or "Shifting", text)
    acts = run.shifts(case.spec, status, case.seen)
    if (found := route_not_followed(case)) is not None:  # it is said and still tried
        return Outcome(hold(case, found).status, acts, SOON)
    if case.status.reason == "RouteNotFollowed":  # and now it is followed
        status = in_phase(status, case.position, "Shifting", text)
    return Outcome(status, acts, SOON)


def _patience(case: Case) -> str:
    """Until when the canary's pods are waited for."""
    step = case.status.step
    waits = [
        (max(wording.unix(step.started_at), each.canary.unavailable_since), each.canary.deadline)
        for each in case.seen.services
        if step and each.canary and each.canary.unavailable_since and each.canary.ready < each.canary.replicas
    ]
    ends = min((since + deadline for since, deadline in waits), default=None)
    if ends is None or ends - case.now > _DAY:
        return ""
    none = all(each.route.weight == 0 for each in case.seen.services)
    serves = "; all traffic is with control meanwhile" if none else ""
    late = f"{serves}; if they are not ready by {wording.clock(ends, case.now)}, it is rolled back"
    return f"{late}; to correct it sooner: {correct(case.spec)} (a new run); {way_back(case)}"


def _refused(case: Case) -> Outcome:
    problem = case.seen.problems[0]
    more = f" (and {len(case.seen.problems) - 1} more)" if len(case.seen.problems) > 1 else ""
    moved = touched(case.status, finalizer=case.seen.finalizer)
    # Before what is wrong: that may end with commands, which somebody copies.
    first_of_all = "" if moved else "no traffic has moved; "
    text = f"{first_of_all}it begins by itself when this is corrected: {problem.message}{more}"
    status = in_phase(case.status, Phase.PENDING, problem.reason, text)
    status = msgspec.structs.replace(status, weight=0, mirror=0, stage="")
    if not moved:
        return Outcome(status, (), LATER, problem.message)
    # An earlier run may have left traffic away from control. When it is back, control's size is its owner's again.
    if not run.settled(case.seen):
        return Outcome(status, run.shifts(case.spec, status, case.seen), SOON)
    return Outcome(run.without_sizes(status), removals(case) if case.seen.finalizer else (), SOON)


def _notes(case: Case) -> str:
    notes = [
        f"{each.name}: {each.route.note}" for each in case.seen.services if not each.route.settled and each.route.note
    ]
    return "; ".join(notes) or "waiting for the pods"


def _granularity(case: Case) -> str:
    """Says when a split can't be as fine as the stage asks."""
    coarse = [
        f"{each.name} at {each.observed_weight:g}% (the nearest its pods can give to {each.weight}%)"
        for each in case.status.services
        if each.observed_weight is not None and abs(each.observed_weight - each.weight) >= 1
    ]
    return f"{', '.join(coarse)}; " if coarse else ""


def _template(service: ServiceObservation) -> str:
    return service.control.template_hash if service.control is not None else ""
