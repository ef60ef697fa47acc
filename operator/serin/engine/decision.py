"""What `decide` answers: the status to write, the acts to do after it is written, the Events, and when to look again.

An act is a wish for a state, never a relative change: doing it twice is doing it once. The controller writes the status
(the intent) first, does the acts in their order, and looks again; the next decision sees what became of them.
"""

from dataclasses import dataclass
from typing import Literal

from serin.api.status import Status


@dataclass(frozen=True, slots=True)
class AddFinalizer:
    """Before traffic first moves: a deletion then waits until control has 100 %."""


@dataclass(frozen=True, slots=True)
class RemoveFinalizer:
    """Nothing is left to restore."""


@dataclass(frozen=True, slots=True)
class EnsureCanary:
    """Make or update the canary Deployment from control's template and the patch, with 0 replicas when it is new."""

    service: str


@dataclass(frozen=True, slots=True)
class Shift:
    """Drive the split towards `weight` percent for the canary; `total` is control's size before the run."""

    service: str
    weight: int
    total: int
    urgent: bool = False
    """A rollback: users leave the canary with the first write."""
    mirror: int | None = None
    """Percent of the requests of which the canary gets a copy; None where the run has copied nothing."""


@dataclass(frozen=True, slots=True)
class KeepTemplate:
    """Store control's present pod template for this run (once; never overwritten)."""

    service: str


@dataclass(frozen=True, slots=True)
class PromoteTemplate:
    """Give the canary's pod template to control, which keeps its own name, labels and size."""

    service: str


@dataclass(frozen=True, slots=True)
class RestoreTemplate:
    """Give control the template that `KeepTemplate` stored in this run."""

    service: str


@dataclass(frozen=True, slots=True)
class RemoveCanary:
    """Delete the canary that Serin made, or scale the user's to 0; forget the kept template."""

    service: str


Act = (
    AddFinalizer
    | RemoveFinalizer
    | EnsureCanary
    | Shift
    | KeepTemplate
    | PromoteTemplate
    | RestoreTemplate
    | RemoveCanary
)


@dataclass(frozen=True, slots=True)
class EventNote:
    """One Kubernetes Event on the experiment."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer of one look."""

    status: Status
    acts: tuple[Act, ...] = ()
    events: tuple[EventNote, ...] = ()
    wake_after: float = 30.0
    """Seconds until the next look at the latest; a watch event wakes earlier."""
    significant: bool = True
    """False when only counts moved on: such a status may wait for the next checkpoint."""
