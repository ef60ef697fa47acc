"""The way back: control gets its template, its size and all traffic; and how a run ends.

It needs neither Prometheus nor a ready canary, and like every phase it assumes nothing of what was done before.
"""

from typing import Final

import msgspec

from serin.api.status import TERMINAL, Phase
from serin.engine import obstacles, run, wording
from serin.engine.case import Case, Finding
from serin.engine.decision import Act, RemoveCanary, RemoveFinalizer, RestoreTemplate
from serin.engine.observation import ServiceObservation
from serin.engine.outcome import SOON, Outcome, in_phase
from serin.engine.phrases import command, correct
from serin.engine.rollbacks import superseded
from serin.engine.wording import timestamp

RESTORE: Final = "Restore"


def roll_back(case: Case, found: Finding) -> Outcome:
    """One way: from here control gets its template, its size and all traffic back."""
    status = run.begin_step(case.status, RESTORE, 0, case.now)
    status = msgspec.structs.replace(
        status,
        found_at=timestamp(case.now),
        first_bad_look=timestamp(case.counted.first_bad_look) if case.counted.first_bad_look else "",
    )
    status = in_phase(status, Phase.ROLLING_BACK, found.reason, found.message)
    return Outcome(msgspec.structs.replace(status, resumes_to=found.ends_as), _restoring(case), 0.5, found.brief)


def rolling_back(case: Case) -> Outcome:
    """Drives towards control at 100 % until it is seen; needs neither Prometheus nor a ready canary."""
    status = case.status
    cause = next((each.message for each in reversed(status.transitions) if each.to == Phase.ROLLING_BACK), "")
    cause = cause or status.message
    if (going := _on_its_way_back(case, cause)) is not None:
        return going
    ends_as = status.resumes_to or Phase.ROLLED_BACK
    begun = wording.unix(status.found_at)
    how = "Failed, and rolled back" if ends_as is Phase.FAILED else "Rolled back"
    template = ", with its old template," if status.stage in {"full", "bake"} else ""
    text = (
        f"{how} at {wording.clock(begun, case.now)}: {wording.sentence(cause)}"
        f" Control{template} has had 100% again since {wording.clock(case.now, case.now)}."
        f" {_what_next(case)}"
    )
    assert status.step is not None
    status = msgspec.structs.replace(
        status,
        restored_at=timestamp(case.now),
        ended_at=timestamp(case.now),
        step=msgspec.structs.replace(status.step, done=True),
        resumes_to=None,
        counted_until="",
        checkpoint={},
    )
    summary = obstacles.cause(status.summary)
    return Outcome(msgspec.structs.replace(status, phase=ends_as, message=text), (), 0.5, summary)


def ended(case: Case) -> Outcome:
    """Nothing moves any more; what Serin made is removed, then the finalizer."""
    kept_on_canary = case.status.phase is Phase.SUCCEEDED and case.status.weight > 0  # promotion.mode TrafficOnly
    if kept_on_canary and (found := superseded(case)) is not None:
        return roll_back(case, found)
    if not case.seen.finalizer or kept_on_canary:
        return Outcome(case.status, (), 3600.0)
    return Outcome(case.status, removals(case), SOON)


def deleting(case: Case) -> Outcome:
    """Deleting gives control 100 % and removes only what Serin made; the finalizer waits for it."""
    if not case.seen.finalizer:
        return Outcome(case.status, (), 3600.0)
    status = case.status
    if status.phase in TERMINAL and status.weight == 0:
        return Outcome(status, removals(case), SOON)
    text = "the experiment was deleted: control gets 100% back"
    if status.phase is not Phase.ROLLING_BACK:
        return roll_back(case, Finding("Deleted", text))
    return _on_its_way_back(case, text) or Outcome(status, removals(case), SOON)


def _what_next(case: Case) -> str:
    """What somebody does after a rollback."""
    again = command(case, "retry")
    lost = {each.name for each in case.seen.services if each.canary is None}
    theirs = [each.canary.deployment for each in case.spec.services if each.name in lost and each.canary.deployment]
    made = f"Create Deployment {theirs[0]} again: that is a new run" if theirs else f"To try again: {again}"
    return {
        "Superseded": "The new run begins by itself",
        "Aborted": f"To try again (spec.abort is set to false by it): {again}",
        "CanaryDeleted": made,
    }.get(case.status.reason, _corrected(case, again))


def _corrected(case: Case, again: str) -> str:
    anew = f"Correct {correct(case.spec)}: a new run then begins by itself"
    return f"This run has ended. {anew}. To try the same again: {again}"


def _restoring(case: Case) -> tuple[Act, ...]:
    templates: tuple[Act, ...] = tuple(
        RestoreTemplate(each.name) for each in case.seen.services if each.kept_template and _promoted(each)
    )
    status = msgspec.structs.replace(case.status, weight=0, mirror=0, phase=Phase.ROLLING_BACK)
    return (*templates, *run.shifts(case.spec, status, case.seen))


def _on_its_way_back(case: Case, cause: str) -> Outcome | None:
    """What is still to be given back, and what that waits for; None when control has everything."""
    acts, left = _restoring(case), obstacles.left(case)
    if not acts and not left:
        return None
    notes = "; ".join(f"{each.name}: {each.route.note}" for each in left if each.route.note)
    still = "; ".join(
        f"the canary of {each.name} still has {each.route.weight:.3g}% of the traffic"
        for each in left
        if each.route.weight and not each.route.trouble  # what is written is not what is served: the note has both
    )
    waits = "; ".join(part for part in (still, notes) if part)
    text = cause
    if waits:
        text = f"{wording.sentence(cause)} Rolling back: {wording.sentence(waits)} It goes on by itself until control"
        text += f" has everything{obstacles.advice(case, left)}"
    status = msgspec.structs.replace(case.status, weight=0, mirror=0, message=text)
    return Outcome(status, acts, SOON, obstacles.summary(case))


def _promoted(service: ServiceObservation) -> bool:
    control = service.control
    return control is not None and not control.deleting and control.template_hash != service.original_template


def removals(case: Case) -> tuple[Act, ...]:
    """What Serin made goes first, then the finalizer that waited for it."""
    return (*(RemoveCanary(service.name) for service in case.spec.services), RemoveFinalizer())
