"""One look further: O(rows x columns) work, and nothing that grows."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from serin.stats import mixture, ratio
from serin.stats.bounds import upper_share
from serin.stats.config import LatencyConfig
from serin.stats.evidence import strongest
from serin.stats.looks import LatencyLook, Look, Rule
from serin.stats.plan import BASELINE_FACTOR, LONE_BASELINE_FACTOR, RESTART_SECONDS, START_MASS

if TYPE_CHECKING:
    from serin.stats.mixture import Floats, Wealth
    from serin.stats.plan import Plan
    from serin.stats.state import Counts, State

MEMORY_SECONDS = 120.0
"""Smoothing of the binomial variance per second that phi is made of: short enough to follow a change of load, long
enough that phi does not depend on how the same traffic is cut into looks."""

BREAKER_REQUESTS = 20
WINDOW = (0.40, 0.995)
"""Restarts bet on the edges between these quantiles of control."""
ENOUGH_FOR_EDGE = 20
"""Control's requests that choose the reported edge where there is no `max`."""

RULES = tuple(Rule)


@dataclass(frozen=True, slots=True)
class _Counted:
    """One look of either kind: bad requests at each edge, then the total."""

    seconds: float
    baking: bool
    control: Counts
    canary: Counts


def update(plan: Plan, state: State, look: Look | LatencyLook) -> State:
    """The state after one more look, see `serin.stats.update`."""
    seen = _counted(plan, look)
    primary = _primary(plan, state, seen)
    bad, trials, share = _rows(plan, state, seen, primary)
    started, bake_started, mass = _starting(plan, state, baking=seen.baking)
    seconds = state.seconds + (0.0 if seen.baking else seen.seconds)
    bake_seconds = state.bake_seconds + (seen.seconds if seen.baking else 0.0)
    variance = _smoothed(plan, state, trials * share * (1 - share), seen)
    clock = np.full(plan.rows, seconds)
    clock[plan.baseline_row] = bake_seconds
    rate = variance / -np.expm1(-np.maximum(clock, 1e-9) / MEMORY_SECONDS)
    excess = mixture.dispersion(plan.tau2, rate)
    increment = mixture.log_increment(
        plan.columns,
        bad=bad,
        trials=trials,
        share=share,
        null_ratio=plan.null_ratio,
        tau2=plan.tau2,
        excess_dispersion=excess,
    )
    with np.errstate(divide="ignore"):
        log_start = np.log(mass)
    level = plan.level_row
    phi = state.phi if seen.baking else 1.0 + float(excess[level])
    nothing = np.zeros_like(seen.canary)
    after = dataclasses.replace(
        state,
        seconds=seconds,
        bake_seconds=bake_seconds,
        started=started,
        bake_started=bake_started,
        primary=primary,
        phi=phi,
        control=state.control + seen.control,
        canary=state.canary + (nothing if seen.baking else seen.canary),
        bake=state.bake + (seen.canary if seen.baking else nothing),
        wealth=mixture.grow(state.wealth, log_start, increment, plan.ceiling),
        variance=variance,
        profile=state.profile + ratio.log_likelihood(bad[level], trials[level], share[level]),
    )
    return _decided(plan, after, seen)


def _counted(plan: Plan, look: Look | LatencyLook) -> _Counted:
    if isinstance(look, Look):
        if plan.edges is not None:
            raise ValueError("a latency guardrail needs a LatencyLook")
        control = [look.control_bad, look.control_total]
        canary = [look.canary_bad, look.canary_total]
    else:
        if plan.edges != look.edges:
            raise ValueError(f"the look has the edges {look.edges}, the guardrail {plan.edges}")
        control = [*(look.control_total - count for count in look.control), look.control_total]
        canary = [*(look.canary_total - count for count in look.canary), look.canary_total]
    return _Counted(look.seconds, look.baking, np.array(control, np.int64), np.array(canary, np.int64))


def _primary(plan: Plan, state: State, seen: _Counted) -> int:
    """The edge to report: the one at `max`, else the one nearest to control's quantile once that is known."""
    control = state.control + seen.control
    if state.primary >= 0 or control[-1] < ENOUGH_FOR_EDGE or not isinstance(plan.config, LatencyConfig):
        return state.primary
    slow = control[:-1] / control[-1]
    return int(np.abs(slow - (1 - plan.config.quantile)).argmin())


