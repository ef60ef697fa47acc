"""The streaming face of the guardrails: start, update, judge, encode, decode.

One face for errors and for latency, so that the engine has one path for both. States are immutable values: an update
returns a new one, and a look that turns out to be unusable is simply not fed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from serin.stats import checkpoint, judgement
from serin.stats.advance import advance
from serin.stats.fleet import constants_of, looks_of, picked, stacked
from serin.stats.looks import LatencyLook
from serin.stats.plan import plan_of
from serin.stats.state import LatencyState, RateState, State, initial

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serin.stats.checkpoint import Record
    from serin.stats.config import LatencyConfig, RateConfig
    from serin.stats.looks import Evidence, Look
    from serin.stats.plan import Config, Plan


def start(config: Config) -> State:
    """The state before the first look.

    Raises:
        ValueError: the config can't be judged, with a sentence that says what to write instead (for example a
            `max_seconds` that is not one of `edges`).
    """
    return initial(plan_of(config))


@overload
def update(config: RateConfig, state: RateState, look: Look) -> RateState: ...
@overload
def update(config: LatencyConfig, state: LatencyState, look: LatencyLook) -> LatencyState: ...
def update(config: Config, state: State, look: Look | LatencyLook) -> State:
    """The state after one more look.

    Looks may be merged (counts and seconds added) or left out, as long as the choice does not depend on what
    they contain. A rejection is remembered: the verdict stays Failing for the rest of the run.

    Raises:
        ValueError: a look of the other kind, or with other edges; the state is unchanged.
    """
    return update_all([(config, state, look)])[0]


def update_all(items: Sequence[tuple[Config, State, Look | LatencyLook]]) -> list[State]:
    """The states after one more look of each of many guardrails: all experiments of a scheduler pass in one call.

    Guardrails of one shape (errors; latency with as many edges; the same limits given) are updated together. Each
    result is, to the last bit, that of `update`.

    Args:
        items: config, state and look of each guardrail, in any order and of any mix of kinds.

    Returns:
        The new states, in the order of `items`.

    Raises:
        ValueError: as in `update`, for the first item that does not fit; no state is changed.
    """
    plans = [plan_of(config) for config, _, _ in items]
    shapes: dict[object, list[int]] = {}
    for i, (plan, (_, _, look)) in enumerate(zip(plans, items, strict=True)):
        _fits(plan, look)
        shapes.setdefault(plan.shape, []).append(i)
    found: dict[int, State] = {}
    for members in shapes.values():
        constants = constants_of(tuple(plans[i] for i in members))
        fleet = advance(constants, stacked([items[i][1] for i in members]), looks_of([items[i][2] for i in members]))
        found.update(zip(members, picked(constants, fleet), strict=True))
    return [found[i] for i in range(len(items))]


def _fits(plan: Plan, look: Look | LatencyLook) -> None:
    if isinstance(look, LatencyLook):
        if plan.edges != look.edges:
            raise ValueError(f"the look has the edges {look.edges}, the guardrail {plan.edges}")
    elif plan.edges is not None:
        raise ValueError("a latency guardrail needs a LatencyLook")


def judge(config: Config, state: State) -> Evidence:
    """The verdict on everything seen so far. Pure; may be called at any time and any number of times."""
    return judge_all([(config, state)])[0]


def judge_all(items: Sequence[tuple[Config, State]]) -> list[Evidence]:
    """The verdicts of many guardrails in one call, in the order of `items`; each, to the last bit, that of `judge`."""
    return judgement.judge_all([(plan_of(config), state) for config, state in items])


def encode(state: State) -> str:
    """The state as a compact ASCII record (versioned, base64), for a checkpoint in status."""
    return checkpoint.pack(state)


def decode(config: Config, record: str | Record) -> State:
    """The state that `encode` wrote, or that waits to be written; it goes on bit for bit as if never stopped.

    Raises:
        ValueError: not a record, an unknown version, or a record of another config, with a sentence. The config
            includes the dispersion: keep the one that the run started with.
    """
    return checkpoint.unpack(plan_of(config), record)
