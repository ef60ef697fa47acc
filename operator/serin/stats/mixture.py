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

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from serin.stats.common import LARGEST_SHARE, log_ratio_of_shares

if TYPE_CHECKING:
    from numpy.typing import NDArray

Floats: TypeAlias = "NDArray[np.float64]"
Wealth: TypeAlias = "NDArray[np.float32]"

BATCH_SECONDS = 1200.0
"""tau^2 is the variance over a batch of this length."""

STEADY_CAUTION = 1.35
"""c in phi = 1 + c tau^2 V for small harm: above 1, because tau^2 is an estimate."""

EARLY_CAUTION = 1.15
"""The same for bets on large harm that begin at the start alone. They live for minutes and begin once, so there is no
search among many beginnings to be paid for; what remains is that tau^2 is an estimate."""

SUDDEN_CAUTION = 1.5
"""The same for bets that begin every few minutes: many beginnings find the tail of what pods do within minutes."""

STEADY_FALL = 1.5
"""Prior of small harm ~ r^-1.5: evidence against little harm comes slowly, so that is where the stake saves most time.
A bet on large harm makes up for a small stake within a look or two."""

SUDDEN_FALL = 0.5
"""The same for sudden harm."""

GROSS_REACH = 6.0
"""A bet on gross harm gains nothing until the log ratio is so many tau above the null: pods that differ do not get
there, even within minutes, where they differ by more than tau."""

GROSS_DISPERSION = 0.03
"""What remains of tau^2 in the phi of gross harm, whose null already contains most of it."""

LOOK_SECONDS = 30.0
LOOK_GAIN_CALM = 4.0
"""Beside a part of what a rejection needs, one look may win 4/(phi-1): without overdispersion there is no limit."""

STEADY_START, STEADY_WIDE = 13.0, 3.0
EARLY_START = 5.0
SUDDEN_START, SUDDEN_CLOSE = 1.0, 2.0
GROSS_START = 1.0
"""Shares of the stake by kind of bet and by when it is placed; they are scaled to a sum of 1."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The alternatives of the mixture, arrays of shape (columns,). Bets on gross harm are the last ones.

    Attributes:
        log_ratio: log(psi/psi0) of each alternative.
        excess: psi/psi0 - 1.
        start: the stake that is placed at the start of the run.
        wide: the stake that is spread over the wide restarts.
        close: the stake that is spread over the close restarts; start, wide and close together sum to 1.
        caution: c, the factor on tau^2 in phi.
        gross: index of the first bet on gross harm.
    """

    log_ratio: Floats
    excess: Floats
    start: Floats
    wide: Floats
    close: Floats
    caution: Floats
    gross: int

    @property
    def prior(self) -> Floats:
        """The whole stake of each column, whenever it is placed."""
        return self.start + self.wide + self.close

    @property
    def start_mass(self) -> float:
        """The part of the stake that is placed at the start."""
        return float(self.start.sum())


def columns(steady: int, early: int, sudden: int, gross: int) -> Columns:
    """Log-spaced alternatives in four groups.

    Args:
        steady: bets on small harm, 1.15 to 4; placed at the start and at the wide restarts.
        early: bets on large harm, 2.5 to 5; placed at the start.
        sudden: bets on larger harm, 1.5 to 20; placed at the start and at the close restarts.
        gross: bets on gross harm, 1.5 to 20 above a null that is moved; placed at the start.
    """
    counts = (steady, early, sudden, gross)
    reach = ((1.15, 4.0), (2.5, 5.0), (1.5, 20.0), (1.5, 20.0))
    ratio = [np.geomspace(*ends, count) for ends, count in zip(reach, counts, strict=True)]
    falls = (STEADY_FALL, 0.0, SUDDEN_FALL, 0.0)
    parts = [_prior(each, fall) for each, fall in zip(ratio, falls, strict=True)]
    total = STEADY_START + STEADY_WIDE + EARLY_START + SUDDEN_START + SUDDEN_CLOSE + GROSS_START
    caution = np.repeat([STEADY_CAUTION, EARLY_CAUTION, SUDDEN_CAUTION, STEADY_CAUTION * GROSS_DISPERSION], counts)

    def stake(*shares: float) -> Floats:
        return np.concatenate([share / total * part for share, part in zip(shares, parts, strict=True)])

    flat = np.concatenate(ratio)
    return Columns(
        log_ratio=np.log(flat),
        excess=flat - 1.0,
        start=stake(STEADY_START, EARLY_START, SUDDEN_START, GROSS_START),
        wide=stake(STEADY_WIDE, 0.0, 0.0, 0.0),
        close=stake(0.0, 0.0, SUDDEN_CLOSE, 0.0),
        caution=caution,
        gross=steady + early + sudden,
    )


def _prior(ratio: Floats, fall: float) -> Floats:
    weight: Floats = ratio**-fall
    weight /= weight.sum()
    return weight


def dispersion(tau2: Floats, variance_rate: Floats) -> Floats:
    """tau^2 V: what phi exceeds 1 by, before the caution of each column.

    Args:
        tau2: shape (..., rows).
        variance_rate: binomial variance m w (1-w) per second, shape (..., rows).
    """
    return BATCH_SECONDS * tau2 * variance_rate


