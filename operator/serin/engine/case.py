"""What a rule is asked with, and what it answers: the words that all rules share."""

from collections.abc import Callable
from dataclasses import dataclass

from serin.api.spec import Spec, Stage
from serin.api.status import Phase, Status
from serin.engine.evidence import Counted
from serin.engine.observation import Observation


@dataclass(frozen=True, slots=True)
class Case:
    """All that a rule may look at."""

    spec: Spec
    status: Status
    """With this look's counts already in it."""
    seen: Observation
    counted: Counted
    position: Phase
    """The phase that counts beneath Paused and Holding."""
    stage: Stage | None
    now: float
    replaced: bool = False
    """The spec names other services or Deployments than the run has: `spec` then has the run's own."""
    edited: str = "the spec or the canary's template was changed"
    """What asks for another run, as a clause."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Why something happens: a CamelCase reason and a sentence."""

    reason: str
    message: str
    ends_as: Phase = Phase.ROLLED_BACK
    """Of a rollback: RolledBack for a verdict or a wish, Failed for what could not go on."""
    brief: str = ""
    """The message in the width of a table; empty: the beginning of the message."""


Rule = Callable[[Case], Finding | None]


def first(chain: tuple[Rule, ...], case: Case) -> Finding | None:
    """The first finding of a chain."""
    return next((found for rule in chain if (found := rule(case)) is not None), None)
