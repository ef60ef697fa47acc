"""Everything a guardrail remembers: sums, never samples, and the same few hundred numbers on day 13 as on day one.

Between two looks that is one row of bytes. An object with an array for each part takes twice the memory, and many rows
of one layout are read and written by numpy at once (`serin.stats.fleet`), however many guardrails they are of.
"""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from serin.stats import ratio
from serin.stats.clumps import CLUMPS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from serin.stats.mixture import Floats, Wealth
    from serin.stats.plan import Plan

Counts: TypeAlias = "NDArray[np.int64]"
Layout: TypeAlias = "np.dtype[np.void]"

NOISE = 8
"""Numbers of `Parts.noise`, see `serin.stats.refine`."""


@dataclass(frozen=True, slots=True)
class State:
    """The state of one guardrail. Treat it as opaque: `judge` reads it, `encode` stores it.

    Attributes:
        layout: where each of `Parts` lies, behind the fingerprint of the config that they were counted under.
        raw: all of it.
    """

    layout: Layout
    raw: bytes

    @property
    def fingerprint(self) -> int:
        """Of the config that it was counted under."""
        return int.from_bytes(self.raw[:_WORD], sys.byteorder)

    @property
    def failed(self) -> int:
        """Index into `Rule` of the first rule that rejected, 0 if none."""
        begin = _at_failed(self.layout)
        return int.from_bytes(self.raw[begin : begin + _WORD], sys.byteorder)

    @property
    def parts(self) -> Parts:
        """What it consists of."""
        return parts_of(np.frombuffer(self.raw, self.layout).__getitem__)[0]

    @staticmethod
    def of(parts: Parts, fingerprint: int) -> State:
        """The state that consists of `parts`."""
        record = np.zeros(1, layout_of(len(parts.due), *parts.wealth.shape))
        record["fingerprint"] = fingerprint
        for name in NAMES:
            record[name] = getattr(parts, name)
        return State(record.dtype, record.tobytes())


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """What a state consists of.

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

NAMES: Final = tuple(field.name for field in dataclasses.fields(Parts))
_WORD: Final = 8


def parts_of(column: Callable[[str], NDArray[Any]]) -> list[Parts]:
    """What many states consist of; `column` gives each of `Parts` of all of them, with a leading axis."""
    columns = [column(name) for name in NAMES]
    values = [list(each) if each.ndim > 1 else each.tolist() for each in columns]
    tripped = NAMES.index("tripped")
    values[tripped] = [tuple(each) for each in columns[tripped].tolist()]
    return [Parts(*each) for each in zip(*values, strict=True)]


@lru_cache(maxsize=1024)
def layout_of(edges: int, rows: int, columns: int) -> Layout:
    """The layout of states with so many edges, and bets in so many rows and columns.

    Whole words, and what has half of one behind all others: each number lies where the processor wants it.
    """
    shapes: dict[str, tuple[Any, ...]] = {
        "fingerprint": (np.uint64,),
        **dict.fromkeys(("seconds", "bake_seconds", "phi"), (np.float64,)),
        **dict.fromkeys(("started", "bake_started", "primary", "failed", "decided"), (np.int64,)),
        "tripped": (np.int64, 4),
        **dict.fromkeys(("control", "canary", "bake"), (np.int64, edges + 1)),
        "due": (np.float64, (edges,)),
        "noise": (np.float64, NOISE),
        "clumps": (np.float64, CLUMPS),
        "profile": (np.float64, ratio.KNOTS),
        "wealth": (np.float32, (rows, columns)),
        "variance": (np.float32, rows),
    }
    return np.dtype([(name, *shape) for name, shape in shapes.items()], align=True)


@lru_cache(maxsize=1024)
def _at_failed(layout: Layout) -> int:
    assert layout.fields is not None
    return layout.fields["failed"][1]


def initial(plan: Plan) -> State:
    """The state before the first look: the stake of the start is placed, equally on all edges."""
    stake = np.ones((plan.rows, 1)) * plan.columns.start
    stake[: plan.compared] /= max(plan.compared, 1)
    nothing = np.zeros(plan.thresholds + 1, dtype=np.int64)
    with np.errstate(divide="ignore"):
        wealth = np.log(stake).astype(np.float32)
    noise = np.zeros(NOISE)
    noise[-1] = 1.0
    parts = Parts(
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
    return State.of(parts, plan.fingerprint)
