"""One look further: O(rows x columns) work for each guardrail of a fleet, and nothing that grows."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from serin.stats import clumps, mixture, ratio, refine
from serin.stats.baseline import baseline_share, patience
from serin.stats.config import LatencyConfig
from serin.stats.evidence import RULES, strongest, strongest_edge
from serin.stats.looks import Rule
from serin.stats.plan import RESTART_SECONDS

if TYPE_CHECKING:
    from serin.stats.fleet import Constants, Fleet, Ints, Looks
    from serin.stats.mixture import Floats, Wealth
    from serin.stats.plan import Plan

MEMORY_SECONDS = 120.0
"""Smoothing of the binomial variance per second that phi is made of: short enough to follow a change of load, long
enough that phi does not depend on how the same traffic is cut into looks."""

BREAKER_REQUESTS = 20
WINDOW = (0.40, 0.995)
"""Restarts bet on the edges between these quantiles of control."""
ENOUGH_FOR_EDGE = 20
"""Control's requests that choose the reported edge where there is no `max`."""

_WORSE, _MAX, _BREAKER = (RULES.index(rule) for rule in (Rule.WORSE_THAN_CONTROL, Rule.MAX, Rule.BREAKER))


class _Rows(NamedTuple):
    """x, m and w of each row, shape (n, rows). A row that a look says nothing about has x = m = 0."""

    bad: Floats
    trials: Floats
    share: Floats


def advance(constants: Constants, fleet: Fleet, looks: Looks) -> Fleet:
    """The fleet after one more look of each guardrail, see `serin.stats.update`."""
    plan = constants.plan
    primary = _primary(constants, fleet, looks)
    rows = _rows(constants, fleet, looks, primary)
    live, bake = ~looks.baking[:, None], looks.baking[:, None]
    seconds = fleet.seconds + np.where(looks.baking, 0.0, looks.seconds)
    bake_seconds = fleet.bake_seconds + np.where(looks.baking, looks.seconds, 0.0)
    started, bake_started, begun = _beginning(constants, fleet, looks)
    chance = rows.trials * rows.share * (1 - rows.share)
    variance = _smoothed(constants, fleet, chance, looks)
    rate = _rate(plan, variance, seconds, bake_seconds)
    common = _common(constants, fleet, looks)
    if common is not None:
        # these bets are fair look by look, not given the bad requests of the look: phi must not know them
        before = _rate(plan, fleet.variance, fleet.seconds, fleet.bake_seconds)
        rate = np.where(common[1] > 0, before, rate)
    tau2 = constants.tau2 * fleet.noise[:, refine.FACTOR, None]
    excess = mixture.dispersion(tau2, rate)
    level = plan.level_row
    bad, trials, share = (each[:, level] for each in rows)
    phi = 1.0 + mixture.STEADY_CAUTION * excess[:, level]
    slow, total = (looks.control + looks.canary)[:, :-1], looks.canary[:, -1]
    weight = total / np.maximum(total + looks.control[:, -1], 1)
    after = dataclasses.replace(
        fleet,
        seconds=seconds,
        bake_seconds=bake_seconds,
        started=started,
        bake_started=bake_started,
        primary=primary,
        control=fleet.control + looks.control,
        canary=fleet.canary + looks.canary * live,
        bake=fleet.bake + looks.canary * bake,
        due=fleet.due + slow * weight[:, None] * live,
        phi=np.where(looks.baking, fleet.phi, phi),
        noise=refine.refined(
            fleet.noise,
            constants.level_tau2,
            constants.weight,
            seconds=np.where(looks.baking, 0.0, looks.seconds),
            score=bad - trials * share,
            variance=chance[:, level],
        ),
        clumps=clumps.counted(
            fleet.clumps, looks.control[:, 0].astype(np.float64), looks.control[:, -1].astype(np.float64)
        ),
        wealth=_grown(constants, fleet, rows, (tau2, excess, common), begun, looks),
        variance=variance,
        profile=fleet.profile + ratio.log_likelihood(bad, trials, share),
    )
    return _decided(constants, after, looks, clumps.size(fleet.clumps))


