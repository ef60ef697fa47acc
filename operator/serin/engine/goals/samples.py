"""How far a stage with `minSamples` is, and when it will be there: users where there are goals, else requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from serin.api.status import Phase, SamplesStatus, Status
from serin.engine import run, wording
from serin.engine.tested import samples

if TYPE_CHECKING:
    from collections.abc import Mapping

    from serin.api.spec import Spec
    from serin.engine.goals.record import GoalRecord
    from serin.engine.goals.schedule import Schedule

_MIXED: Final = "users, not kept on one variant (traffic.type Replicas)"


def of_users(spec: Spec, plan: Schedule, status: Status, records: Mapping[str, GoalRecord]) -> SamplesStatus:
    """The fewest users that any goal has, what is needed, and when that will be."""
    control = min((each.control_users for each in status.goals), default=0)
    canary = min((each.canary_users for each in status.goals), default=0)
    need = plan.stage.min_samples or 0
    eta, missing = "", need - min(control, canary)
    if missing > 0:
        rates = [_rate(record, status) for record in records.values() if record.began is not None]
        if rates and min(rates) > 0:
            eta = wording.length(missing / min(rates))
    mixed = any(service.traffic.type == "Replicas" for service in spec.services)
    return SamplesStatus(unit=_MIXED if mixed else "users", control=control, canary=canary, need=need, eta=eta)


def of_requests(spec: Spec, status: Status) -> Status:
    """Without goals `minSamples` counts requests, the fewest that any service has."""
    stage = run.stage_of(spec, status)
    if stage is None or stage.min_samples is None or run.position(status) is not Phase.PROGRESSING:
        return status
    control, canary = (min(samples(status.checkpoint, each.name)[side] for each in spec.services) for side in (0, 1))
    have, eta = min(control, canary), ""
    if 0 < have < stage.min_samples and status.stage_seconds:
        eta = wording.length((stage.min_samples - have) / have * status.stage_seconds)
    found = SamplesStatus(unit="requests", control=control, canary=canary, need=stage.min_samples, eta=eta)
    return msgspec.structs.replace(status, samples=found)


def _rate(record: GoalRecord, status: Status) -> float:
    """New users a second of the slower variant, since the first reading."""
    assert record.began is not None
    seconds, control, canary = record.began
    gone = status.stage_seconds - seconds
    return min(record.control.count - control, record.canary.count - canary) / gone if gone > 0 else 0.0