def largest_gain(part: Floats, excess_dispersion: Floats, seconds: Floats) -> Floats:
    """The most log wealth that a look may win, inf where there is no overdispersion.

    Where pods differ beyond chance nobody knows the tail of what they do, and one look alone must not decide. A look
    longer than 30 s may win so much more.

    Args:
        part: of the log wealth that a rejection needs, shape (...).
        excess_dispersion: from `dispersion`, shape (..., rows).
        seconds: length of the look, shape (...).

    Returns:
        Shape (..., rows, 1).
    """
    with np.errstate(divide="ignore"):
        most = part[..., None] + LOOK_GAIN_CALM / (STEADY_CAUTION * excess_dispersion)
    return (most * np.maximum(1.0, seconds / LOOK_SECONDS)[..., None])[..., None]


def log_increment(
    cols: Columns,
    *,
    bad: Floats,
    trials: Floats,
    share: Floats,
    null_ratio: Floats,
    tau2: Floats,
    excess_dispersion: Floats,
    most: Floats,
    common: tuple[Floats, Floats] | None = None,
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
        most: the largest gain, shape (..., rows, columns) or (..., rows, 1). To win less than a fair bet is fair.
        common: where bad requests are not rare, all requests of both arms in the look and control's bad share before
            it, each of shape (..., rows); see `serin.stats.common`. A share of 0: not known, the bet for rare ones.

    Returns:
        Shape (..., rows, columns); finite for all finite input.
    """
    due = np.empty((*bad.shape, len(cols.excess)))
    due[...] = _due(share * null_ratio, 1.0 - share)[..., None]
    if cols.gross < len(cols.excess):
        far = due[..., cols.gross :]
        shift = np.maximum(0.0, np.sqrt(tau2)[..., None] * GROSS_REACH - _slack(cols, far))
        due[..., cols.gross :] = _due(far * np.exp(shift), 1.0 - far)
    gain = bad[..., None] * cols.log_ratio - trials[..., None] * np.log1p(due * cols.excess)
    if common is not None:
        near, (served, guess) = slice(0, cols.gross), common
        exact = log_ratio_of_shares(
            cols.excess[near], bad=bad, trials=trials, served=served, share=share, null_ratio=null_ratio, guess=guess
        )
        gain[..., near] = np.where(guess[..., None] > 0, exact, gain[..., near])
        # chance has the less variance the commoner bad requests are, so what pods differ by is the more beside it
        excess_dispersion = excess_dispersion / (1.0 - np.minimum(guess, LARGEST_SHARE))
    return np.minimum(gain / (1.0 + excess_dispersion[..., None] * cols.caution), most)


def _due(canary: Floats, control: Floats) -> Floats:
    return canary / (canary + control)


def _slack(cols: Columns, due: Floats) -> Floats:
    """The log ratio above the null at which a bet on gross harm begins to gain, shape (..., rows, gross).

    The bet gains when the canary's part of the bad exceeds log(1 + q (r-1)) / log r, which lies between q and 1.
    """
    inner = np.clip(due, 1e-9, 1.0 - 1e-9)
    even = np.log1p(inner * cols.excess[cols.gross :]) / cols.log_ratio[cols.gross :]
    return np.log(even / (1.0 - even)) - np.log(inner / (1.0 - inner))


def grow(wealth: Wealth, begun: Floats | None, increment: Floats, ceiling: Floats) -> Wealth:
    """The log wealth after a look.

    Wealth is kept as float32 *at every step*, so that a stored state and a running one are the same numbers.

    Args:
        wealth: log wealth, shape (..., rows, columns).
        begun: the stake that begins with this look, >= 0, shape (..., rows, columns). None: nothing begins.
        increment: from `log_increment`, same shape.
        ceiling: log wealth is cut here, shape (..., rows, 1). To cut is to give money away, which is safe; it keeps a
            warning from outliving its cause.
    """
    before: Floats | Wealth = wealth
    if begun is not None:
        with np.errstate(divide="ignore"):
            # a cell without a new stake must stay the same number, whatever its neighbours do
            before = np.where(begun > 0, np.logaddexp(wealth, np.log(begun)), wealth)
    return np.minimum(before + increment, ceiling).astype(np.float32)


def log_evidence(wealth: Wealth, waiting: Floats) -> Floats:
    """Log E of a set of rows: all of their wealth and the stake that has not begun yet.

    Args:
        wealth: log wealth of the rows of one rule, shape (..., rows, columns).
        waiting: stake of the restarts to come, in [0, 1], shape (...); it counts as 1 to 1.

    Returns:
        Shape (...).
    """
    cells = np.asarray(wealth, dtype=np.float64).reshape(*wealth.shape[:-2], -1)
    top = np.maximum(cells.max(axis=-1), 0.0)
    with np.errstate(divide="ignore"):
        # an edge on which nothing was staked has no wealth at all
        total: Floats = np.log(np.exp(cells - top[..., None]).sum(axis=-1) + waiting * np.exp(-top)) + top
    return total
