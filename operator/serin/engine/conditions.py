"""Conditions, transitions and Events: what changed, as Kubernetes tools read it.

`Ready`, `Stalled` follow kstatus, so that `kubectl wait`, Argo CD and Flux understand an experiment without a plugin.
There `Stalled` is what cannot go on without somebody, an end that failed included; a reader takes the word for work
that is stuck, so its message says which of the two it is.
"""

from typing import Final, Literal

import msgspec

from serin.api.status import Condition, Phase, Status, Transition, VerdictName
from serin.engine.decision import EventNote
from serin.engine.sample_ratio import Said, State
from serin.engine.wording import timestamp

_KEPT: Final = 10
_WARNS: Final = frozenset({Phase.PENDING, Phase.ROLLING_BACK, Phase.ROLLED_BACK, Phase.FAILED, Phase.HOLDING})
_AS_ASKED: Final = frozenset({"WaitingForApproval", "Superseded", "Deleted"})
"""Holding or rolling back as intended is no warning; an abort is one, for a release was given up."""

_SAY_WHY_NOT: Final = frozenset({"Accepted", "SampleRatioMatches", "RoutesSynced"})
"""Conditions whose message is for those who find them False."""


def with_conditions(
    before: Status,
    after: Status,
    *,
    accepted: bool,
    measured: bool | None,
    routed: bool,
    stalled: str,
    now: float,
    split: Said | None = None,
    unfollowed: str = "",
) -> Status:
    """`after` with its conditions; a condition that says the same keeps its time.

    `split` says what the sample ratio is; None where no router promises one. `unfollowed` says why a route is not
    followed, also while something else is the reason of the phase.
    """
    ended = after.phase
    going = ended not in {Phase.SUCCEEDED, Phase.ROLLED_BACK, Phase.FAILED} and accepted
    reason = after.reason or str(after.phase)
    unknown = {VerdictName.NONE, VerdictName.NO_DATA, VerdictName.INSUFFICIENT}
    healthy: State = "Unknown" if after.verdict in unknown else "True"
    if after.verdict is VerdictName.FAILING:
        healthy = "False"
    wanted: tuple[tuple[str, State, str, str], ...] = (
        ("Accepted", _state(accepted), "Accepted" if accepted else reason, "" if accepted else after.message),
        ("Progressing", _state(going), reason, after.message),
        ("Ready", _state(ended is Phase.SUCCEEDED), reason, after.message),
        ("Stalled", _state(bool(stalled) or ended is Phase.FAILED or not accepted), reason, stalled or _stands(after)),
        (
            "MetricsAvailable",
            "Unknown" if measured is None else _state(measured),
            "Measured" if measured else "NoData",
            "",
        ),
        _synced(after, routed=routed, unfollowed=unfollowed),
        ("GuardrailsHealthy", healthy, str(after.verdict), ""),
        *((("SampleRatioMatches", *split),) if split is not None else ()),
        ("Promoted", _state(ended is Phase.SUCCEEDED), reason, ""),
        ("RolledBack", _state(ended in {Phase.ROLLED_BACK, Phase.FAILED}), reason, ""),
    )
    old = {condition.type: condition for condition in before.conditions}
    conditions = tuple(
        _condition(old.get(name), name, state, why, text if state == "True" or name in _SAY_WHY_NOT else "", after, now)
        for name, state, why, text in wanted
    )
    return msgspec.structs.replace(after, conditions=conditions)


def _stands(after: Status) -> str:
    """What is said as Stalled of what waits for somebody: after an end nothing is under way that could be stuck."""
    if after.phase is not Phase.FAILED:
        return after.message
    return f"nothing is under way, and nothing goes on by itself: this run has ended. {after.message}"


def _synced(after: Status, *, routed: bool, unfollowed: str) -> tuple[str, State, str, str]:
    if after.reason == "RouteNotFollowed":
        return "RoutesSynced", "False", after.reason, after.summary
    if unfollowed and not routed:
        return "RoutesSynced", "False", "RouteNotFollowed", unfollowed
    return "RoutesSynced", _state(routed), "Synced" if routed else "Shifting", ""


def with_transition(before: Status, after: Status, now: float) -> tuple[Status, tuple[EventNote, ...]]:
    """Notes a change of phase or stage, and the Event for it."""
    # Before anything was touched, a canary that appears makes another run of the same wish: nothing happened yet.
    same_run = before.run_id == after.run_id or before.phase in {Phase.PENDING, Phase.PREPARING}
    moved = before.phase != after.phase or after.stage not in {"", before.stage}
    refused_otherwise = after.phase is Phase.PENDING and before.reason != after.reason
    if before.transitions and same_run and not moved and not refused_otherwise:
        return after, ()
    to = _place(after)
    note = Transition(time=timestamp(now), to=to, reason=after.reason or str(after.phase), message=after.message)
    kept = (*after.transitions, note)[-_KEPT:]
    warns = after.phase in _WARNS and after.reason not in _AS_ASKED
    kind: Literal["Normal", "Warning"] = "Warning" if warns else "Normal"
    event = EventNote(kind, note.reason, f"{to}: {after.message}")
    return msgspec.structs.replace(after, transitions=kept), (event,)


def with_note(status: Status, note: EventNote, now: float) -> Status:
    """Keeps among the transitions what somebody else did; what is done again and again takes the place of the last."""
    again = bool(status.transitions) and status.transitions[-1].reason == note.reason
    kept = status.transitions[:-1] if again else status.transitions
    seen = Transition(time=timestamp(now), to=_place(status), reason=note.reason, message=note.message)
    return msgspec.structs.replace(status, transitions=(*kept, seen)[-_KEPT:])


def _place(status: Status) -> str:
    """The phase, and in a stage which one."""
    inside = status.phase is Phase.PROGRESSING
    copies = " of the requests copied" if status.mirror else ""
    return f"{status.phase}({status.stage} {status.mirror or status.weight}%{copies})" if inside else str(status.phase)


def significant(before: Status, after: Status) -> bool:
    """True when more than counts, times and evidence moved on."""
    return _outline(before) != _outline(after)


def _outline(status: Status) -> tuple[object, ...]:
    return (
        status.observed_generation,
        status.phase,
        status.resumes_to,
        status.stage,
        status.weight,
        status.mirror,
        status.verdict,
        status.reason,
        status.run_id,
        status.step,
        status.found_at,
        status.restored_at,
        bool(status.counted_until),
        tuple((c.type, c.status, c.reason) for c in status.conditions),
        tuple(
            (s.name, s.weight, s.observed_weight, s.ready, s.replicas, s.copied, s.control_template)
            for s in status.services
        ),
        tuple((g.name, g.verdict, g.looks, bool(g.note)) for g in status.goals),
        len(status.transitions),
    )


def _state(value: bool) -> State:
    return "True" if value else "False"


def _condition(
    old: Condition | None, name: str, state: State, reason: str, message: str, status: Status, now: float
) -> Condition:
    changed = old.last_transition_time if old is not None and old.status == state else timestamp(now)
    return Condition(
        type=name,
        status=state,
        reason=reason,
        message=message,
        last_transition_time=changed,
        observed_generation=status.observed_generation,
    )