def _rows(plan: Plan, state: State, seen: _Counted, primary: int) -> tuple[Floats, Floats, Floats]:
    """x, m and w of each row, shape (rows,). A row that this look says nothing about has x = m = 0."""
    bad, trials, share = np.zeros(plan.rows), np.zeros(plan.rows), np.zeros(plan.rows)
    total = seen.canary[-1]
    if not seen.baking:
        share[: plan.level_row + 1] = total / max(total + seen.control[-1], 1)
        bad[: plan.compared] = seen.canary[: plan.compared]
        trials[: plan.compared] = (seen.canary + seen.control)[: plan.compared]
    if primary >= 0:
        slow = seen.canary[primary]
        if not seen.baking:
            bad[plan.level_row], trials[plan.level_row] = slow, slow + seen.control[primary]
        for row, limit in ((plan.max_row, plan.max_share), (plan.warn_row, plan.warn_share)):
            if row is not None and limit is not None:
                bad[row], trials[row], share[row] = slow, total, limit
        if seen.baking:
            row = plan.baseline_row
            bad[row], trials[row], share[row] = slow, total, baseline_share(plan, state, primary)
    return bad, trials, share


def baseline_share(plan: Plan, state: State, primary: int) -> float:
    """The bad share that the new version may have while baking.

    Control's share over the run, at its upper confidence bound, times 2 and never less than `max`; without a `max`,
    times 5. A larger margin against control counts here too.
    """
    bound = upper_share(int(state.control[primary]), int(state.control[-1]), plan.bake_limit * state.phi)
    factor = BASELINE_FACTOR if plan.max_share is not None else LONE_BASELINE_FACTOR
    margin = max(factor, 1.0 + (plan.config.worse_than_control or 0.0))
    return min(1.0, max(bound * margin, plan.max_share or 0.0))


def _starting(plan: Plan, state: State, *, baking: bool) -> tuple[int, int, Floats]:
    """Restarts begun with this look (of the stages, of the bake), and the mass they bring, shape (rows, columns)."""
    prior = plan.columns.prior
    mass = np.zeros((plan.rows, len(prior)))
    if baking:
        # masses 1/(j(j+1)) sum to 1 without a planned end
        due = int(state.bake_seconds // RESTART_SECONDS)
        mass[plan.baseline_row] = (1 - START_MASS) * (1 / (state.bake_started + 1) - 1 / (due + 1)) * prior
        return state.started, due, mass
    due = int(np.searchsorted(plan.restarts, state.seconds, side="right"))
    wide, close = plan.begun[:, due] - plan.begun[:, state.started]
    mass[: plan.baseline_row] = wide * prior + close * plan.columns.close_prior
    if plan.compared > 1:
        mass[: plan.compared] *= _window(state)[:, None]
    return due, state.bake_started, mass


def _window(state: State) -> Floats:
    """How a restart's mass is shared by the edges: equally over those that control's past requests make telling."""
    fast = 1 - state.control[:-1] / max(int(state.control[-1]), 1)
    inside = (fast >= WINDOW[0]) & (fast <= WINDOW[1])
    if not inside.any():
        inside = np.ones_like(inside)
    parts: Floats = inside / inside.sum()
    return parts


def _smoothed(plan: Plan, state: State, fresh: Floats, seen: _Counted) -> Wealth:
    """Binomial variance per second, smoothed; rows that this look says nothing about keep theirs."""
    active = np.arange(plan.rows) < plan.baseline_row
    if seen.baking:
        active = np.arange(plan.rows) > plan.level_row
    keep = math.exp(-seen.seconds / MEMORY_SECONDS)
    smoothed = keep * state.variance + (1 - keep) * fresh / seen.seconds
    return np.where(active, smoothed, state.variance).astype(np.float32)


def _decided(plan: Plan, state: State, seen: _Counted) -> State:
    """The state with the rule that rejects, if one does. The first one stays."""
    if state.failed:
        return state
    if plan.edges is None and seen.canary[-1] >= BREAKER_REQUESTS and 2 * seen.canary[0] >= seen.canary[-1]:
        tripped = (int(seen.canary[0]), int(seen.canary[-1]), int(seen.control[0]), int(seen.control[-1]))
        return dataclasses.replace(state, failed=RULES.index(Rule.BREAKER), tripped=tripped)
    served = state.bake if state.baking else state.canary
    if served[-1] < plan.config.min_requests:
        return state
    rule, multiple = strongest(plan, state)
    return dataclasses.replace(state, failed=RULES.index(rule)) if multiple >= 1 else state