def _grown(
    constants: Constants,
    fleet: Fleet,
    rows: _Rows,
    noise: tuple[Floats, Floats, tuple[Floats, Floats] | None],
    begun: Floats | None,
    looks: Looks,
) -> Wealth:
    """The wealth after the look. The bake's row, the last one, is left out while nothing bakes: it stands still."""
    plan, baking = constants.plan, bool(looks.baking.any())
    end = plan.rows if baking else plan.baseline_row
    most = mixture.largest_gain(constants.look_gain, noise[1][:, :end], looks.seconds)
    if baking:
        most = np.repeat(most, len(constants.columns.start), axis=2)
        most[:, plan.baseline_row] = patience(constants, looks.seconds)
    increment = mixture.log_increment(
        constants.columns,
        bad=rows.bad[:, :end],
        trials=rows.trials[:, :end],
        share=rows.share[:, :end],
        null_ratio=constants.null_ratio[:, :end],
        tau2=noise[0][:, :end],
        excess_dispersion=noise[1][:, :end],
        most=most,
        common=None if noise[2] is None else (noise[2][0][:, :end], noise[2][1][:, :end]),
    )
    part = None if begun is None else begun[:, :end]
    grown = mixture.grow(fleet.wealth[:, :end], part, increment, constants.ceiling[:, :end])
    return grown if baking else np.concatenate([grown, fleet.wealth[:, end:]], axis=1)


def _common(constants: Constants, fleet: Fleet, looks: Looks) -> tuple[Floats, Floats] | None:
    """Requests of both arms, and control's share before the look in each row that compares with it; latency only.

    The share is 0, for not known, where one of the arms did not serve: such a look says nothing.
    """
    plan = constants.plan
    if plan.edges is None:
        return None
    served, guess = np.zeros((len(fleet.primary), plan.rows)), np.zeros((len(fleet.primary), plan.rows))
    served[:] = (looks.control[:, -1] + looks.canary[:, -1])[:, None]
    both = (looks.control[:, -1:] > 0) & (looks.canary[:, -1:] > 0)
    before = both * fleet.control[:, :-1] / np.maximum(fleet.control[:, -1:], 1)
    guess[:, : plan.compared] = before[:, : plan.compared]
    guess[:, plan.level_row] = before[np.arange(len(before)), np.maximum(fleet.primary, 0)] * (fleet.primary >= 0)
    return served, guess


def _primary(constants: Constants, fleet: Fleet, looks: Looks) -> Ints:
    """The edge to report: the one at `max`, else the one nearest to control's quantile once that is known."""
    if not isinstance(constants.plan.config, LatencyConfig) or (fleet.primary >= 0).all():
        return fleet.primary
    control = fleet.control + looks.control
    enough = (fleet.primary < 0) & (control[:, -1] >= ENOUGH_FOR_EDGE)
    slow = control[:, :-1] / np.maximum(control[:, -1:], 1)
    nearest = np.abs(slow - (1 - constants.plan.config.quantile)).argmin(axis=1)
    return np.where(enough, nearest, fleet.primary)


def _rows(constants: Constants, fleet: Fleet, looks: Looks, primary: Ints) -> _Rows:
    plan, n = constants.plan, len(primary)
    bad, trials, share = np.zeros((n, plan.rows)), np.zeros((n, plan.rows)), np.zeros((n, plan.rows))
    total, control_total = looks.canary[:, -1], looks.control[:, -1]
    live = ~looks.baking
    share[:, : plan.level_row + 1] = (live * total / np.maximum(total + control_total, 1))[:, None]
    bad[:, : plan.compared] = looks.canary[:, : plan.compared] * live[:, None]
    trials[:, : plan.compared] = (looks.canary + looks.control)[:, : plan.compared] * live[:, None]
    known, at, every = primary >= 0, np.maximum(primary, 0), np.arange(n)
    slow = looks.canary[every, at] * known
    bad[:, plan.level_row] = slow * live
    trials[:, plan.level_row] = (slow + looks.control[every, at] * known) * live
    for row, limit in ((plan.max_row, constants.max_share), (plan.warn_row, constants.warn_share)):
        if row is not None:
            bad[:, row], trials[:, row], share[:, row] = slow, total * known, limit * known
    for i in np.flatnonzero(looks.baking & known).tolist():
        row = plan.baseline_row
        bad[i, row], trials[i, row], share[i, row] = slow[i], total[i], baseline_share(constants, fleet, i, int(at[i]))
    return _Rows(bad, trials, share)


