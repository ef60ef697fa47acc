"""What a run has under its hands: the services as they were when traffic first moved, whatever the spec says now.

The spec can be edited at any moment, or become unreadable. The split that an earlier spec asked for does not go away by
that; without a record of its Deployments nobody would know any more where traffic and capacity were left.
"""

from typing import Any, Final

import msgspec

from serin.api.spec import Canary, Control, InvalidSpecError, Service, Spec, Traffic, canary_name
from serin.api.status import TERMINAL, Phase, ServiceStatus, Status
from serin.engine.observation import Workload

_AWAY: Final = frozenset({Phase.PROGRESSING, Phase.PROMOTING, Phase.BAKING, Phase.ROLLING_BACK})


def position(status: Status) -> Phase:
    """The phase that counts: Paused and Holding are only where it was stopped."""
    if status.phase in {Phase.PAUSED, Phase.HOLDING}:
        return status.resumes_to or Phase.PENDING
    return status.phase


def touched(status: Status, *, finalizer: bool) -> bool:
    """True while something of the run is, or may be, away from where it was.

    A size is recorded with the intent to touch anything, and the finalizer is set next. Somebody may remove the
    finalizer, and a status may get lost, so each of the two is enough. After the end the finalizer tells what is left.
    """
    if status.phase in TERMINAL and status.weight == 0:
        return finalizer
    return finalizer or position(status) in _AWAY or any(each.replicas for each in status.services)


def recorded(service: Service) -> ServiceStatus:
    """The record of a service at the start of a run; its size is added by who knows it."""
    return ServiceStatus(
        name=service.name, control=service.control.deployment, canary=canary_name(service), traffic=_traffic(service)
    )


def same_split(service: Service, record: ServiceStatus) -> bool:
    """True when `record` is of this service, its Deployments and its route; an older operator kept its name only."""
    if record.name != service.name:
        return False
    if not record.control:
        return True
    wanted = (service.control.deployment, canary_name(service), _traffic(service))
    return wanted == (record.control, record.canary, record.traffic)


def in_force(asked: Spec | InvalidSpecError, status: Status, *, finalizer: bool) -> Spec | None:
    """The spec to act on: `asked`, but with the services of the record as long as those have something to undo.

    Args:
        asked: what the user wants now, or why it can't be read.
        status: what was written last.
        finalizer: whether the experiment has Serin's finalizer, which it has while traffic may be away from control.

    Returns:
        None when the spec can't be read and nothing else tells which Deployments there are.
    """
    away = touched(status, finalizer=finalizer)
    if isinstance(asked, InvalidSpecError):
        # Names that can be read out of an unreadable spec help when an older operator kept none.
        known = {each.name: each for each in asked.services}
        services = tuple(_service(each, known.get(each.name)) for each in status.services) if away else ()
        found = tuple(each for each in services if each is not None) or asked.services
        return Spec(services=found) if found else None
    if not away or not replaced(asked, status):
        return asked
    wanted = {each.name: each for each in asked.services}
    services = tuple(_service(each, wanted.get(each.name)) for each in status.services)
    return msgspec.structs.replace(asked, services=tuple(each for each in services if each is not None))


def replaced(asked: Spec, status: Status) -> bool:
    """True when `asked` does not have the services of the record, each with the same Deployments, and no others.

    One more service counts too: until the split is undone, only Deployments that the run has touched are acted on.
    """
    known = [each for each in status.services if each.control]
    if not known:
        return False
    return len(known) != len(asked.services) or not all(
        any(same_split(service, each) for service in asked.services) for each in known
    )


def size(record: ServiceStatus | None, control: Workload | None, canary: Workload | None, *, finalizer: bool) -> int:
    """Control's full size in pods: as recorded, else as seen.

    Without a record while traffic may be away (the status was lost), the pods are with either of the two.
    """
    if record is not None and record.replicas:
        return record.replicas
    there = control.replicas if control is not None else 0
    return there + (canary.replicas if finalizer and canary is not None else 0)


def _service(record: ServiceStatus, asked: Service | None) -> Service | None:
    """The service that a record is of; None when neither it nor the spec names its Deployments."""
    if asked is not None and same_split(asked, record):
        return asked
    if not record.control:
        return None
    return Service(
        name=record.name,
        control=Control(deployment=record.control),
        canary=Canary(deployment=record.canary),
        traffic=msgspec.convert(record.traffic, Traffic),
    )


def _traffic(service: Service) -> dict[str, Any]:
    """What tells whose weights a split is made of. The number of pods is none of it."""
    if service.traffic.type == "Replicas":
        return {}
    found: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(service.traffic, replicas=None))
    return found
