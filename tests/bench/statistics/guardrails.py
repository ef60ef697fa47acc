"""Serin's guardrails over many runs at once: the very update of the operator, on a fleet of runs."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from serin.stats.advance import advance
from serin.stats.config import ASSUMED_TAU2_ERRORS, Dispersion, RateConfig
from serin.stats.fleet import Fleet, Looks, constants_of, started
from serin.stats.history import shrunken, windows
from serin.stats.plan import planned

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from serin.stats.config import LatencyConfig
    from tests.bench.statistics.streams import Stream

NEVER = np.inf


def rollback_looks(
    configs: Sequence[RateConfig | LatencyConfig], look_of: Callable[[int], Looks | None], looks: int
) -> NDArray[np.float64]:
    """The look at which each run is rolled back, counted from 1; inf for never.

    Runs that are decided leave the fleet, so that a bench of quick faults is quick.

    Args:
        configs: one per run.
        look_of: the looks of all runs, by number; None for a look that was not measured.
        looks: how many there are.
    """
    plans = np.array([planned(config) for config in configs], dtype=object)
    found = np.full(len(plans), NEVER)
    alive = np.arange(len(plans))
    constants, fleet = constants_of(tuple(plans)), started(list(plans))
    for i in range(looks):
        every = look_of(i)
        if every is None:
            continue
        here = Looks(*(getattr(every, name)[alive] for name in ("seconds", "baking", "control", "canary")))
        fleet = advance(constants, fleet, here)
        failed = fleet.failed > 0
        found[alive[failed & np.isinf(found[alive])]] = i + 1
        if failed.mean() > 0.3 or (i % 60 == 59 and failed.any()):
            alive, keep = alive[~failed], np.flatnonzero(~failed)
            if not len(alive):
                break
            fields = {field.name: getattr(fleet, field.name)[keep] for field in dataclasses.fields(Fleet)}
            fleet, constants = Fleet(**fields), constants_of(tuple(plans[alive]))
    return found


def looks_of(stream: Stream, seconds: float, *, baking_from: int | None = None) -> Callable[[int], Looks]:
    """The looks of an error stream."""
    runs = stream.control_total.shape[1]

    def look(i: int) -> Looks:
        baking = baking_from is not None and i >= baking_from
        return Looks(
            seconds=np.full(runs, seconds),
            baking=np.full(runs, baking),
            control=np.column_stack([stream.control_bad[i], stream.control_total[i]]) * (not baking),
            canary=np.column_stack([stream.canary_bad[i], stream.canary_total[i]]),
        )

    return look


def history(blocks: Sequence[Stream], seconds: float) -> list[Dispersion]:
    """What `serin.stats.history.from_arms` gives for each run, all runs in one call."""
    stacked = [
        np.concatenate([getattr(block, name) for block in blocks])
        for name in ("control_total", "control_bad", "canary_total", "canary_bad")
    ]
    labels = np.repeat(np.arange(len(blocks)), [len(block.control_total) for block in blocks])
    totals, bads = [stacked[0].astype(float), stacked[2].astype(float)], [stacked[1] * 1.0, stacked[3] * 1.0]
    batches, used = windows(totals, bads, seconds=seconds, blocks=labels)
    hours = used / 3600
    return [Dispersion(tau2, hours) for tau2 in shrunken(batches, hours, ASSUMED_TAU2_ERRORS).tolist()]


def rate_configs(dispersions: Sequence[Dispersion], hours: float = 6.0, **limits: float | None) -> list[RateConfig]:
    """Alpha 0.05, margin 10 %, one stage; no max and no warn unless they are given."""
    base = RateConfig(0.05, 0.1, None, None, 100, (hours * 3600,))
    base = dataclasses.replace(base, **limits)  # type: ignore[arg-type]
    return [dataclasses.replace(base, dispersion=each) for each in dispersions]