def _beginning(constants: Constants, fleet: Fleet, looks: Looks) -> tuple[Ints, Ints, Floats | None]:
    """Restarts begun with this look (of the stages, of the bake), and the stake they bring, (n, rows, columns)."""
    plan, columns = constants.plan, constants.columns
    due, bake_due = fleet.started.copy(), fleet.bake_started.copy()
    parts = np.zeros((2, len(due)))
    for members, restarts, begun in constants.groups:
        now = np.searchsorted(restarts, fleet.seconds[members], side="right")
        parts[:, members] = begun[:, now] - begun[:, fleet.started[members]]
        due[members] = now
    due = np.where(looks.baking, fleet.started, due)
    parts *= ~looks.baking
    # masses 1/(j(j+1)) sum to 1 without a planned end
    bake_due = np.where(looks.baking, (fleet.bake_seconds // RESTART_SECONDS).astype(np.int64), bake_due)
    bake_part = 1 / (fleet.bake_started + 1) - 1 / (bake_due + 1)
    if not (parts.any() or bake_part.any()):
        return due, bake_due, None
    begun = np.zeros((len(due), plan.rows, len(columns.start)))
    begun[:, : plan.baseline_row] = (parts[0, :, None] * columns.wide + parts[1, :, None] * columns.close)[:, None]
    if plan.compared > 1:
        begun[:, : plan.compared] *= _window(fleet)[:, :, None]
    begun[:, plan.baseline_row] = bake_part[:, None] * (1 - columns.start_mass) * columns.prior
    return due, bake_due, begun


def _window(fleet: Fleet) -> Floats:
    """How a restart's stake is shared by the edges: equally over those that control's past requests make telling."""
    fast = 1 - fleet.control[:, :-1] / np.maximum(fleet.control[:, -1:], 1)
    inside = (fast >= WINDOW[0]) & (fast <= WINDOW[1])
    inside |= ~inside.any(axis=1, keepdims=True)
    parts: Floats = inside / inside.sum(axis=1, keepdims=True)
    return parts


def _rate(plan: Plan, variance: Wealth, seconds: Floats, bake_seconds: Floats) -> Floats:
    """Binomial variance per second: the smoothed one without the zeros that it began with, shape (n, rows)."""
    clock = np.repeat(seconds[:, None], plan.rows, axis=1)
    clock[:, plan.baseline_row] = bake_seconds
    return variance / -np.expm1(-np.maximum(clock, 1e-9) / MEMORY_SECONDS)


def _smoothed(constants: Constants, fleet: Fleet, fresh: Floats, looks: Looks) -> Wealth:
    """Binomial variance per second, smoothed; rows that this look says nothing about keep theirs."""
    rows = np.arange(constants.plan.rows)
    baking = looks.baking[:, None]
    active = np.where(baking, rows > constants.plan.level_row, rows < constants.plan.baseline_row)
    keep = np.exp(-looks.seconds / MEMORY_SECONDS)[:, None]
    smoothed = keep * fleet.variance + (1 - keep) * fresh / looks.seconds[:, None]
    return np.where(active, smoothed, fleet.variance).astype(np.float32)


def _decided(constants: Constants, fleet: Fleet, looks: Looks, clump: Floats) -> Fleet:
    """The fleet with the rules and the edges that reject, where one does. The first one stays."""
    bad, total = looks.canary[:, 0], looks.canary[:, -1]
    trips = (total >= BREAKER_REQUESTS) & (2 * bad >= total) & (fleet.failed == 0)
    trips &= bad >= BREAKER_REQUESTS / 2 * clump
    if constants.plan.edges is not None:
        trips = np.zeros_like(trips)
    served = np.where(fleet.baking, fleet.bake[:, -1], fleet.canary[:, -1])
    rule, log_multiple = strongest(constants, fleet)
    rejects = (log_multiple >= 0) & (served >= constants.min_requests) & (fleet.failed == 0) & ~trips
    if not (trips.any() or rejects.any()):
        return fleet
    edge = strongest_edge(constants, fleet) if constants.plan.compared else fleet.primary
    edge = np.where(rule == _WORSE, edge, fleet.primary)
    look = np.column_stack([bad, total, looks.control[:, 0], looks.control[:, -1]])
    return dataclasses.replace(
        fleet,
        failed=np.where(trips, _BREAKER, np.where(rejects, rule, fleet.failed)),
        decided=np.where(trips, 0, np.where(rejects, edge, fleet.decided)),
        tripped=np.where(trips[:, None], look, fleet.tripped),
    )
