"""What a config means for the arrays: which row is which rule, at which level, with which restarts.

Errors are latency with one edge: a request is bad or not, as it is slower than an edge or not. So one plan, one
update and one judgement serve both, and a fault in one of them can't hide from the other's tests.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from serin.stats import mixture
from serin.stats.config import (
    ASSUMED_TAU2_ERRORS,
    ASSUMED_TAU2_LATENCY,
    ASSUMED_WEIGHT,
    LatencyConfig,
    RateConfig,
    check,
)

if TYPE_CHECKING:
    from serin.stats.config import Dispersion
    from serin.stats.mixture import Columns, Floats

Config: TypeAlias = RateConfig | LatencyConfig

RESTARTS = 11
"""Wide restarts per stage; the last one of a stage starts with the next stage. They find small harm."""

RESTART_SECONDS = 300.0
"""Distance of the close restarts. They find large harm: a bet on five times the errors that began hours before the
fault has lost so much that no restart but a fresh one can win."""

BAKE_PART = 0.1
"""Part of alpha that the bake may spend: half on the baseline's bound, half on the test against it."""

MAX_PART = 0.25
"""Part of latency's alpha that `max` may spend beside "worse than control": they bet on different edges."""

BASELINE_FACTOR = 2.0
"""While baking there is no control at the same time: what a day does to both versions must not roll back."""

LONE_BASELINE_FACTOR = 5.0
"""The same without a `max`: nobody has said what is too much, so only what no usual incident does rolls back."""

WARN_LEVEL = 0.05
"""A warning needs evidence as well, but no more than this: it costs a look, not a rollout."""

CEILING = 80.0
"""Log wealth never needs to be larger than this: e^80 rejects at any level."""


LOOKS_AT_LEAST = 2.0
STAKE_LOG = 3.0
"""About what a bet's part of the stake has to make up for before a rejection, as a log."""

ERRORS = mixture.columns(14, 4, 8, 6)
LATENCY = mixture.columns(6, 1, 3, 3)
"""Fewer bets for each edge, to keep the state small."""

BATCHES_PER_HOUR = 3600.0 / mixture.BATCH_SECONDS


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """All constants of a guardrail's run. Rows: one per edge against control, then those below that are not None.

    Attributes:
        edges: upper bounds of the histogram in seconds; None for errors.
        thresholds: number of edges, 1 for errors.
        primary: index of the edge that `max` refers to; None if there is no `max`: the state then picks one.
        compared: number of rows that compare with control by the margin: `thresholds`, or 0 without a margin.
        level_row: row "worse than control at all" at the primary edge, the second half of the absolute rule.
        max_row: row "above max". warn_row: row "above warn". baseline_row: row of the bake.
        null_ratio: psi0, shape (rows,). tau2: shape (rows,). ceiling: shape (rows, 1).
        look_gain: the most log wealth of one look, see `mixture.largest_gain`: about half of what a rejection needs.
        limit: log(1/alpha) of "worse than control". max_limit: the same of `max`. bake_limit: the same of the bake.
        restarts: seconds of each restart, ascending.
        begun: part of the wide and of the close restarts up to each one, from 0 to 1; shape (2, restarts + 1).
        weight: batches that the tau^2 of the config is worth beside those of the run itself.
    """

    config: Config
    columns: Columns
    edges: tuple[float, ...] | None
    thresholds: int
    primary: int | None
    compared: int
    level_row: int
    max_row: int | None
    warn_row: int | None
    baseline_row: int
    max_share: float | None
    warn_share: float | None
    null_ratio: Floats
    tau2: Floats
    ceiling: Floats
    limit: float
    look_gain: float
    max_limit: float
    bake_limit: float
    restarts: Floats
    begun: Floats
    weight: float
    fingerprint: int

    @property
    def rollback(self) -> bool:
        """True if any rule but the breaker can roll back."""
        return bool(self.compared) or self.max_row is not None

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.baseline_row + 1

    @property
    def shape(self) -> tuple[bool, int, int, int | None, int | None]:
        """What two guardrails must have in common to be updated in one call."""
        return self.edges is None, self.thresholds, self.compared, self.max_row, self.warn_row


@lru_cache(maxsize=1024)
def plan_of(config: Config) -> Plan:
    """The plan of a config, kept for the next look; see `planned`."""
    return planned(config)


