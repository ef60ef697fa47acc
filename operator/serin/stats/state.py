"""Everything a guardrail remembers: sums, never samples, and the same few hundred numbers on day 13 as on day one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from serin.stats import ratio
from serin.stats.clumps import CLUMPS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from serin.stats.mixture import Floats, Wealth
    from serin.stats.plan import Plan

Counts: TypeAlias = "NDArray[np.int64]"

NOISE = 8
"""Numbers of `State.noise`, see `serin.stats.refine`."""


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """The state of one guardrail. Treat it as opaque: `judge` reads it, `encode` stores it.

    Attributes:
        seconds: counted seconds with control. bake_seconds: counted seconds of the bake.
        started: restarts that have started. bake_started: the same of the bake.
        primary: the edge of the reported ratio, -1 while open.
        failed: index into `Rule` of the first rule that rejected, 0 if none.
        decided: the edge that rejected, -1 if none.
        tripped: (bad, total, control's bad, control's total) of the look that tripped the breaker, or zeros.
        control: control's bad requests at each edge, then its total; shape (edges + 1,). canary, bake: likewise.
        due: the canary's due of the bad requests at each edge, m w summed over looks; shape (edges,).
        phi: the overdispersion at `primary` of the last look.
        noise: what the refinement of tau^2 remembers, shape (NOISE,).
        wealth: log wealth, float32, shape (rows, columns).
        variance: smoothed binomial variance per second, float32, shape (rows,).
        clumps: what is remembered of control's looks, see `serin.stats.clumps`; shape (CLUMPS,).
        profile: log likelihood of the ratio at `ratio.LOG_RATIO`, shape (knots,).
    """

    seconds: float
    bake_seconds: float
    started: int
    bake_started: int
    primary: int
    failed: int
    decided: int
    tripped: tuple[int, int, int, int]
    control: Counts
    canary: Counts
    bake: Counts
    due: Floats
    phi: float
    noise: Floats
    clumps: Floats
    wealth: Wealth
    variance: Wealth
    profile: Floats

    @property
    def baking(self) -> bool:
        """True once a look of the bake was seen."""
        return self.bake_seconds > 0


RateState = State
LatencyState = State


def initial(plan: Plan) -> State:
    """The state before the first look: the stake of the start is placed, equally on all edges."""
    stake = np.ones((plan.rows, 1)) * plan.columns.start
    stake[: plan.compared] /= max(plan.compared, 1)
    nothing = np.zeros(plan.thresholds + 1, dtype=np.int64)
    with np.errstate(divide="ignore"):
        wealth = np.log(stake).astype(np.float32)
    noise = np.zeros(NOISE)
    noise[-1] = 1.0
    return State(
        seconds=0.0,
        bake_seconds=0.0,
        started=0,
        bake_started=0,
        primary=-1 if plan.primary is None else plan.primary,
        failed=0,
        decided=-1,
        tripped=(0, 0, 0, 0),
        control=nothing,
        canary=nothing,
        bake=nothing,
        due=np.zeros(plan.thresholds),
        phi=1.0,
        noise=noise,
        clumps=np.zeros(CLUMPS),
        wealth=wealth,
        variance=np.zeros(plan.rows, dtype=np.float32),
        profile=np.zeros(ratio.KNOTS),
    )
