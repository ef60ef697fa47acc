"""From a state to the verdict that people read."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from serin.stats import mixture, ratio, refine
from serin.stats.bounds import interpolated_quantile
from serin.stats.config import LatencyConfig
from serin.stats.evidence import RULES, standing
from serin.stats.fleet import constants_of, opened, stacked
from serin.stats.looks import Evidence, Rule, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serin.stats.plan import Plan
    from serin.stats.state import Counts, Parts, State


def judge_all(items: Sequence[tuple[Plan, State]]) -> list[Evidence]:
    """The verdicts on everything seen so far, see `serin.stats.judge_all`."""
    shapes: dict[object, list[int]] = {}
    for i, (plan, _) in enumerate(items):
        shapes.setdefault(plan.shape, []).append(i)
    found: dict[int, Evidence] = {}
    for members in shapes.values():
        constants = constants_of(tuple(items[i][0] for i in members))
        fleet = stacked([items[i][1] for i in members])
        seen = standing(constants, fleet)
        for i, parts, log_multiple, *above in zip(
            members,
            opened(fleet),
            seen.log_multiple.tolist(),
            seen.above_max.tolist(),
            seen.above_warn.tolist(),
            strict=True,
        ):
            plan = items[i][0]
            found[i] = _judged(plan, parts, math.exp(log_multiple), *_verdict(plan, parts, *above))
    return [found[i] for i in range(len(items))]


def _judged(plan: Plan, parts: Parts, multiple: float, verdict: Verdict, rule: Rule) -> Evidence:
    if parts.failed and rule is not Rule.BREAKER:
        # what was rejected stays rejected, whatever came after
        multiple = max(multiple, 1.0)
    served = parts.bake if parts.baking else parts.canary
    at = parts.decided if parts.failed else parts.primary
    control_bad, control_total, canary_bad, canary_total = _counts(parts, served, at)
    best, low, high = _ratio(plan, parts, at, control_bad, canary_bad)
    if rule is Rule.BREAKER:
        canary_bad, canary_total, control_bad, control_total = parts.tripped
        multiple = 2 * canary_bad / canary_total
    control_p95, canary_p95 = _quantile(plan, parts.control), _quantile(plan, served)
    is_rate = plan.edges is None
    return Evidence(
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
        config=plan.config,
        baking=parts.baking,
        control_p95=control_p95,
        canary_p95=canary_p95,
        edge=plan.edges[at] if plan.edges is not None and at >= 0 else None,
        phi=parts.phi,
    )


def _verdict(plan: Plan, parts: Parts, above_max: bool, above_warn: bool) -> tuple[Verdict, Rule]:
    if parts.failed:
        return Verdict.FAILING, RULES[parts.failed]
    served = parts.bake if parts.baking else parts.canary
    if served[-1] < plan.config.min_requests:
        return Verdict.INSUFFICIENT, Rule.NONE
    if above_max:
        return Verdict.WARNING, Rule.MAX
    if above_warn:
        return Verdict.WARNING, Rule.WARN
    return Verdict.HEALTHY, Rule.NONE


def _counts(parts: Parts, served: Counts, edge: int) -> tuple[int, int, int, int]:
    if edge < 0:
        return 0, int(parts.control[-1]), 0, int(served[-1])
    return int(parts.control[edge]), int(parts.control[-1]), int(served[edge]), int(served[-1])


def _ratio(plan: Plan, parts: Parts, edge: int, control_bad: int, canary_bad: int) -> tuple[float | None, float, float]:
    """The ratio with its interval; against the baseline of a bake it is the plain ratio, without one.

    The likelihood by look is kept for the edge that is usually reported. Where another edge decided, it is that of the
    run's sums at their mean due: never sharper than look by look, as log(1-w + w psi) is concave in w.
    """
    control_total, canary_total = int(parts.control[-1]), int((parts.bake if parts.baking else parts.canary)[-1])
    if edge < 0 or control_bad + canary_bad == 0 or not (control_total and canary_total):
        return None, 0.0, math.inf
    plain = canary_bad / canary_total / (control_bad / control_total) if control_bad else math.inf
    if parts.baking:
        return plain, 0.0, math.inf
    profile = parts.profile
    if edge != parts.primary:
        bad = control_bad + canary_bad
        profile = ratio.log_likelihood(canary_bad, bad, float(parts.due[edge]) / bad)
    best, low, high = ratio.interval(profile)
    spread = _spread(plan, parts)
    low, high = low / spread, high * spread
    at_end = best <= ratio.SMALLEST or best >= ratio.LARGEST
    return (plain if at_end else best), low, high


def _spread(plan: Plan, parts: Parts) -> float:
    """The factor by which two equal versions may differ after so many batches: two standard deviations of it."""
    batches = max(1.0, parts.seconds / mixture.BATCH_SECONDS)
    tau2 = float(plan.tau2[plan.level_row] * parts.noise[refine.FACTOR])
    return math.exp(2 * math.sqrt(mixture.STEADY_CAUTION * tau2 / batches))


def _share(bad: int, total: int) -> float | None:
    return bad / total if total else None


def _quantile(plan: Plan, slower: Counts) -> float | None:
    if plan.edges is None or not isinstance(plan.config, LatencyConfig):
        return None
    total = int(slower[-1])
    return interpolated_quantile(plan.edges, [total - int(count) for count in slower[:-1]], total, plan.config.quantile)
