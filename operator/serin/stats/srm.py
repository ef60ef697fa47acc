"""Sample ratio mismatch: do control and canary get the users that the weights intend?

A split that is not the intended one (a lost cookie, a crash before the count, a bot that prefers one variant) makes
every comparison of the two suspect. So it is asked at every look, at a small alpha, and its action is to hold: it says
that the experiment is broken, not that the canary is.

Lindon and Malek 2022, "Anytime-valid inference for multinomial count data": a Dirichlet prior on the true split against
the intended one; the Bayes factor is an e-process. A new weight opens a new Dirichlet, and the e-values multiply.

It is a test on users. Requests of one user go together where users stay with their variant, so counts of requests are
made smaller first, to the number of users that they may be of: of users who make as many requests each, the e-value is
then exactly that of the users. (A power of the requests' own would not do: it comes near the largest likelihood ratio,
which is no e-value.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from serin.stats.wording import share as percent

CONCENTRATION = 100.0
"""Of the Dirichlet prior, around the intended split: it expects mismatches of some per cent, the usual ones."""

VERSION = "1"


@dataclass(frozen=True, slots=True)
class SampleRatioConfig:
    """What the test is told before its run.

    Args:
        alpha: the chance that a right split is ever held, in (0, 1).
        band: tolerated relative deviation of the canary's weight: 0 for users, 0.02 for requests.
        phi: counts of one user, >= 1: 1 for users; for requests about the requests of a user within some minutes.
        most: users that the counts of one weight can be of, at most, however many counts there are; > 0.
        at_most: any share up to the weight is right: some who are counted may have been split by lower ones before.

    Raises:
        ValueError: a number out of its range, with a sentence that says what to write instead.
    """

    alpha: float = 0.001
    band: float = 0.0
    phi: float = 1.0
    most: float = math.inf
    at_most: bool = False

    def __post_init__(self) -> None:
        """Refuse what can't be tested."""
        if not 0 < self.alpha < 1:
            raise ValueError(f"alpha is {self.alpha}; write a probability between 0 and 1, for example 0.001")
        if not 0 <= self.band < 1:
            raise ValueError(f"the band is {self.band}; write a share from 0 to 1, for example 0.02")
        if not 1 <= self.phi < math.inf:
            raise ValueError(f"phi is {self.phi}; write 1 for users, or more for requests")
        if not self.most > 0:
            raise ValueError(f"most is {self.most}; write a number of users above 0")


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """The state of one service's test. It begins as `SampleRatio()`.

    Attributes:
        control: users of the present weight; canary: likewise.
        weight: the canary's intended share at present, in (0, 1); 0 before the first look.
        closed: log e-value of the weights before.
        largest: largest log e-value of all looks so far: a mismatch stays one for the run.
    """

    control: int = 0
    canary: int = 0
    weight: float = 0.0
    closed: float = 0.0
    largest: float = 0.0

    def record(self) -> str:
        """The state as a short ASCII text, exact to the last bit."""
        numbers = (self.weight.hex(), self.closed.hex(), self.largest.hex())
        return " ".join((VERSION, str(self.control), str(self.canary), *numbers))

    @staticmethod
    def from_record(record: str) -> SampleRatio:
        """The state that `record` wrote.

        Raises:
            ValueError: not a record, or of another version.
        """
        version, *parts = record.split(" ")
        if version != VERSION or len(parts) != 5:  # noqa: PLR2004 - the fields of the state
            raise ValueError("not a record of a sample ratio of this version; its evidence starts anew")
        control, canary, numbers = int(parts[0]), int(parts[1]), [float.fromhex(part) for part in parts[2:]]
        if min(control, canary) < 0 or not (0 <= numbers[0] < 1 and all(map(math.isfinite, numbers))):
            raise ValueError("the record of a sample ratio is damaged; its evidence starts anew")
        return SampleRatio(control, canary, *numbers)


@dataclass(frozen=True, slots=True)
class SampleRatioEvidence:
    """The verdict at one look.

    Attributes:
        holds: True if the split is not the intended one: hold the experiment, roll nothing back.
        observed: the canary's share of the users of the present weight; None without users.
        intended: its intended share.
        users: users of the present weight, both variants.
        evidence: e-value as a multiple of its limit, the largest so far; at 1 or more it holds.
        reason: one sentence that can be put behind "<service>: ".
    """

    holds: bool
    observed: float | None
    intended: float
    users: int
    evidence: float
    reason: str


def count_split(
    config: SampleRatioConfig, state: SampleRatio, *, weight: float, control: int, canary: int
) -> SampleRatio:
    """The state after one more look.

    Args:
        config: of the test.
        state: before the look; `SampleRatio()` at first.
        weight: the canary's intended share while the look was measured, in (0, 1). At 0 or 1 there is no split: such
            a look changes nothing.
        control: users (or requests) that were *new* in this look and got control, >= 0.
        canary: likewise of the canary.

    Raises:
        ValueError: negative counts, or a weight outside of 0 to 1.
    """
    if min(control, canary) < 0 or not 0 <= weight <= 1:
        raise ValueError("a split needs counts of 0 or more and a weight from 0 to 1")
    if weight in {0.0, 1.0}:
        return state
    if weight != state.weight:
        closed = state.closed + (_log_evidence(config, state) if state.weight else 0.0)
        state = SampleRatio(0, 0, weight, closed, state.largest)
    counted = SampleRatio(state.control + control, state.canary + canary, weight, state.closed, state.largest)
    largest = max(state.largest, counted.closed + _log_evidence(config, counted))
    return SampleRatio(counted.control, counted.canary, weight, state.closed, largest)


def judge_split(config: SampleRatioConfig, state: SampleRatio) -> SampleRatioEvidence:
    """The verdict on everything counted so far."""
    users = state.control + state.canary
    observed = state.canary / users if users else None
    multiple = math.exp(min(state.largest + math.log(config.alpha), 700.0))
    text = f"the canary got {percent(observed)} of {users:,} users, {percent(state.weight)} were intended"
    return SampleRatioEvidence(multiple >= 1, observed, state.weight, users, multiple, text)


def _log_evidence(config: SampleRatioConfig, state: SampleRatio) -> float:
    """Log Bayes factor of the present weight, against the split of the band that fits best.

    For each split of the band the factor is an e-value if that split is the true one, so their least is one whichever
    of them is true.
    """
    n = state.control + state.canary
    scale = min(1 / config.phi, config.most / n) if n else 0.0
    control, canary = scale * state.control, scale * state.canary
    prior = (CONCENTRATION * (1 - state.weight), CONCENTRATION * state.weight)
    predicted = math.lgamma(CONCENTRATION) - math.lgamma(CONCENTRATION + control + canary)
    for count, mass in zip((control, canary), prior, strict=True):
        predicted += math.lgamma(mass + count) - math.lgamma(mass)
    low = 0.0 if config.at_most else state.weight * (1 - config.band)
    high = min(state.weight * (1 + config.band), (1 + state.weight) / 2)
    # the likelihood has one maximum: at the observed split, or at the end of the band that is nearest to it
    best = min(max(state.canary / n if n else state.weight, low), high)
    return predicted - (canary * math.log(best) if canary else 0.0) - control * math.log1p(-best)
