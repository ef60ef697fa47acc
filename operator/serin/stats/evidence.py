"""From wealth to e-values: how near each rule is to its limit."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from serin.stats.looks import Rule
from serin.stats.mixture import log_evidence
from serin.stats.plan import START_MASS, WARN_LEVEL

if TYPE_CHECKING:
    from serin.stats.plan import Plan
    from serin.stats.state import State


def waiting(plan: Plan, state: State) -> float:
    """Mass of the restarts that are still to come."""
    return max(0.0, 1 - START_MASS - float(plan.begun[:, state.started].sum()))


def log_multiples(plan: Plan, state: State) -> dict[Rule, float]:
    """log(E / limit) of each rule that can roll back, as far as the config and the phase have it.

    The absolute rule needs both of its halves, so it is as far as the weaker one. A canary that is no worse than
    control is protected by "worse than control" and by that half at one and the same level: whenever the first
    rejects, the half does too (proof in docs/design/statistics.md), so alpha is not split between them.
    """
    rest = waiting(plan, state)
    level = log_evidence(state.wealth[plan.level_row], rest) - plan.limit
    found: dict[Rule, float] = {}
    if plan.compared:
        found[Rule.WORSE_THAN_CONTROL] = log_evidence(state.wealth[: plan.compared], rest) - plan.limit
    if plan.max_row is not None:
        found[Rule.MAX] = min(level, log_evidence(state.wealth[plan.max_row], rest) - plan.limit)
    if state.baking and plan.rollback:
        rest = (1 - START_MASS) / (state.bake_started + 1)
        found[Rule.BASELINE] = log_evidence(state.wealth[plan.baseline_row], rest) - plan.bake_limit
    return found


def strongest(plan: Plan, state: State) -> tuple[Rule, float]:
    """The rule that is nearest to its limit, and its e-value as a multiple of the limit."""
    found = log_multiples(plan, state)
    if not found:
        return Rule.NONE, 0.0
    # in the bake the other rules' wealth stands still; a limit that they did not reach is no longer news
    candidates = {Rule.BASELINE: found[Rule.BASELINE]} if Rule.BASELINE in found else found
    rule = max(candidates, key=lambda name: candidates[name])
    return rule, math.exp(candidates[rule])


def above_max(plan: Plan, state: State) -> bool:
    """True if the canary is shown to be above `max`, whether or not control is too."""
    return plan.max_row is not None and log_evidence(state.wealth[plan.max_row], waiting(plan, state)) >= plan.limit


def above_warn(plan: Plan, state: State) -> bool:
    """True if the canary is shown to be above `warn`."""
    if plan.warn_row is None:
        return False
    return log_evidence(state.wealth[plan.warn_row], waiting(plan, state)) >= -math.log(WARN_LEVEL)
