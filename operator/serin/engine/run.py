"""What belongs to one run: its identity, its sizes, its clock. Small pure helpers that the phases share."""

import hashlib
import json
import math

import msgspec

from serin.api.names import APPROVE, RETRY
from serin.api.spec import Service, Spec, Stage, spec_to_json
from serin.api.status import TERMINAL, Phase, ServiceStatus, Status, Step
from serin.engine import record
from serin.engine.decision import Shift
from serin.engine.observation import Observation, ServiceObservation
from serin.engine.parts import parts_of
from serin.engine.record import position
from serin.engine.wording import timestamp, unix

__all__ = [
    "approved",
    "begin_step",
    "by_pods",
    "copies",
    "finish_step",
    "new_run",
    "new_run_may_begin",
    "next_stage",
    "position",
    "run_id",
    "settled",
    "shifts",
    "split_total",
    "stage_of",
    "step_age",
    "with_services",
    "with_sizes",
    "without_sizes",
]


def run_id(spec: Spec, status: Status, seen: Observation) -> str:
    """The identity of the run that the cluster asks for now: the same inputs always give the same run.

    What is tried makes the run: the spec without its switches, the canary's template, the number of the retry. A canary
    that can't be seen at the moment leaves the present run alone, if it is the one of the present run.
    """
    tried: list[str] = []
    known = {each.name: each for each in status.services}
    for service in spec.services:
        if service.canary.deployment is None:
            continue
        canary = _seen(seen, service.name)
        ours = service.name in known and record.same_split(service, known[service.name])
        if (canary is None or canary.canary is None) and status.run_id and ours:
            return status.run_id
        tried.append(canary.canary.template_hash if canary is not None and canary.canary is not None else "")
    wanted = {key: value for key, value in spec_to_json(spec).items() if key not in {"paused", "abort"}}
    text = json.dumps([seen.uid, wanted, tried, seen.annotations.get(RETRY, "")], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def new_run_may_begin(spec: Spec, status: Status, seen: Observation) -> bool:
    """True when another run is asked for, and the present one has left nothing that only it knows of."""
    undone_first = {Phase.PROMOTING, Phase.BAKING, Phase.ROLLING_BACK}
    if position(status) in undone_first or run_id(spec, status, seen) == status.run_id:
        return False
    # What an ended run leaves behind (a kept template, a canary that was made) is named by it: it goes first.
    return not (status.phase in TERMINAL and status.weight == 0 and seen.finalizer)


def new_run(spec: Spec, status: Status, seen: Observation, now: float) -> Status:
    """The status at the start of a run. Control's size is carried over when traffic may still be away from it."""
    back = status.phase in TERMINAL and status.weight == 0
    away = {} if back else {each.name: each for each in status.services}
    services = []
    for service in spec.services:
        known = away.get(service.name, ServiceStatus(name=service.name))
        kept = {"replicas": known.replicas, "copied": known.copied}
        services.append(msgspec.structs.replace(record.recorded(service), **kept))
    return Status(
        run_id=run_id(spec, status, seen),
        run_parts=parts_of(spec, seen),
        started_at=timestamp(now),
        stale_approval=_stale_approval(status, seen),
        services=tuple(services),
        conditions=status.conditions,
        transitions=status.transitions,
    )


def approved(status: Status, seen: Observation, what: str) -> bool:
    """Whether the annotation serin.dev/approve says `what` of this run: `what` alone, or with the run's id behind it.

    The annotation outlives its run; one that the run found when it began says nothing about this release.
    """
    given = seen.annotations.get(APPROVE, "")
    return given != status.stale_approval and given in {what, f"{what}/{status.run_id}"}


def stage_of(spec: Spec, status: Status) -> Stage | None:
    """The stage under way; the bake counts as one."""
    if position(status) is Phase.BAKING:
        return Stage(name="bake", weight=100, duration=spec.promotion.bake)
    return next((stage for stage in spec.stages if stage.name == status.stage), None)


def next_stage(spec: Spec, stage: Stage) -> Stage | None:
    """The stage behind another one; None behind the last."""
    return next((each for each in spec.stages if each.weight > stage.weight), None)


def split_total(service: Service, status: Status) -> int:
    """How many pods the two Deployments of a service have together, as the present phase wants it.

    `traffic.replicas.total` is for the stages; when traffic is back with control it has the size that it had before.
    """
    size = next((each.replicas for each in status.services if each.name == service.name), 0)
    wish = service.traffic.replicas.total if service.traffic.replicas is not None else None
    shifting = position(status) in {Phase.PREPARING, Phase.PROGRESSING}
    return wish if wish is not None and shifting else size


def shifts(spec: Spec, status: Status, seen: Observation) -> tuple[Shift, ...]:
    """The acts that bring each service that isn't there yet to the status's weight."""
    urgent = status.phase is Phase.ROLLING_BACK and not seen.deleting
    return tuple(
        Shift(service.name, status.weight, split_total(service, status), urgent, copies(status, service.name))
        for service in spec.services
        if (each := seen.service(service.name)).control is not None
        if not each.control.deleting and not each.route.settled
    )


def copies(status: Status, service: str) -> int | None:
    """Percent of a service's requests that are to be copied; None for a run that has copied nothing."""
    had = any(each.name == service and each.copied for each in status.services)
    return status.mirror if had or status.mirror else None


def by_pods(service: ServiceObservation, status: Status) -> bool:
    """True when the split of a service is the number of its pods."""
    return any(each.name == service.name and not each.traffic for each in status.services)


def settled(seen: Observation) -> bool:
    """Every service is at the weight, and nothing moves."""
    return all(service.route.settled for service in seen.services)


def begin_step(status: Status, action: str, weight: int, now: float, *, mirror: int = 0) -> Status:
    """The intent of the next effect. Counting stops until it has been seen."""
    number = status.step.number + 1 if status.step is not None else 1
    step = Step(number=number, action=action, weight=weight, mirror=mirror, started_at=timestamp(now))
    return msgspec.structs.replace(status, step=step, weight=weight, mirror=mirror, counted_until="")


def finish_step(spec: Spec, status: Status, seen: Observation, now: float) -> Status:
    """The outcome: what the routers read is kept, and counting starts after a whole look that is left out.

    Half an interval makes sure that the first sample behind a look is from after the change. The whole one is for pods
    that have just started: they connect, fill caches and compile, and that is slow in every version.
    """
    assert status.step is not None
    interval = spec.analysis.interval.seconds
    begin = math.ceil((now + interval * 3 / 2) / interval) * interval
    services = tuple(
        msgspec.structs.replace(each, route_token=seen.service(each.name).route.token) for each in status.services
    )
    step = msgspec.structs.replace(status.step, done=True)
    return msgspec.structs.replace(status, step=step, services=services, counted_until=timestamp(begin))


def step_age(status: Status, now: float) -> float:
    """Seconds since the present step began; 0 when it is done."""
    step = status.step
    return now - unix(step.started_at) if step is not None and not step.done else 0.0


def with_services(spec: Spec, status: Status, seen: Observation) -> Status:
    """What is observed of each service, for the reader."""
    known = {each.name: each for each in status.services}
    services = []
    for service in spec.services:
        now_seen = _seen(seen, service.name)
        each = known.get(service.name)
        if each is None or not each.control:
            named = record.recorded(service)
            names = {"control": named.control, "canary": named.canary, "traffic": named.traffic}
            each = msgspec.structs.replace(each or named, **names)
        if seen.finalizer and not each.replicas:  # the status was lost, or an older operator wrote it
            each = msgspec.structs.replace(each, replicas=_size(each, now_seen, seen))
        if now_seen is not None:
            weight = now_seen.route.weight
            each = msgspec.structs.replace(
                each,
                weight=status.weight,
                observed_weight=None if weight is None else round(weight, 1),
                ready=_ready(now_seen),
            )
        services.append(each)
    return msgspec.structs.replace(status, services=tuple(services))


def _stale_approval(status: Status, seen: Observation) -> str:
    """The approval that an earlier run left behind; one that the very first run finds was meant for it."""
    return seen.annotations.get(APPROVE, "") if status.run_id else ""


def _size(known: ServiceStatus | None, service: ServiceObservation | None, seen: Observation) -> int:
    control, canary = (service.control, service.canary) if service is not None else (None, None)
    return record.size(known, control, canary, finalizer=seen.finalizer)


def with_sizes(status: Status, seen: Observation) -> Status:
    """The record of what is about to be touched. Until then control's owner may change its size."""
    services = tuple(
        each if each.replicas else msgspec.structs.replace(each, replicas=_size(each, _seen(seen, each.name), seen))
        for each in status.services
    )
    return msgspec.structs.replace(status, services=services)


def without_sizes(status: Status) -> Status:
    """The record of a run that has nothing under its hands."""
    services = tuple(msgspec.structs.replace(each, replicas=0) for each in status.services)
    return msgspec.structs.replace(status, services=services)


def _ready(service: ServiceObservation) -> str:
    parts = []
    for role, workload in (("control", service.control), ("canary", service.canary)):
        parts.append(f"{role} {'missing' if workload is None else f'{workload.ready}/{workload.replicas}'}")
    return ", ".join(parts)


def _seen(seen: Observation, name: str) -> ServiceObservation | None:
    return next((each for each in seen.services if each.name == name), None)
