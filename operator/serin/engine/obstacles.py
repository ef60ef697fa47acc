"""What keeps a rollback or a deletion from ending, and what somebody can do about it.

Control's pods need room in the cluster, and a route needs a controller that follows it. Neither is Serin's to give, and
whoever reads that all of it goes on by itself would wait for ever.
"""

from collections.abc import Sequence
from typing import Final

from serin.engine import run, wording
from serin.engine.case import Case
from serin.engine.observation import ServiceObservation
from serin.engine.phrases import described

_WAITS: Final = "; it waits: "
"""Between the cause and the obstacle in a summary."""
_LEAST: Final = 24
"""Characters of an obstacle that are worth their place in a table."""
_NODES: Final = "nodes are available: "
"""Behind this the scheduler says what they lack."""


def gone(service: ServiceObservation) -> bool:
    """A Deployment that is gone, or is going with its namespace, has nothing to be given back."""
    return service.control is None or service.control.deleting


def left(case: Case) -> list[ServiceObservation]:
    """The services of which control does not have everything yet."""
    return [each for each in case.seen.services if not (gone(each) or each.route.settled)]


def obstacle(case: Case) -> str:
    """The first thing that somebody has to see to before the way back can end; empty while it just takes its time."""
    return next((f"{each.name}: {found}" for each in left(case) if (found := _obstacle(each))), "")


def advice(case: Case, services: Sequence[ServiceObservation]) -> str:
    """Sentences about what the way back of `services` waits for, each behind a full stop; empty where nothing helps."""
    return "".join(f". {text}" for text in dict.fromkeys(_advice(case, each) for each in services) if text)


def summary(case: Case) -> str:
    """The cause in the width of a table, and the obstacle as far as there is room for it."""
    known = cause(case.status.summary)
    found = next((text for each in left(case) if (text := _brief(each))), "")
    room = wording.COLUMN - len(known) - len(_WAITS)
    return f"{known}{_WAITS}{wording.brief(found, room)}" if found and room >= _LEAST else known


def cause(text: str) -> str:
    """A summary without its obstacle."""
    return text.partition(_WAITS)[0]


def _obstacle(service: ServiceObservation) -> str:
    if service.route.unfollowed:
        reaches = "reaches nobody" if service.route.behind else "may not reach everybody"
        return f"{service.route.unfollowed} is not followed, so the rollback {reaches}"
    if not _short(service):
        return ""
    assert service.control is not None
    if service.control.unscheduled:
        return f"no room for control's pods: {service.control.unscheduled}"
    return f"control's pods are not ready: {service.control.trouble}" if service.control.trouble else ""


def _brief(service: ServiceObservation) -> str:
    """An obstacle in a few words, with those of the scheduler's that say why."""
    if service.route.unfollowed:
        return f"{service.route.unfollowed} is not followed"
    if not _short(service) or service.control is None:
        return ""
    if said := service.control.unscheduled:
        why = said.partition("; ")[0]
        return f"no room: {why.partition(_NODES)[2] or why}"
    return f"control: {service.control.trouble}" if service.control.trouble else ""


def _advice(case: Case, service: ServiceObservation) -> str:
    if found := service.route.unfollowed:
        if service.route.behind:
            until = f"Requests do not follow the written weight: the rollback reaches nobody until {found} is"
            until += " followed"
        else:
            until = f"Whether the rollback reaches everybody is not sure until {found} is accepted"
        return f"{until} by its controller. To see what the controller says (Status): {described(case, found)}"
    if not _short(service):
        return ""
    assert service.control is not None
    room = f"make room (another node, or fewer pods elsewhere). Which pods wait for it: {_waiting_pods(case)}"
    if not run.by_pods(service, case.status):
        return f"The cluster has no room for control's pods: {room}" if service.control.unscheduled else ""
    # `traffic.replicas`: in a rollback the canary makes room, in a deletion its pods may be the only ones that serve.
    gives = "serves on until they are ready" if case.seen.deleting else "gives up its places to them, one at a time"
    if service.control.unscheduled:
        end = ", without limit. To end it" if case.seen.deleting else ". To end it sooner"
        return f"The cluster has no room for control's pods, so the canary {gives}{end}: {room}"
    if service.control.trouble:
        return "Until control's pods are ready, the canary serves on"
    return f"Where the cluster has no room for control's pods, the canary {gives}"


def _waiting_pods(case: Case) -> str:
    return f"kubectl get pods -n {case.seen.namespace} --field-selector status.phase=Pending"


def _short(service: ServiceObservation) -> bool:
    """Control has been given its size, and not all of its pods are ready."""
    return service.control is not None and service.control.ready < service.control.replicas
