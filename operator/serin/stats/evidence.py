"""From wealth to e-values: how near each rule is to its limit, for a whole fleet at once."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from serin.stats.looks import Rule
from serin.stats.mixture import log_evidence
from serin.stats.plan import WARN_LEVEL

if TYPE_CHECKING:
    from serin.stats.fleet import Constants, Flags, Fleet, Ints
    from serin.stats.mixture import Floats

RULES = tuple(Rule)


def waiting(constants: Constants, fleet: Fleet) -> Floats:
    """Stake of the restarts that are still to come, shape (n,)."""
    columns = constants.columns
    wide, close = float(columns.wide.sum()), float(columns.close.sum())
    rest = np.empty(len(fleet.started))
    for members, _, begun in constants.groups:
        parts = begun[:, fleet.started[members]]
        rest[members] = wide * (1 - parts[0]) + close * (1 - parts[1])
    return np.maximum(rest, 0.0)


def log_multiples(constants: Constants, fleet: Fleet) -> dict[Rule, Floats]:
    """log(E / limit) of each rule that can roll back, as far as the config and the phase have it; each of shape (n,).

    The absolute rule needs both of its halves, so it is as far as the weaker one. For errors alpha is not split between
    "worse than control" and it: whenever the first rejects, the half of the second that protects a canary that is no
    worse than control has reached the same limit (docs/design/statistics.md). Latency's rules bet on different edges.
    """
    plan = constants.plan
    rest = waiting(constants, fleet)
    found: dict[Rule, Floats] = {}
    if plan.compared:
        found[Rule.WORSE_THAN_CONTROL] = log_evidence(fleet.wealth[:, : plan.compared], rest) - constants.limit
    if plan.max_row is not None:
        level, most = (log_evidence(fleet.wealth[:, row, None], rest) for row in (plan.level_row, plan.max_row))
        found[Rule.MAX] = np.minimum(level, most) - constants.max_limit
    baking = fleet.baking
    if plan.rollback and baking.any():
        rest = (1 - constants.columns.start_mass) / (fleet.bake_started + 1)
        log_e = log_evidence(fleet.wealth[:, plan.baseline_row, None], rest) - constants.bake_limit
        # in the bake the other rules' wealth stands still; a limit that they did not reach is no longer news
        found = {rule: np.where(baking, -np.inf, value) for rule, value in found.items()}
        found[Rule.BASELINE] = np.where(baking, log_e, -np.inf)
    return found


def strongest(constants: Constants, fleet: Fleet) -> tuple[Ints, Floats]:
    """The rule that is nearest to its limit (index into `RULES`), and the log of its e-value as a multiple of it."""
    found = log_multiples(constants, fleet)
    if not found:
        nothing = len(fleet.seconds)
        return np.zeros(nothing, dtype=np.int64), np.full(nothing, -np.inf)
    rules = np.array([RULES.index(rule) for rule in found])
    values = np.array(list(found.values()))
    best = values.argmax(axis=0)
    return rules[best], np.take_along_axis(values, best[None], axis=0)[0]


def strongest_edge(constants: Constants, fleet: Fleet) -> Ints:
    """The edge whose own evidence against control is the largest, shape (n,)."""
    own = log_evidence(fleet.wealth[:, : constants.plan.compared, None], np.zeros((1, 1)))
    edges: Ints = own.argmax(axis=1)
    return edges


def above_max(constants: Constants, fleet: Fleet) -> Flags:
    """True where the canary is shown to be above `max`, whether or not control is too."""
    row = constants.plan.max_row
    if row is None:
        return np.zeros(len(fleet.seconds), dtype=bool)
    return log_evidence(fleet.wealth[:, row, None], waiting(constants, fleet)) >= constants.max_limit


def above_warn(constants: Constants, fleet: Fleet) -> Flags:
    """True where the canary is shown to be above `warn`."""
    row = constants.plan.warn_row
    if row is None:
        return np.zeros(len(fleet.seconds), dtype=bool)
    return log_evidence(fleet.wealth[:, row, None], waiting(constants, fleet)) >= -math.log(WARN_LEVEL)
