"""From a state to the verdict that people read."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from serin.stats import mixture, ratio, wording
from serin.stats.advance import RULES
from serin.stats.bounds import interpolated_quantile
from serin.stats.config import LatencyConfig
from serin.stats.evidence import above_max, above_warn, strongest
from serin.stats.looks import Evidence, Rule, Verdict

if TYPE_CHECKING:
    from serin.stats.plan import Plan
    from serin.stats.state import Counts, State


def judge(plan: Plan, state: State) -> Evidence:
    """The verdict on everything seen so far, see `serin.stats.judge`."""
    verdict, rule = _verdict(plan, state)
    _, multiple = strongest(plan, state)
    if state.failed and rule is not Rule.BREAKER:
        # what was rejected stays rejected, whatever came after
        multiple = max(multiple, 1.0)
    served = state.bake if state.baking else state.canary
    control_bad, control_total, canary_bad, canary_total = _counts(state, served)
    best, low, high = _ratio(plan, state, control_bad, canary_bad)
    if rule is Rule.BREAKER:
        canary_bad, canary_total, control_bad, control_total = state.tripped
        multiple = 2 * canary_bad / canary_total
    control_p95, canary_p95 = _quantile(plan, state.control), _quantile(plan, served)
    is_rate = plan.edges is None
    evidence = Evidence(
        verdict=verdict,
        rule=rule,
        control_value=_share(control_bad, control_total) if is_rate else control_p95,
        canary_value=_share(canary_bad, canary_total) if is_rate else canary_p95,
        control_bad=control_bad,
        control_total=control_total,
        canary_bad=canary_bad,
        canary_total=canary_total,
        ratio=best,
        ratio_low=low,
        ratio_high=high,
        evidence=multiple,
        reason="",
        control_p95=control_p95,
        canary_p95=canary_p95,
        edge=plan.edges[state.primary] if plan.edges is not None and state.primary >= 0 else None,
        phi=state.phi,
    )
    return wording.explained(plan, state, evidence)


def _verdict(plan: Plan, state: State) -> tuple[Verdict, Rule]:
    if state.failed:
        return Verdict.FAILING, RULES[state.failed]
    served = state.bake if state.baking else state.canary
    if served[-1] < plan.config.min_requests:
        return Verdict.INSUFFICIENT, Rule.NONE
    if above_max(plan, state):
        return Verdict.WARNING, Rule.MAX
    if above_warn(plan, state):
        return Verdict.WARNING, Rule.WARN
    return Verdict.HEALTHY, Rule.NONE


def _counts(state: State, served: Counts) -> tuple[int, int, int, int]:
    if state.primary < 0:
        return 0, int(state.control[-1]), 0, int(served[-1])
    edge = state.primary
    return int(state.control[edge]), int(state.control[-1]), int(served[edge]), int(served[-1])


def _ratio(plan: Plan, state: State, control_bad: int, canary_bad: int) -> tuple[float | None, float, float]:
    """The ratio with its interval; against the baseline of a bake it is the plain ratio, without one."""
    control_total, canary_total = int(state.control[-1]), int((state.bake if state.baking else state.canary)[-1])
    if state.primary < 0 or control_bad + canary_bad == 0 or not (control_total and canary_total):
        return None, 0.0, math.inf
    plain = canary_bad / canary_total / (control_bad / control_total) if control_bad else math.inf
    if state.baking:
        return plain, 0.0, math.inf
    best, low, high = ratio.interval(state.profile)
    spread = _spread(plan, state)
    low, high = low / spread, high * spread
    at_end = best <= ratio.SMALLEST or best >= ratio.LARGEST
    return (plain if at_end else best), low, high


def _spread(plan: Plan, state: State) -> float:
    """The factor by which two equal versions may differ after so many batches: two standard deviations of it."""
    batches = max(1.0, state.seconds / mixture.BATCH_SECONDS)
    return math.exp(2 * math.sqrt(mixture.DISPERSION_FACTOR * float(plan.tau2[plan.level_row]) / batches))


def _share(bad: int, total: int) -> float | None:
    return bad / total if total else None


def _quantile(plan: Plan, slower: Counts) -> float | None:
    if plan.edges is None or not isinstance(plan.config, LatencyConfig):
        return None
    total = int(slower[-1])
    return interpolated_quantile(plan.edges, [total - int(count) for count in slower[:-1]], total, plan.config.quantile)
