"""The e-process behind every rule, over numpy arrays.

All rules ask one question: of m bad requests (or of m requests), x fell to the canary; is that more than the share w
that is its due? They differ only in m, x and w, so they are rows of one array, and one look of one guardrail is one
update of it. The columns are the alternatives that the mixture bets on.

Every function takes any leading axes before the last one or two, so that many guardrails can be updated at once.

For a rate ratio psi with null psi0 the likelihood ratio of the binomial split is

    log L = x log(psi/psi0) - m log((1-w + w psi) / (1-w + w psi0)) = x log r - m log(1 + q (r-1)),

with r = psi/psi0 and q = w psi0 / (1-w + w psi0), the canary's due under the null. E[L] <= 1 whenever the canary's
bad share is at most psi0 times control's, rare or not (proof in docs/design/statistics.md), and then
E[L^(1/phi)] <= 1 for every phi >= 1, by Jensen. The sum over planned restarts needs no memory of each of them: a new
start only adds its mass to the running sum of its column (method of mixtures, Robbins 1970; restarts as in
Shin, Ramdas and Rinaldo 2024, "E-detectors").
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Floats: TypeAlias = "NDArray[np.float64]"
Wealth: TypeAlias = "NDArray[np.float32]"

BATCH_SECONDS = 1200.0
"""tau^2 is the variance over a batch of this length."""

DISPERSION_FACTOR = 1.5
"""c in phi = 1 + c tau^2 V: above 1, because tau^2 is an estimate and arms drift within a run."""

GROSS_WEIGHT = 0.25
"""Part of the mixture that bets on gross harm."""

GROSS_REACH = 8.0
"""A bet on gross harm gains nothing until the log ratio is so many tau above the null: pods that differ do not get
there, even within minutes, where they differ by more than tau."""

GROSS_DISPERSION = 0.03
"""What remains of tau^2 in the phi of gross harm, whose null already contains most of it."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The alternatives of the mixture, arrays of shape (columns,).

    Attributes:
        log_ratio: log(psi/psi0) of each alternative.
        excess: psi/psi0 - 1.
        prior: its part of the mixture; they sum to 1.
        close_prior: its part at a close restart, where no bet on gross harm begins: pods differ most for minutes.
        reach: by how many tau the log ratio must exceed the null before the bet gains, 0 for no such demand.
        dispersion: factor on tau^2 in phi.
    """

    log_ratio: Floats
    excess: Floats
    prior: Floats
    close_prior: Floats
    reach: Floats
    dispersion: Floats


def columns(small: int, gross: int) -> Columns:
    """Log-spaced alternatives from 1.15 to 20: `small` with full overdispersion, `gross` with reach."""
    ratio = np.concatenate([np.geomspace(1.15, 20.0, small), np.geomspace(1.5, 20.0, gross)])
    is_gross = np.arange(small + gross) >= small
    prior = np.where(is_gross, GROSS_WEIGHT / gross, (1.0 - GROSS_WEIGHT) / small)
    return Columns(
        log_ratio=np.log(ratio),
        excess=ratio - 1.0,
        prior=prior,
        close_prior=np.where(is_gross, 0.0, 1.0 / small),
        reach=np.where(is_gross, GROSS_REACH, 0.0),
        dispersion=np.where(is_gross, GROSS_DISPERSION, 1.0),
    )


def dispersion(tau2: Floats, variance_rate: Floats) -> Floats:
    """C tau^2 V, the excess of phi over 1.

    Args:
        tau2: shape (..., rows).
        variance_rate: binomial variance m w (1-w) per second, shape (..., rows).
    """
    return DISPERSION_FACTOR * BATCH_SECONDS * tau2 * variance_rate


def log_increment(
    cols: Columns,
    *,
    bad: Floats,
    trials: Floats,
    share: Floats,
    null_ratio: Floats,
    tau2: Floats,
    excess_dispersion: Floats,
) -> Floats:
    """Log L^(1/phi) of one look.

    Args:
        cols: the alternatives.
        bad: x, shape (..., rows).
        trials: m >= x, shape (..., rows).
        share: w in [0, 1], shape (..., rows).
        null_ratio: psi0 > 0, shape (..., rows).
        tau2: shape (..., rows).
        excess_dispersion: from `dispersion`, shape (..., rows).

    Returns:
        Shape (..., rows, columns); finite for all finite input.
    """
    due = _due(share * null_ratio, 1.0 - share)[..., None]
    shift = np.maximum(0.0, np.sqrt(tau2)[..., None] * cols.reach - _slack(cols, due))
    due = np.where(cols.reach > 0, _due(due * np.exp(shift), 1.0 - due), due)
    gain = bad[..., None] * cols.log_ratio - trials[..., None] * np.log1p(due * cols.excess)
    return gain / (1.0 + excess_dispersion[..., None] * cols.dispersion)


def _due(canary: Floats, control: Floats) -> Floats:
    return canary / (canary + control)


def _slack(cols: Columns, due: Floats) -> Floats:
    """The log ratio above the null at which a bet begins to gain, shape (..., rows, columns).

    The bet gains when the canary's part of the bad exceeds log(1 + q (r-1)) / log r, which lies between q and 1.
    """
    inner = np.clip(due, 1e-9, 1.0 - 1e-9)
    even = np.log1p(inner * cols.excess) / cols.log_ratio
    return np.log(even / (1.0 - even)) - np.log(inner / (1.0 - inner))


def grow(wealth: Wealth, log_start: Floats, increment: Floats, ceiling: Floats) -> Wealth:
    """The log wealth after a look.

    Wealth is kept as float32 *at every step*, so that a stored state and a running one are the same numbers.

    Args:
        wealth: log wealth, shape (..., rows, columns).
        log_start: log of the mass that starts with this look, -inf if none, shape (..., rows, columns).
        increment: from `log_increment`, same shape.
        ceiling: log wealth is cut here, shape (..., rows, 1). To cut is to give money away, which is safe; it keeps a
            warning from outliving its cause.
    """
    return np.minimum(np.logaddexp(wealth, log_start) + increment, ceiling).astype(np.float32)


def log_evidence(wealth: Wealth, waiting: float) -> float:
    """Log E of a set of rows: all of their wealth and the mass that has not started yet.

    Args:
        wealth: log wealth of the rows of one rule, any shape.
        waiting: mass of restarts to come, in [0, 1]; it counts as 1 to 1.
    """
    cells = np.asarray(wealth, dtype=np.float64)
    rest = math.log(waiting) if waiting > 0 else -math.inf
    top = max(float(cells.max()), rest)
    return top + math.log(float(np.exp(cells - top).sum()) + math.exp(rest - top))
