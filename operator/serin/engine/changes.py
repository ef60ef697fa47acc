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
from serin.engine.observation import Observation, ServiceObservation
from serin.engine.parts import changed, clause
from serin.engine.phrases import who
from serin.engine.split import pods_for
from serin.engine.wording import timestamp

_SAME: Final = 0.05
"""Points that two shares may differ by and still read the same."""

_IN_STEP: Final = frozenset({Phase.PROGRESSING, Phase.PROMOTING, Phase.BAKING})
"""Where a change is acted on in the look that sees it; elsewhere it may have been seen before."""


def begun(
    spec: Spec, before: Status, status: Status, seen: Observation, now: float
) -> tuple[Status, tuple[EventNote, ...]]:
    """Says why another run begins, where the last one had got anywhere."""
    if not before.run_id or before.phase in {Phase.PENDING, Phase.PREPARING}:
        return status, ()
    owners = [each.owner for each in changed(before, spec, seen)]
    text = f"another run began: {edited(spec, before, seen)}; control gets 100% first. By whom: "
    text += who(seen, owners[0] if owners else "")
    note = EventNote("Normal", "NewRun", text)
    return with_note(status, note, now), (note,)


def edited(spec: Spec, before: Status, seen: Observation) -> str:
    """What asks for another run than the present one, as far as it can be told."""
    another = before.observed_generation not in {0, seen.generation}
    generation = f" (generation {before.observed_generation} -> {seen.generation})" if another else ""
    if found := changed(before, spec, seen):
        return clause(found) + generation
    if another:
        return f"the spec was changed{generation}"
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
        text = f"somebody else changed {_moves(spec, status, seen, moved)}; what is served until then is not counted"
        text += _by_whom(spec, status, seen, moved)
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
    theirs = [each.control for each in watched if each.name in rolled]
    text = f"somebody else changed the pod template of control (Deployment {', '.join(theirs)}); the stage and its"
    text += " evidence begin again"
    if len(theirs) == 1:
        text += f". Who it was: {who(seen, f'deployment {theirs[0]}')}"
    note = EventNote("Warning", "ControlChanged", text)
    return with_note(status, note, now), (note,)


def _moves(spec: Spec, status: Status, seen: Observation, names: list[str]) -> str:
    """From which split to which each service was brought, and what Serin does about it."""
    found = {name: text for name in names if (text := _move(spec, status, seen.service(name)))}
    if not found:
        return f"the route or a Deployment of {', '.join(names)}, but not the split. Serin verifies it again"
    texts = found.values() if len(names) == 1 else (f"{name}: {text}" for name, text in found.items())
    return f"the split of {', '.join(found)} ({'; '.join(texts)}). Serin sets it back"


def _move(spec: Spec, status: Status, service: ServiceObservation) -> str:
    """In pods where they are the split; empty where the split is as it was."""
    weight = service.route.weight
    if run.by_pods(service, status):
        sizes = _sizes(spec, status, service)
        return ", ".join(f"{role} from {want} to {have} pods" for role, want, have in sizes)
    if status.mirror:
        return f"it is to be copies of {status.mirror}% of the requests, and no share"
    if weight is None:
        return f"the canary's share from {status.weight}% to one that can't be told"
    return "" if abs(weight - status.weight) < _SAME else f"the canary's share from {status.weight}% to {weight:.3g}%"


def _sizes(spec: Spec, status: Status, service: ServiceObservation) -> list[tuple[str, int, int]]:
    """Role, pods that are wanted, pods that there are: of the Deployments that have another size."""
    wanted = pods_for(status.weight, run.split_total(spec.service(service.name), status))
    sizes = [0 if one is None else one.replicas for one in (service.control, service.canary)]
    both = zip(("control", "canary"), wanted, sizes, strict=True)
    return [(role, want, have) for role, want, have in both if want != have]


def _by_whom(spec: Spec, status: Status, seen: Observation, names: list[str]) -> str:
    """What shows who it was; where one resource alone was changed."""
    if len(names) > 1:
        return ""
    service, traffic = seen.service(names[0]), spec.service(names[0]).traffic
    if run.by_pods(service, status):
        roles = [role for role, *_ in _sizes(spec, status, service)]
        one = {"control": service.control, "canary": service.canary}[roles[0]] if len(roles) == 1 else None
        return f". Who it was: {who(seen, f'deployment {one.name}')}" if one is not None else ""
    return f". Who it was: {who(seen, f'httproute {traffic.http_route.name}')}" if traffic.http_route else ""


def _rolled_by_another(service: ServiceStatus, seen: Observation) -> bool:
    return bool(service.control_template) and _template(service, seen) != service.control_template


def _template(service: ServiceStatus, seen: Observation) -> str:
    control = seen.service(service.name).control
    return service.control_template if control is None else control.template_hash
