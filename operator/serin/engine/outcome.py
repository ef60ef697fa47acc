"""What a phase comes to, and the few ways in which all of them say it."""

from dataclasses import dataclass
from typing import Final

import msgspec

from serin.api.status import Phase, Status
from serin.engine.case import Case, Finding
from serin.engine.decision import Act

SOON: Final = 2.0
LATER: Final = 10.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a phase comes to."""

    status: Status
    acts: tuple[Act, ...] = ()
    wake: float = LATER
    summary: str = ""
    """The message in the width of a table; empty: the beginning of the message."""


def in_phase(status: Status, phase: Phase, reason: str, message: str) -> Status:
    """The status in a phase, with why."""
    return msgspec.structs.replace(status, phase=phase, reason=reason, message=message, resumes_to=None)


def waiting(status: Status, reason: str, message: str) -> Status:
    """The status where it is, with what it waits for."""
    return msgspec.structs.replace(status, reason=reason, message=message)


def hold(case: Case, found: Finding, status: Status | None = None) -> Outcome:
    """Frozen where it is; nothing is done."""
    phase = Phase.PAUSED if found.reason == "Paused" else Phase.HOLDING
    held = in_phase(status or case.status, phase, found.reason, found.message)
    return Outcome(msgspec.structs.replace(held, resumes_to=case.position), (), next_look(case), found.brief)


def next_look(case: Case) -> float:
    """Seconds until there is something to count."""
    return case.spec.analysis.interval.seconds
