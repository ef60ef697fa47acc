"""From wealth to e-values: how near each rule is to its limit, for a whole fleet at once."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

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


class Standing(NamedTuple):
    """How near a fleet is to its limits, each of shape (n,).

    Attributes:
        rule: the one that is nearest to its limit, index into `RULES`.
        log_multiple: log of its e-value as a multiple of its limit.
        above_max: true where the canary is shown to be above `max`, whether or not control is too.
        above_warn: true where the canary is shown to be above `warn`.
    """

    rule: Ints
    log_multiple: Floats
    above_max: Flags
    above_warn: Flags


def standing(constants: Constants, fleet: Fleet) -> Standing:
    """All that a verdict is made of."""
    plan, rest = constants.plan, waiting(constants, fleet)
    most = warn = None
    if plan.max_row is not None:
        most = log_evidence(fleet.wealth[:, plan.max_row, None], rest)
    if plan.warn_row is not None:
        warn = log_evidence(fleet.wealth[:, plan.warn_row, None], rest)
    never = np.zeros(len(fleet.seconds), dtype=bool)
    return Standing(
        *_strongest(_log_multiples(constants, fleet, rest, most), len(fleet.seconds)),
        above_max=never if most is None else most >= constants.max_limit,
        above_warn=never if warn is None else warn >= -math.log(WARN_LEVEL),
    )


def log_multiples(constants: Constants, fleet: Fleet) -> dict[Rule, Floats]:
    """log(E / limit) of each rule that can roll back, as far as the config and the phase have it; each of shape (n,).

    The absolute rule needs both of its halves, so it is as far as the weaker one. For errors alpha is not split between
    "worse than control" and it: whenever the first rejects, the half of the second that protects a canary that is no
    worse than control has reached the same limit (docs/design/statistics.md). Latency's rules bet on different edges.
    """
    row, rest = constants.plan.max_row, waiting(constants, fleet)
    most = None if row is None else log_evidence(fleet.wealth[:, row, None], rest)
    return _log_multiples(constants, fleet, rest, most)


def _log_multiples(constants: Constants, fleet: Fleet, rest: Floats, most: Floats | None) -> dict[Rule, Floats]:
    """Given what is still to come and the log evidence that the canary is above `max`."""
    plan = constants.plan
    found: dict[Rule, Floats] = {}
    if plan.compared:
        found[Rule.WORSE_THAN_CONTROL] = log_evidence(fleet.wealth[:, : plan.compared], rest) - constants.limit
    if most is not None:
        level = log_evidence(fleet.wealth[:, plan.level_row, None], rest)
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
    return _strongest(log_multiples(constants, fleet), len(fleet.seconds))


def _strongest(found: dict[Rule, Floats], size: int) -> tuple[Ints, Floats]:
    if not found:
        return np.zeros(size, dtype=np.int64), np.full(size, -np.inf)
    rules = np.array([RULES.index(rule) for rule in found])
    values = np.array(list(found.values()))
    best = values.argmax(axis=0)
    return rules[best], np.take_along_axis(values, best[None], axis=0)[0]


def strongest_edge(constants: Constants, fleet: Fleet) -> Ints:
    """The edge whose own evidence against control is the largest, shape (n,)."""
    own = log_evidence(fleet.wealth[:, : constants.plan.compared, None], np.zeros((1, 1)))
    edges: Ints = own.argmax(axis=1)
    return edges
