"""What the guardrails are fed with and what they answer.

Plain numbers in, plain numbers out: a laptop with numpy can replay any stream of looks, and the operator, the
simulator and the bench all read the same `Evidence`.
"""

from __future__ import annotations

import enum
import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from serin.stats.config import LatencyConfig, RateConfig


class Verdict(enum.StrEnum):
    """The answer of one guardrail at one look."""

    HEALTHY = "Healthy"
    """Enough requests were seen, and there is no evidence of harm."""
    WARNING = "Warning"
    """A person should look. Nothing is rolled back, and stages go on."""
    FAILING = "Failing"
    """The evidence of harm reached its limit. It stays so for the rest of the run."""
    INSUFFICIENT = "Insufficient"
    """Fewer requests than `min_requests`: neither a step forward nor a rollback."""


class Rule(enum.StrEnum):
    """The rule that gave a verdict other than Healthy or Insufficient."""

    NONE = ""
    WORSE_THAN_CONTROL = "worseThanControl"
    """Worse than control by more than the margin, at the same time and under the same load."""
    MAX = "max"
    """Above the absolute limit. Failing if the canary is worse than control too, Warning if control suffers as well."""
    WARN = "warn"
    """Above the warning limit."""
    BREAKER = "breaker"
    """At least half of 20 or more canary requests of one look were bad."""
    BASELINE = "baseline"
    """While baking: worse than control was during the run (and above `max`, if there is one)."""


@dataclass(frozen=True, slots=True)
class Look:
    """Requests of one look, errors.

    Args:
        seconds: length of the look; the restarts are planned on the sum of these, so that pauses do not matter.
        control_total: requests that control served, >= 0.
        control_bad: the failed ones of these.
        canary_total: requests that the canary served, >= 0.
        canary_bad: the failed ones of these.
        baking: True once the new version serves everything and there is no control at the same time. The canary's
            counts are then the new version's, wherever they were served, and control's must be 0. A look without
            control's requests that is *not* baking is a lull in control's traffic: it says nothing about the ratio.

    Raises:
        ValueError: a negative count, more bad than total, no positive length, control's requests while baking.
    """

    seconds: float
    control_total: int
    control_bad: int
    canary_total: int
    canary_bad: int
    baking: bool = False

    def __post_init__(self) -> None:
        """Refuse what no server can have counted."""
        _check_length(self.seconds)
        if not (0 <= self.control_bad <= self.control_total and 0 <= self.canary_bad <= self.canary_total):
            raise ValueError("a look needs 0 <= bad <= total for control and for the canary")
        _check_baking(baking=self.baking, control_total=self.control_total)


@dataclass(frozen=True, slots=True)
class LatencyLook:
    """Requests of one look by duration, as cumulative histogram counts.

    Args:
        seconds: length of the look.
        edges: upper bounds in seconds, ascending, without +Inf; the same as the config's.
        control: control's requests that took at most each edge, one count per edge, not falling.
        canary: the same of the canary.
        control_total: all of control's requests (the +Inf bucket).
        canary_total: all of the canary's requests.
        baking: as in `Look`.

    Raises:
        ValueError: lengths that differ, counts that fall from edge to edge or exceed the total, no positive length,
            control's requests while baking.
    """

    seconds: float
    edges: tuple[float, ...]
    control: tuple[int, ...]
    canary: tuple[int, ...]
    control_total: int
    canary_total: int
    baking: bool = False

    def __post_init__(self) -> None:
        """Refuse what no histogram can have counted."""
        _check_length(self.seconds)
        if not len(self.edges) == len(self.control) == len(self.canary):
            raise ValueError("a latency look needs one count per edge for control and for the canary")
        for counts, total in ((self.control, self.control_total), (self.canary, self.canary_total)):
            if any(below > above for below, above in itertools.pairwise((0, *counts, total))):
                raise ValueError("a latency look needs cumulative counts: they may not fall from edge to edge to total")
        _check_baking(baking=self.baking, control_total=self.control_total)


@dataclass(frozen=True, slots=True)
class Evidence:
    """The verdict of a guardrail with all that explains it.

    Shares are fractions of 1, durations seconds. Counts are those of the whole run; while baking the canary's are
    those of the bake and control's those of the run before it; after the breaker they are those of its one look.

    Attributes:
        verdict: see `Verdict`.
        rule: the rule that decided, empty when Healthy or Insufficient.
        control_value: control's bad share, or its P95 in seconds (interpolated, for display); None if unknown.
        canary_value: the canary's, likewise.
        control_bad: control's bad requests: failed ones, or those slower than `edge`.
        control_total: all of control's requests.
        canary_bad: the canary's bad requests.
        canary_total: all of the canary's requests.
        ratio: estimated ratio of the bad shares, canary / control, stratified by look; None without any bad request,
            inf if only the canary has bad ones.
        ratio_low: lower end of a 95 % confidence sequence of `ratio` (valid at every look at once), widened by two
            standard deviations of the overdispersion. 0 if there is no lower bound yet.
        ratio_high: upper end, inf if there is none yet.
        evidence: e-value as a multiple of its limit, of the rule that decided or of the one nearest to its limit; at
            1 or more it rejects. For the breaker: the bad share as a multiple of one half.
        config: what the guardrail was told before the run.
        baking: whether the new version serves alone; what is control's is then from before.
        control_p95: latency only, control's quantile in seconds (interpolated, for display). None if unknown.
        canary_p95: latency only, the canary's.
        edge: latency only, the bucket edge in seconds that `bad`, `ratio` and the interval refer to: the edge at
            `max`, and without a `max` the one nearest to control's quantile.
        phi: the overdispersion in force at the last look, >= 1; for latency that of `edge`.
    """

    verdict: Verdict
    rule: Rule
    control_value: float | None
    canary_value: float | None
    control_bad: int
    control_total: int
    canary_bad: int
    canary_total: int
    ratio: float | None
    ratio_low: float
    ratio_high: float
    evidence: float
    config: RateConfig | LatencyConfig
    baking: bool = False
    control_p95: float | None = None
    canary_p95: float | None = None
    edge: float | None = None
    phi: float = 1.0


def _check_length(seconds: float) -> None:
    if not (seconds > 0 and math.isfinite(seconds)):
        raise ValueError(f"a look needs a positive length in seconds, not {seconds}")


def _check_baking(*, baking: bool, control_total: int) -> None:
    if baking and control_total:
        raise ValueError("a look while baking has no control: give the new version's requests as the canary's")
