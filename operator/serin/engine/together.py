"""Many decisions at once: each is that of `decide`, and the arithmetic of all of them is done in one go.

Numpy takes as long for the arrays of one experiment as for those of twenty, and most of a decision is that.
"""

from collections.abc import Sequence
from typing import NamedTuple

from serin.api.spec import InvalidSpecError, Spec
from serin.api.status import Status
from serin.engine.decide import bakes, counts, decide
from serin.engine.decision import Decision
from serin.engine.observation import LookResult, Observation, Unmeasured
from serin.engine.tested import Fed, First, feed_all


class Question(NamedTuple):
    """The arguments of `decide`."""

    spec: Spec | InvalidSpecError
    status: Status
    observation: Observation
    now: float
    fed: Fed | None = None
    """The first look, if it was fed beforehand: used if it is exactly that of the observation."""


def decide_all(questions: Sequence[Question]) -> list[Decision | Exception]:
    """The decision on each question, or what went wrong there: one experiment's fault must not stop the others."""
    firsts = {i: first for i, each in enumerate(questions) if (first := _first(each)) is not None}
    fed: dict[int, Fed | None] = {
        i: each.fed for i, each in enumerate(questions) if each.fed is not None and each.fed.first == firsts.get(i)
    }
    left = {i: first for i, first in firsts.items() if i not in fed}
    if len(left) > 1:
        fed |= zip(left, feed_each(list(left.values())), strict=True)
    return [_decided(each._replace(fed=fed.get(i))) for i, each in enumerate(questions)]


def feed_each(firsts: Sequence[First]) -> list[Fed | None]:
    """As `feed_all`, without those that can't be fed: what is wrong with them shows when they are decided."""
    try:
        return list(feed_all(firsts))
    except Exception:  # noqa: BLE001 - whose fault it is shows in halves
        half = len(firsts) // 2
        return [*feed_each(firsts[:half]), *feed_each(firsts[half:])] if half else [None]


def first_look(spec: Spec, status: Status, look: LookResult) -> First | None:
    """What the counting of `look` depends on, if it will be counted as far as can be seen before."""
    if not counts(status) or any(
        isinstance(each, Unmeasured) and each.failure.passes for each in look.services.values()
    ):
        return None
    return First(spec, status.checkpoint, look, bakes(status))


def _decided(question: Question) -> Decision | Exception:
    try:
        return decide(*question)
    except Exception as error:  # noqa: BLE001 - handed on
        return error


def _first(question: Question) -> First | None:
    """The first look of a question."""
    spec, status, seen = question[:3]
    if isinstance(spec, InvalidSpecError) or seen.deleting or not seen.looks:
        return None
    return first_look(spec, status, seen.looks[0])
