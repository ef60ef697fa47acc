"""`decide`: the whole behaviour of Serin as one pure function.

Its order is the policy: a new run begins before anything else is considered, counts are taken only where the split was
verified, rollback comes before holding, holding before going on. What a phase does is in `phases`, why in `rules`.
"""

from dataclasses import replace
from typing import Final

import msgspec

from serin.api.names import APPROVE
from serin.api.spec import InvalidSpecError, Spec
from serin.api.status import TERMINAL, Phase, ServiceStatus, Status, VerdictName
from serin.engine import changes, obstacles, phases, record, restoring, run, sample_ratio
from serin.engine.case import Case
from serin.engine.conditions import significant, with_conditions, with_transition
from serin.engine.decision import AddFinalizer, Decision, EventNote, RemoveFinalizer
from serin.engine.evidence import Counted, count_looks, worst
from serin.engine.goals import judging
from serin.engine.history import with_history
from serin.engine.observation import Observation
from serin.engine.outcome import Outcome
from serin.engine.tested import Fed
from serin.engine.wording import brief, length, timestamp, unix

_STALLED_AFTER: Final = 600.0
"""Seconds after which a step that has not been seen is called stalled (the Deployment's own default deadline)."""
_STALLED_BACK: Final = 60.0
"""The same of the way back, which is urgent."""

_COUNTING: Final = frozenset({Phase.PROGRESSING, Phase.PROMOTING, Phase.BAKING})
"""Where looks are counted while the step is done; of a promotion that is so only where a pause holds it."""

_SUPERSEDES: Final = frozenset({Phase.PROMOTING, Phase.BAKING})
"""Where another wish first ends the run; in what it differs is worked out there alone, for that costs some hashes."""

_PHASES: Final = {
    Phase.PENDING: phases.pending,
    Phase.PREPARING: phases.preparing,
    Phase.PROGRESSING: phases.progressing,
    Phase.PROMOTING: phases.promoting,
    Phase.BAKING: phases.baking,
    Phase.ROLLING_BACK: restoring.rolling_back,
    Phase.SUCCEEDED: restoring.ended,
    Phase.ROLLED_BACK: restoring.ended,
    Phase.FAILED: restoring.ended,
}


def decide(
    spec: Spec | InvalidSpecError, status: Status, observation: Observation, now: float, fed: Fed | None = None
) -> Decision:
    """What to write, what to do, and when to look again.

    Args:
        spec: the parsed spec, or the error that says why it can't be read.
        status: what was written last, possibly by a predecessor that crashed.
        observation: what the cluster and Prometheus say now.
        now: Unix time in seconds.
        fed: what `together` worked out for many at once; it changes nothing but the time that this takes.
    """
    before = status
    if isinstance(spec, InvalidSpecError):
        return _unreadable(spec, before, observation, now)
    asked, spec = spec, record.in_force(spec, status, finalizer=observation.finalizer) or spec
    replaced, begun = spec is not asked, ()  # type: bool, tuple[EventNote, ...]
    if not observation.deleting and not replaced and run.new_run_may_begin(spec, status, observation):
        observation = _unsettled(observation) if status.weight or status.mirror else observation
        status, begun = changes.begun(spec, before, run.new_run(spec, status, observation, now), observation, now)
    stale = status.stale_approval if observation.annotations.get(APPROVE) == status.stale_approval else ""
    status = msgspec.structs.replace(status, observed_generation=observation.generation, stale_approval=stale)
    status = run.with_services(spec, status, observation)
    status = with_history(status, observation)
    status, drift = changes.noticed(spec, status, observation, now)
    observation = _fresh(status, observation)
    status, counted = _count(spec, status, observation, fed)
    status = judging.count(spec, status, observation)
    status = sample_ratio.count_users(spec, status, observation)
    status = sample_ratio.shown(spec, sample_ratio.with_acceptance(spec, status, observation))
    position = run.position(status)
    edited = changes.edited(spec, before, observation) if position in _SUPERSEDES else ""
    case = Case(spec, status, observation, counted, position, run.stage_of(spec, status), now, replaced, edited)
    outcome = restoring.deleting(case) if observation.deleting else _PHASES[position](case)
    return _finished(before, outcome, case, (*begun, *drift))


def _unsettled(seen: Observation) -> Observation:
    """The routers judged the split against the weight of the last run; against the new run's it has yet to be read."""
    services = tuple(
        replace(each, route=replace(each.route, settled=False)) if each.route.settled else each
        for each in seen.services
    )
    return replace(seen, services=services)


def _fresh(status: Status, seen: Observation) -> Observation:
    """Only the looks that were not counted yet: an older one says nothing about now."""
    until = unix(status.counted_until) - 0.5
    looks = tuple(look for look in seen.looks if status.counted_until and look.ends_at - look.seconds >= until)
    return seen if len(looks) == len(seen.looks) else replace(seen, looks=looks)


def _count(spec: Spec, status: Status, seen: Observation, fed: Fed | None) -> tuple[Status, Counted]:
    """Takes the looks into account that were measured at the verified split."""
    looks = seen.looks if counts(status) and not seen.deleting else ()
    until = unix(status.counted_until)
    counted = count_looks(
        spec,
        status.checkpoint,
        looks,
        baking=bakes(status),
        counted_until=until,
        first_bad_look=unix(status.first_bad_look),
        fed=fed,
    )
    if not looks:
        return status, counted
    services = tuple(
        msgspec.structs.replace(each, guardrails=counted.guardrails.get(each.name, each.guardrails))
        for each in status.services
    )
    frozen = spec.paused or sample_ratio.holds(spec, status) is not None
    status = msgspec.structs.replace(
        status,
        checkpoint=counted.checkpoint,
        services=services,
        counted_until=timestamp(counted.counted_until),
        first_bad_look=timestamp(counted.first_bad_look) if counted.first_bad_look else "",
        stage_seconds=status.stage_seconds + (0.0 if frozen else counted.measured_seconds),
        verdict=_joint(counted, services),
    )
    return sample_ratio.count_requests(spec, status, looks, counted.counted_until), counted


