"""What the history of a service says about noise, kept in the checkpoint for the whole run.

It is read once, before the first stage: a test that is valid at every look must know how noisy equal versions are
before it sees the first request. Without a history a cautious default is used, and status says so.
"""

from typing import Final

import msgspec
import numpy as np

from serin.api.status import Checkpoint, ServiceStatus, Status
from serin.engine.observation import History, MeasurementFailure, Observation, Unmeasured
from serin.engine.shown import ERROR_RATE
from serin.stats import Dispersion, dispersion_of

_KEY: Final = "_history"
"""No guardrail that a user names has an underscore."""
_NONE: Final = "none"


class _Kept(msgspec.Struct, frozen=True, omit_defaults=True, rename={"hours": "h", "errors": "e", "slower": "s"}):
    """What is kept of a history: hours, tau^2 of errors, tau^2 by edge."""

    hours: float
    errors: float | None = None
    slower: tuple[tuple[float, float], ...] = ()


def key(service: str) -> str:
    """Where the checkpoint has it."""
    return f"{service}/{_KEY}"


def with_history(status: Status, seen: Observation) -> Status:
    """The status with the histories that were observed, each once a run."""
    found = {name: each for name, each in seen.history.items() if key(name) not in status.checkpoint}
    if not found:
        return status
    checkpoint = {**status.checkpoint, **{key(name): _record(each) for name, each in found.items()}}
    ready = {each.name: each.control.ready for each in seen.services if each.control is not None}
    services = tuple(_shown(each, found.get(each.name), ready.get(each.name)) for each in status.services)
    return msgspec.structs.replace(status, checkpoint=checkpoint, services=services)


def histories(checkpoint: Checkpoint) -> Checkpoint:
    """What stays of a checkpoint when evidence starts again: it is about control before the run, and still true."""
    return {name: each for name, each in checkpoint.items() if name.endswith(f"/{_KEY}")}


def rate_dispersion(checkpoint: Checkpoint, service: str, guardrail: str) -> Dispersion:
    """Of errors; a custom guardrail has no history."""
    kept = _read(checkpoint, service)
    if kept is None or guardrail != ERROR_RATE or kept.errors is None:
        return Dispersion()
    return Dispersion(kept.errors, kept.hours)


def latency_dispersion(
    checkpoint: Checkpoint, service: str, edges: tuple[float, ...]
) -> Dispersion | tuple[Dispersion, ...]:
    """Of each edge; an edge that the history did not have gets the largest that there is."""
    kept = _read(checkpoint, service)
    if kept is None or not kept.slower:
        return Dispersion()
    known = dict(kept.slower)
    most = max(known.values())
    return tuple(Dispersion(known.get(edge, most), kept.hours) for edge in edges)


def _record(found: History | Unmeasured) -> str:
    if isinstance(found, Unmeasured):
        return _NONE
    totals = np.array([block.requests for block in found.blocks])
    errors = dispersion_of(totals, np.array([block.errors for block in found.blocks]), hours=found.hours)
    timed = np.array([block.timed for block in found.blocks])
    within = np.array([block.within for block in found.blocks]).reshape(len(timed), 2, len(found.edges))
    slower = []
    for index, edge in enumerate(found.edges):
        one = dispersion_of(timed, timed - within[:, :, index], hours=found.hours, latency=True)
        if one.tau2 is not None:
            slower.append((edge, _short(one.tau2)))
    kept = _Kept(
        hours=_short(found.hours),
        errors=None if errors.tau2 is None else _short(errors.tau2),
        slower=tuple(slower),
    )
    return msgspec.json.encode(kept).decode()


def _shown(service: ServiceStatus, found: History | Unmeasured | None, ready: int | None) -> ServiceStatus:
    if found is None:
        return service
    if isinstance(found, Unmeasured):
        # What Prometheus has no series of may be one pod, or pods that it does not tell apart: the API server knows.
        known = found.failure is MeasurementFailure.EMPTY and ready is not None
        pods = f"; control has {ready} ready pod{'' if ready == 1 else 's'}" if known else ""
        text = f"no history, so noise is assumed to be high{pods} ({found.message})"
    else:
        text = f"noise from {found.hours:.3g}h of control's history"
    return msgspec.structs.replace(service, history=text)


def _read(checkpoint: Checkpoint, service: str) -> _Kept | None:
    try:
        return msgspec.json.decode(checkpoint.get(key(service), ""), type=_Kept)
    except msgspec.MsgspecError:
        return None


def _short(value: float) -> float:
    """Four significant digits are more than a variance from a day can have."""
    return float(f"{value:.4g}")
