"""The one sentence that goes with a verdict: what was measured, in numbers that a person would say aloud.

It is written to stand behind "<service>: ". No number has more than four significant digits; counts are exact.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from serin.stats.config import LatencyConfig, RateConfig
from serin.stats.looks import Rule, Verdict

if TYPE_CHECKING:
    from serin.stats.looks import Evidence

THOUSAND = 1000


def explained(evidence: Evidence) -> str:
    """The sentence, to stand behind "<service>: "."""
    if evidence.verdict is Verdict.INSUFFICIENT:
        phase = " while baking" if evidence.baking else ""
        least = evidence.config.min_requests
        return f"{evidence.canary_total:,} canary requests{phase} so far, {least:,} are needed"
    if evidence.rule is Rule.BREAKER:
        whose = "canary requests" if evidence.control_total else "the new version's requests"  # in a bake: no control
        text = f"{evidence.canary_bad:,} of {evidence.canary_total:,} {whose} of one look fail"
        if evidence.control_total:
            text += f", control {evidence.control_bad:,} of {evidence.control_total:,}"
        return f"{text}; half of them is enough"
    config = evidence.config
    facts = _latency(config, evidence) if isinstance(config, LatencyConfig) else _errors(evidence)
    return facts + _consequence(evidence)


def share(value: float | None) -> str:
    """A share as a percentage with two significant digits: 4.9%, 0.021%, 100%."""
    if value is None:
        return "unknown"
    percent = 100 * value
    return f"{percent:.0f}%" if percent >= 10 else f"{percent:.2g}%"  # noqa: PLR2004 - two digits


def duration(seconds: float | None) -> str:
    """A latency with three significant digits: 87 ms, 1.24 s."""
    if seconds is None:
        return "unknown"
    milliseconds = float(f"{seconds * THOUSAND:.3g}")
    return f"{milliseconds / THOUSAND:g} s" if milliseconds >= THOUSAND else f"{milliseconds:g} ms"


def multiple(evidence: Evidence) -> str:
    """A ratio with its interval: 24 times as many (95% interval: 11 to 51)."""
    if evidence.ratio is None:
        return ""
    if evidence.ratio_low == 0 and math.isinf(evidence.ratio_high):
        return "" if math.isinf(evidence.ratio) else f"{_short(evidence.ratio)} times as many"
    if math.isinf(evidence.ratio):
        return f"at least {_short(evidence.ratio_low)} times as many (95% interval)"
    low, high = _short(evidence.ratio_low), evidence.ratio_high
    interval = f"at least {low}" if math.isinf(high) else f"{low} to {_short(high)}"
    return f"{_short(evidence.ratio)} times as many (95% interval: {interval})"


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"  # noqa: PLR2004 - two digits


def _errors(evidence: Evidence) -> str:
    control = f"control {share(evidence.control_value)} ({evidence.control_bad:,} of {evidence.control_total:,})"
    canary = f"{share(evidence.canary_value)} of requests ({evidence.canary_bad:,} of {evidence.canary_total:,})"
    text = (
        f"the new version fails {canary} while baking, {control} before"
        if evidence.baking
        else f"canary fails {canary}, {control}"
    )
    ratio = multiple(evidence)
    return f"{text}, {ratio}" if ratio else text


def _latency(config: LatencyConfig, evidence: Evidence) -> str:
    who, before = ("the new version", " before") if evidence.baking else ("canary", "")
    text = f"{who}'s P{100 * config.quantile:g} is {duration(evidence.canary_p95)}"
    most = config.max_seconds
    if evidence.rule is not Rule.MAX and most is not None and (evidence.canary_p95 or 0.0) > most:
        text += f" (above max {duration(most)})"
    text += f", control's {duration(evidence.control_p95)}{before}"
    if evidence.edge is None:
        return text
    text += (
        f"; slower than {duration(evidence.edge)} are {share(_part(evidence.canary_bad, evidence.canary_total))}"
        f" ({evidence.canary_bad:,} of {evidence.canary_total:,}), control"
        f" {share(_part(evidence.control_bad, evidence.control_total))}"
        f" ({evidence.control_bad:,} of {evidence.control_total:,})"
    )
    ratio = multiple(evidence)
    return f"{text}, {ratio}" if ratio else text


def _part(bad: int, total: int) -> float | None:
    return bad / total if total else None


def _consequence(evidence: Evidence) -> str:
    config = evidence.config
    limit = (
        f"max {duration(config.max_seconds)}" if isinstance(config, LatencyConfig) else f"max {share(config.max_share)}"
    )
    if evidence.rule is Rule.MAX and evidence.verdict is Verdict.WARNING:
        return f"; above {limit}, but not shown to be worse than control, so nothing is rolled back"
    if evidence.rule is Rule.MAX:
        return f"; above {limit} and shown to be worse than control"
    if evidence.rule in {Rule.WORSE_THAN_CONTROL, Rule.BASELINE}:
        then = "control" if evidence.rule is Rule.WORSE_THAN_CONTROL else "control was before"
        more = f" by more than {share(config.worse_than_control)} of it" if config.worse_than_control else ""
        edge = f" at {duration(evidence.edge)}, the histogram's edge that shows it best" if evidence.edge else ""
        return f"; shown to be worse than {then}{more}{edge}"
    if evidence.rule is Rule.WARN and isinstance(config, RateConfig):
        return f"; above warn {share(config.warn_share)}"
    return ""
