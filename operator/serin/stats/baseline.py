"""The bad share that a new version may have while baking, when there is no control at the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from serin.stats.bounds import upper_share
from serin.stats.plan import BASELINE_FACTOR, LONE_BASELINE_FACTOR

if TYPE_CHECKING:
    from serin.stats.fleet import Constants, Fleet
    from serin.stats.mixture import Floats


def baseline_share(constants: Constants, fleet: Fleet, i: int, edge: int) -> float:
    """Control's share over the run, at its upper confidence bound, times 2 and never less than `max`.

    Without a `max` it is times 5. A larger margin against control counts here too.

    Args:
        constants: of the fleet.
        fleet: the guardrails.
        i: index of the guardrail.
        edge: the edge that is judged.
    """
    plan = constants.plan
    bad, total = int(fleet.control[i, edge]), int(fleet.control[i, -1])
    bound = upper_share(bad, total, float(constants.bake_limit[i] * fleet.phi[i]))
    most = float(constants.max_share[i]) if plan.max_share is not None else 0.0
    factor = BASELINE_FACTOR if plan.max_share is not None else LONE_BASELINE_FACTOR
    margin = float(constants.null_ratio[i, 0]) if plan.compared else 1.0
    return min(1.0, max(bound * max(factor, margin), most))


PATIENCE_SECONDS = 1500.0
"""What is not gross must last about so long in the bake: longer than an incident of 20 minutes that control would have
had as well, if it were still there."""

GROSS_RATIO = 5.0
"""Bets on so many times the baseline are not held back. They begin to win at 2.5 times."""

STAKE_LOG = 1.0
"""About what the smallest stake of such a bet has to make up for, as a log."""


def patience(constants: Constants, seconds: Floats) -> Floats:
    """The most that each bet of the bake may win in a look, shape (n, columns)."""
    slow = (constants.bake_limit + STAKE_LOG) * seconds / PATIENCE_SECONDS
    held = constants.columns.excess < GROSS_RATIO - 1
    return np.where(held, slow[:, None], np.inf)
