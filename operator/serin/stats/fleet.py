"""Many guardrails of one shape as arrays: a scheduler pass is one update, and a bench is thousands of runs at once.

One guardrail is a fleet of one, so there is one path through the arithmetic and no second version to keep equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np

from serin.stats.looks import LatencyLook, Look
from serin.stats.state import NAMES, State, initial, layout_of, parts_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from serin.stats.mixture import Columns, Floats, Wealth
    from serin.stats.plan import Plan
    from serin.stats.state import Counts, Parts

    Ints = NDArray[np.int64]
    Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Constants:
    """What is fixed for a fleet, from its n plans. See `Plan` for each name.

    Attributes:
        plan: the first of the plans, for what they have in common.
        groups: for each plan of restarts: which guardrails follow it, its seconds, and the parts begun.
    """

    plan: Plan
    columns: Columns
    null_ratio: Floats
    tau2: Floats
    level_tau2: Floats
    weight: Floats
    ceiling: Floats
    limit: Floats
    look_gain: Floats
    max_limit: Floats
    bake_limit: Floats
    min_requests: Ints
    max_share: Floats
    warn_share: Floats
    fingerprint: NDArray[np.uint64]
    groups: tuple[tuple[Ints, Floats, Floats], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Fleet:
    """The states of n guardrails: each field is that of `Parts` with a leading axis."""

    seconds: Floats
    bake_seconds: Floats
    started: Ints
    bake_started: Ints
    primary: Ints
    failed: Ints
    decided: Ints
    tripped: Ints
    control: Counts
    canary: Counts
    bake: Counts
    due: Floats
    phi: Floats
    noise: Floats
    clumps: Floats
    wealth: Wealth
    variance: Wealth
    profile: Floats

    @property
    def baking(self) -> Flags:
        """True where a look of the bake was seen."""
        return self.bake_seconds > 0


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """One look of each guardrail: bad requests at each edge, then the total.

    Attributes:
        seconds: shape (n,). baking: shape (n,).
        control: shape (n, edges + 1). canary: likewise.
    """

    seconds: Floats
    baking: Flags
    control: Counts
    canary: Counts


@lru_cache(maxsize=16)
def constants_of(plans: tuple[Plan, ...]) -> Constants:
    """The constants of a fleet.

    Raises:
        ValueError: plans of different shapes.
    """
    first = plans[0]
    if any(plan.shape != first.shape for plan in plans):
        raise ValueError("a fleet needs guardrails of one shape: the same edges, and the same limits given")
    by_restarts: dict[int, list[int]] = {}
    for i, plan in enumerate(plans):
        by_restarts.setdefault(id(plan.restarts), []).append(i)

    # most of a pass have the same plan, and to read it once is enough
    places = {plan: place for place, plan in enumerate(dict.fromkeys(plans))}
    at = np.array([places[plan] for plan in plans])

    def each(name: str) -> Floats:
        found: Floats = np.array([getattr(plan, name) for plan in places], dtype=np.float64)[at]
        return found

    return Constants(
        plan=first,
        columns=first.columns,
        null_ratio=each("null_ratio"),
        tau2=each("tau2"),
        level_tau2=np.array([plan.tau2[plan.level_row] for plan in places])[at],
        weight=each("weight"),
        ceiling=each("ceiling"),
        limit=each("limit"),
        look_gain=each("look_gain"),
        max_limit=each("max_limit"),
        bake_limit=each("bake_limit"),
        min_requests=np.array([plan.config.min_requests for plan in places])[at],
        max_share=np.array([plan.max_share or 0.0 for plan in places])[at],
        warn_share=np.array([plan.warn_share or 0.0 for plan in places])[at],
        fingerprint=np.array([plan.fingerprint for plan in places], dtype=np.uint64)[at],
        groups=tuple(
            (np.array(members), plans[members[0]].restarts, plans[members[0]].begun) for members in by_restarts.values()
        ),
    )


def started(plans: Sequence[Plan]) -> Fleet:
    """The fleet before its first looks."""
    return stacked([initial(plan) for plan in plans])


def stacked(states: Sequence[State]) -> Fleet:
    """States of one shape as a fleet.

    Raises:
        ValueError: states of different shapes.
    """
    layout = states[0].layout
    if any(state.layout is not layout and state.layout != layout for state in states):
        raise ValueError("a fleet needs states of one layout")
    records = np.frombuffer(b"".join([state.raw for state in states]), layout)
    return Fleet(**{name: records[name].copy() for name in NAMES})


def picked(constants: Constants, fleet: Fleet) -> list[State]:
    """The state of each guardrail of the fleet."""
    records = np.zeros(len(fleet.seconds), layout_of(fleet.due.shape[1], *fleet.wealth.shape[1:]))
    records["fingerprint"] = constants.fingerprint
    for name in NAMES:
        records[name] = getattr(fleet, name)
    raw, size = records.tobytes(), records.itemsize
    return [State(records.dtype, raw[begin : begin + size]) for begin in range(0, len(raw), size)]


def opened(fleet: Fleet) -> list[Parts]:
    """What the state of each guardrail of the fleet consists of."""
    return parts_of(partial(getattr, fleet))


def looks_of(looks: Sequence[Look | LatencyLook]) -> Looks:
    """One look of each guardrail, as arrays."""
    control: list[tuple[int, ...]] = []
    canary: list[tuple[int, ...]] = []
    for look in looks:
        if isinstance(look, Look):
            control.append((look.control_bad, look.control_total))
            canary.append((look.canary_bad, look.canary_total))
        else:
            control.append((*(look.control_total - count for count in look.control), look.control_total))
            canary.append((*(look.canary_total - count for count in look.canary), look.canary_total))
    return Looks(
        seconds=np.array([look.seconds for look in looks], dtype=np.float64),
        baking=np.array([look.baking for look in looks]),
        control=np.array(control, dtype=np.int64),
        canary=np.array(canary, dtype=np.int64),
    )