def planned(config: Config) -> Plan:
    """The plan of a config.

    Raises:
        ValueError: see `serin.stats.config.check`.
    """
    check(config)
    edges, edge_tau2, primary, max_share, warn_share = _outline(config)
    compared = len(edge_tau2) if config.worse_than_control is not None else 0
    level_row = compared
    max_row = None if max_share is None else level_row + 1
    warn_row = None if warn_share is None else level_row + 1 + (max_row is not None)
    baseline_row = level_row + 1 + (max_row is not None) + (warn_row is not None)
    # with one edge the two rules are nested, and need no share each
    part = MAX_PART if max_row is not None and compared > 1 else None
    spent = config.alpha * (1 - BAKE_PART)
    limit = -math.log(spent * (1 - (part or 0.0)))
    max_limit = -math.log(spent * (part or 1.0))
    rows = baseline_row + 1
    null_ratio, tau2, ceiling = np.ones(rows), np.zeros(rows), np.full((rows, 1), CEILING)
    null_ratio[:compared] += config.worse_than_control or 0.0
    tau2[:compared] = edge_tau2[:compared]
    tau2[level_row] = edge_tau2.max() if primary is None else edge_tau2[primary]
    # the factor in the baseline takes the place of most of the overdispersion, as a bet on gross harm has it
    tau2[baseline_row] = tau2[level_row] * mixture.GROSS_DISPERSION
    if max_row is not None:
        ceiling[max_row] = max_limit + math.log(10)
    if warn_row is not None:
        ceiling[warn_row] = math.log(10 / WARN_LEVEL)
    restarts, begun = _restarts(config.stages)
    return Plan(
        config=config,
        columns=ERRORS if edges is None else LATENCY,
        edges=edges,
        thresholds=len(edge_tau2),
        primary=primary,
        compared=compared,
        level_row=level_row,
        max_row=max_row,
        warn_row=warn_row,
        baseline_row=baseline_row,
        max_share=max_share,
        warn_share=warn_share,
        null_ratio=null_ratio,
        tau2=tau2,
        ceiling=ceiling,
        limit=limit,
        look_gain=(limit + math.log(max(compared, 1)) + STAKE_LOG) / LOOKS_AT_LEAST,
        max_limit=max_limit,
        bake_limit=-math.log(config.alpha * BAKE_PART / 2),
        restarts=restarts,
        begun=begun,
        weight=_weight(config),
        fingerprint=zlib.crc32(repr(config).encode()),
    )


def _outline(config: Config) -> tuple[tuple[float, ...] | None, Floats, int | None, float | None, float | None]:
    """Edges, tau^2 of each, primary edge, max share and warn share."""
    if isinstance(config, RateConfig):
        return None, np.array([_tau2(config.dispersion, ASSUMED_TAU2_ERRORS)]), 0, config.max_share, config.warn_share
    each = config.dispersion if isinstance(config.dispersion, tuple) else (config.dispersion,) * len(config.edges)
    primary = None if config.max_seconds is None else config.edges.index(config.max_seconds)
    max_share = None if config.max_seconds is None else 1 - config.quantile
    return config.edges, np.array([_tau2(d, ASSUMED_TAU2_LATENCY) for d in each]), primary, max_share, None


def _tau2(dispersion: Dispersion, assumed: float) -> float:
    return assumed if dispersion.tau2 is None else dispersion.tau2


def _weight(config: Config) -> float:
    one = config.dispersion[0] if isinstance(config.dispersion, tuple) else config.dispersion
    return max(ASSUMED_WEIGHT, one.hours * BATCHES_PER_HOUR)


@lru_cache(maxsize=1024)
def _restarts(stages: tuple[float, ...]) -> tuple[Floats, Floats]:
    """Seconds of all restarts; part of the wide and the close ones begun before the first, after it, and so on.

    A run that is too short for close restarts places their stake at the wide ones.
    """
    ends = np.cumsum(stages)
    parts = np.arange(1, RESTARTS + 1) / RESTARTS
    wide = np.concatenate([end - length + length * parts for end, length in zip(ends, stages, strict=True)])
    close = np.arange(1, int(ends[-1] // RESTART_SECONDS) + 1) * RESTART_SECONDS
    if not len(close):
        close = wide
    at = np.concatenate([wide, close])
    order = np.argsort(at, kind="stable")
    is_close = order >= len(wide)
    part = np.array([~is_close / len(wide), is_close / len(close)])
    return at[order], np.concatenate([np.zeros((2, 1)), np.cumsum(part, axis=1)], axis=1)