def counts(status: Status) -> bool:
    """Whether looks are counted: the split is the one that the status wants."""
    return run.position(status) in _COUNTING and status.step is not None and status.step.done


def bakes(status: Status) -> bool:
    """Whether both variants are the new version."""
    return run.position(status) in {Phase.PROMOTING, Phase.BAKING}


def _joint(counted: Counted, services: tuple[ServiceStatus, ...]) -> VerdictName:
    """The worst of all guardrails as last judged, and NoData when the last look had none."""
    parts = [VerdictName(guardrail.verdict) for service in services for guardrail in service.guardrails]
    if counted.unmeasured:
        parts.append(VerdictName.NO_DATA)
    return worst(parts)


def _finished(
    before: Status, outcome: Outcome, case: Case, drift: tuple[EventNote, ...], *, readable: bool = True
) -> Decision:
    """Transitions, conditions and Events; and whether the status is worth a write of its own."""
    kept = before.summary if outcome.status.message == before.message else brief(outcome.status.message)
    after = msgspec.structs.replace(outcome.status, summary=brief(outcome.summary) or kept)
    after, events = with_transition(before, after, case.now)
    accepted = readable and not (case.seen.problems and run.position(after) is Phase.PENDING)
    age = run.step_age(after, case.now)
    back = after.phase is Phase.ROLLING_BACK
    stalled, obstacle = "", obstacles.obstacle(case) if back else ""
    if obstacle or age > (_STALLED_BACK if back else _STALLED_AFTER):
        first = f"{obstacle}; " if obstacle else ""
        stalled = f"{first}{'rolling back for' if back else 'no progress for'} {length(age)}: {after.message}"
    measured = None
    if case.position in _COUNTING and case.seen.looks:
        measured = not case.counted.unmeasured
    elif case.position in _COUNTING:
        measured = next((c.status == "True" for c in before.conditions if c.type == "MetricsAvailable"), None)
    after = with_conditions(
        before,
        after,
        accepted=accepted,
        measured=measured,
        routed=after.step is None or after.step.done,
        unfollowed=next((each.route.trouble for each in case.seen.services if each.route.unfollowed), ""),
        stalled=stalled,
        split=sample_ratio.condition(case.spec, before, after),
        now=case.now,
    )
    acts = outcome.acts
    taken = not case.seen.finalizer and record.touched(after, finalizer=False)
    if taken and not case.seen.deleting and AddFinalizer() not in acts:
        acts = (AddFinalizer(), *acts)  # somebody took it away
    written = significant(before, after) or bool(acts and before.step != after.step)
    wake = 0.5 if after.phase != before.phase and after.phase not in TERMINAL else outcome.wake
    return Decision(after, acts, (*drift, *events), wake, written)


def _unreadable(error: InvalidSpecError, before: Status, seen: Observation, now: float) -> Decision:
    """A spec that can't be read never moves traffic to a canary: a run under way stays where it is, and says so.

    What is on its way back goes on, and so does what is deleted: the record of the run tells what to give back.
    """
    stays = before.phase in {*TERMINAL, Phase.ROLLING_BACK}
    if seen.deleting or (stays and seen.finalizer):
        return _undone(error, before, seen, now)
    started = not stays and run.position(before) not in {Phase.PENDING, Phase.PREPARING}
    after = msgspec.structs.replace(
        before,
        observed_generation=seen.generation,
        phase=Phase.HOLDING if started else before.phase if stays else Phase.PENDING,
        resumes_to=run.position(before) if started else before.resumes_to if stays else None,
        reason="InvalidSpec",
        message=str(error),
        summary=brief(str(error)),
    )
    after, events = with_transition(before, after, now)
    said = sample_ratio.said_before(before)
    after = with_conditions(before, after, accepted=False, measured=None, routed=True, stalled="", now=now, split=said)
    return Decision(after, (), events, 60.0, significant(before, after))


def _undone(error: InvalidSpecError, before: Status, seen: Observation, now: float) -> Decision:
    """The way back of an experiment whose spec can't be read."""
    spec = record.in_force(error, before, finalizer=seen.finalizer)
    if spec is None:
        text = "not restored: neither the spec nor the status says which Deployments this experiment had; see to the"
        text += f" sizes of control and canary yourself ({error})"
        acts = (RemoveFinalizer(),) if seen.finalizer else ()
        lost = msgspec.structs.replace(before, reason="NotRestored", message=text, summary=brief(text))
        return Decision(lost, acts, (EventNote("Warning", "NotRestored", text),) if acts else (), 60.0)
    status = msgspec.structs.replace(before, observed_generation=seen.generation)
    status = run.with_services(spec, status, seen)
    counted = count_looks(spec, status.checkpoint, (), baking=False, counted_until=0.0, first_bad_look=0.0)
    case = Case(spec, status, seen, counted, run.position(status), None, now)
    way_back = restoring.rolling_back if status.phase is Phase.ROLLING_BACK else restoring.ended
    return _finished(before, restoring.deleting(case) if seen.deleting else way_back(case), case, (), readable=False)
