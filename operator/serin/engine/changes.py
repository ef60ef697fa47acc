"""What others changed between two looks: the spec, a template, the split or control. It is noticed, and said once."""

from typing import Final

import msgspec

from serin.api.names import RETRY
from serin.api.spec import Spec
from serin.api.status import Phase, ServiceStatus, Status, VerdictName
from serin.engine import run
from serin.engine.conditions import with_note
from serin.engine.decision import EventNote
from serin.engine.history import histories
from serin.engine.observation import Observation
from serin.engine.split import pods_for
from serin.engine.wording import timestamp

_IN_STEP: Final = frozenset({Phase.PROGRESSING, Phase.PROMOTING, Phase.BAKING})
"""Where a change is acted on in the look that sees it; elsewhere it may have been seen before."""


def begun(
    spec: Spec, before: Status, status: Status, seen: Observation, now: float
) -> tuple[Status, tuple[EventNote, ...]]:
    """Says why another run begins, where the last one had got anywhere."""
    if not before.run_id or before.phase in {Phase.PENDING, Phase.PREPARING}:
        return status, ()
    text = f"another run began: {edited(spec, before, seen)}; control gets 100% first"
    note = EventNote("Normal", "NewRun", text)
    return with_note(status, note, now), (note,)


def edited(spec: Spec, before: Status, seen: Observation) -> str:
    """What asks for another run than the present one, as far as it can be told."""
    if before.observed_generation not in {0, seen.generation}:
        return f"the spec was changed (generation {before.observed_generation} -> {seen.generation})"
    if before.reason == "Superseded":
        return "what was to be tried had been changed"
    at_once, patched = run.position(before) in _IN_STEP, [each.canary.patch is not None for each in spec.services]
    if at_once and RETRY not in seen.annotations and not all(patched):
        return "the canary's template was changed"
    if at_once and RETRY in seen.annotations and all(patched):
        return "a retry was asked for"
    return "the spec or the canary's template was changed, or a retry was asked for"


def noticed(spec: Spec, status: Status, seen: Observation, now: float) -> tuple[Status, tuple[EventNote, ...]]:
    """Changes that somebody else made to the split or to control, between two looks."""
    position = run.position(status)
    if position not in {Phase.PROGRESSING, Phase.PROMOTING} or status.step is None or not status.step.done:
        return status, ()
    if all(each.route_token == seen.service(each.name).route.token for each in status.services):
        return status, ()
    # While promoting, control's template is Serin's to change.
    watched = status.services if position is Phase.PROGRESSING else ()
    rolled = [each.name for each in watched if _rolled_by_another(each, seen)]
    status = run.begin_step(status, status.step.action, status.weight, now, mirror=status.mirror)
    if not rolled:
        moved = [each.name for each in status.services if each.route_token != seen.service(each.name).route.token]
        if any(seen.service(name).canary is None for name in moved):
            return status, ()  # not a split that is set again: the rules say what becomes of it
        text = f"the split of {', '.join(moved)} was changed by somebody else"
        text += f" ({_sizes(spec, status, seen, moved)}); Serin sets it again and counts from then on"
        note = EventNote("Warning", "SplitChanged", text)
        return with_note(status, note, now), (note,)
    services = tuple(
        msgspec.structs.replace(each, control_template=_template(each, seen), guardrails=()) for each in status.services
    )
    status = msgspec.structs.replace(
        status,
        services=services,
        checkpoint=histories(status.checkpoint),
        stage_seconds=0.0,
        stage_started_at=timestamp(now),
        verdict=VerdictName.INSUFFICIENT,
        first_bad_look="",
    )
    text = f"control of {', '.join(rolled)} was rolled by somebody else; evidence and the stage start again"
    note = EventNote("Warning", "ControlChanged", text)
    return with_note(status, note, now), (note,)


def _sizes(spec: Spec, status: Status, seen: Observation, names: list[str]) -> str:
    """What the split of each service is at the moment, and what it is to be: pods where they are the split."""
    found = []
    for each in (seen.service(name) for name in names):
        if run.by_pods(each, status):
            wanted = pods_for(status.weight, run.split_total(spec.service(each.name), status))
            sizes = [0 if one is None else one.replicas for one in (each.control, each.canary)]
            text = f"control had {sizes[0]} pods and the canary {sizes[1]}, wanted are {wanted[0]} and {wanted[1]}"
        elif status.mirror:
            text = f"wanted are copies of {status.mirror}% of the requests, and no share"
        elif each.route.weight is None:
            text = "the canary's share could not be told"
        else:
            text = f"the canary's share was {each.route.weight:.3g}%, wanted is {status.weight}%"
        found.append(text if len(names) == 1 else f"{each.name}: {text}")
    return "; ".join(found)


def _rolled_by_another(service: ServiceStatus, seen: Observation) -> bool:
    return bool(service.control_template) and _template(service, seen) != service.control_template


def _template(service: ServiceStatus, seen: Observation) -> str:
    control = seen.service(service.name).control
    return service.control_template if control is None else control.template_hash
