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

    The absolute rule needs both of its halves, so it is as far as the weaker one. For errors alpha is not split between
    "worse than control" and it: whenever the first rejects, the half of the second that protects a canary that is no
    worse than control has reached the same limit (docs/design/statistics.md). Latency's rules bet on different edges.
    """
    rest = waiting(plan, state)
    found: dict[Rule, float] = {}
    if plan.compared:
        found[Rule.WORSE_THAN_CONTROL] = log_evidence(state.wealth[: plan.compared], rest) - plan.limit
    if plan.max_row is not None:
        halves = (log_evidence(state.wealth[row], rest) for row in (plan.level_row, plan.max_row))
        found[Rule.MAX] = min(halves) - plan.max_limit
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
    if plan.max_row is None:
        return False
    return log_evidence(state.wealth[plan.max_row], waiting(plan, state)) >= plan.max_limit


def above_warn(plan: Plan, state: State) -> bool:
    """True if the canary is shown to be above `warn`."""
    if plan.warn_row is None:
        return False
    return log_evidence(state.wealth[plan.warn_row], waiting(plan, state)) >= -math.log(WARN_LEVEL)
