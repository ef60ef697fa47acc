"""Many decisions at once: each is that of `decide`, and the arithmetic of all of them is done in one go.

Numpy takes as long for the arrays of one experiment as for those of twenty, and most of a decision is that.
"""

from collections.abc import Sequence
from typing import NamedTuple

from serin.api.spec import InvalidSpecError, Spec
from serin.api.status import Status
from serin.engine.decide import bakes, counts, decide
from serin.engine.decision import Decision
from serin.engine.observation import Observation, Unmeasured
from serin.engine.tested import Fed, First, feed_all


class Question(NamedTuple):
    """The arguments of `decide`."""

    spec: Spec | InvalidSpecError
    status: Status
    observation: Observation
    now: float


def decide_all(questions: Sequence[Question]) -> list[Decision | Exception]:
    """The decision on each question, or what went wrong there: one experiment's fault must not stop the others."""
    firsts = {i: first for i, each in enumerate(questions) if (first := _first(each)) is not None}
    fed: dict[int, Fed] = {}
    if len(firsts) > 1:
        try:
            fed = dict(zip(firsts, feed_all(list(firsts.values())), strict=True))
        except Exception:  # noqa: BLE001 - whose fault it is shows when each is decided alone
            fed = {}
    return [_decided(each, fed.get(i)) for i, each in enumerate(questions)]


def _decided(question: Question, fed: Fed | None) -> Decision | Exception:
    try:
        return decide(*question, fed)
    except Exception as error:  # noqa: BLE001 - handed on
        return error


def _first(question: Question) -> First | None:
    """The first look of a question, if it will be counted as far as can be seen before."""
    spec, status, seen, _ = question
    if isinstance(spec, InvalidSpecError) or seen.deleting or not seen.looks or not counts(status):
        return None
    look = seen.looks[0]
    if any(isinstance(each, Unmeasured) and each.failure.passes for each in look.services.values()):
        return None
    return First(spec, status.checkpoint, look, bakes(status))
