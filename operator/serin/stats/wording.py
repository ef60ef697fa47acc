"""The one sentence that goes with a verdict: what was measured, in numbers that a person would say aloud.

It is written to stand behind "<service>: ". No number has more than four significant digits; counts are exact.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

from serin.stats.config import LatencyConfig
from serin.stats.looks import Rule, Verdict

if TYPE_CHECKING:
    from serin.stats.looks import Evidence
    from serin.stats.plan import Plan
    from serin.stats.state import State

THOUSAND = 1000


def explained(plan: Plan, state: State, evidence: Evidence) -> Evidence:
    """The evidence with its reason."""
    if evidence.verdict is Verdict.INSUFFICIENT:
        phase = " while baking" if state.baking else ""
        text = f"{evidence.canary_total:,} canary requests{phase} so far, {plan.config.min_requests:,} are needed"
    elif evidence.rule is Rule.BREAKER:
        text = f"{evidence.canary_bad:,} of {evidence.canary_total:,} canary requests of one look fail"
        if evidence.control_total:  # in a bake there is none
            text += f", control {evidence.control_bad:,} of {evidence.control_total:,}"
    else:
        facts = _errors(state, evidence) if plan.edges is None else _latency(plan, state, evidence)
        text = facts + _consequence(plan, evidence)
    return dataclasses.replace(evidence, reason=text)


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
    """A ratio with its interval: 24x [11, 51]."""
    if evidence.ratio is None:
        return ""
    if evidence.ratio_low == 0 and math.isinf(evidence.ratio_high):
        return "" if math.isinf(evidence.ratio) else f"{_short(evidence.ratio)}x"
    if math.isinf(evidence.ratio):
        return f"at least {_short(evidence.ratio_low)}x"
    ends = f"[{_short(evidence.ratio_low)}, {_short(evidence.ratio_high)}]"
    return f"{_short(evidence.ratio)}x {ends}"


def _short(value: float) -> str:
    if math.isinf(value):
        return "inf"
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"  # noqa: PLR2004 - two digits


def _errors(state: State, evidence: Evidence) -> str:
    control = f"control {share(evidence.control_value)} ({evidence.control_bad:,} of {evidence.control_total:,})"
    canary = f"{share(evidence.canary_value)} of requests ({evidence.canary_bad:,} of {evidence.canary_total:,})"
    text = (
        f"the new version fails {canary} while baking, {control} before"
        if state.baking
        else f"canary fails {canary}, {control}"
    )
    ratio = multiple(evidence)
    return f"{text}: {ratio}" if ratio else text


def _latency(plan: Plan, state: State, evidence: Evidence) -> str:
    quantile = plan.config.quantile if isinstance(plan.config, LatencyConfig) else 0.95
    who, before = ("the new version", " before") if state.baking else ("canary", "")
    text = f"{who}'s P{100 * quantile:g} is {duration(evidence.canary_p95)}"
    text += f", control's {duration(evidence.control_p95)}{before}"
    if evidence.edge is None:
        return text
    text += (
        f"; slower than {duration(evidence.edge)}: {share(_part(evidence.canary_bad, evidence.canary_total))}"
        f" ({evidence.canary_bad:,} of {evidence.canary_total:,}), control"
        f" {share(_part(evidence.control_bad, evidence.control_total))}"
        f" ({evidence.control_bad:,} of {evidence.control_total:,})"
    )
    ratio = multiple(evidence)
    return f"{text}: {ratio}" if ratio else text


def _part(bad: int, total: int) -> float | None:
    return bad / total if total else None


def _consequence(plan: Plan, evidence: Evidence) -> str:
    config = plan.config
    limit = (
        f"max {duration(config.max_seconds)}" if isinstance(config, LatencyConfig) else f"max {share(config.max_share)}"
    )
    if evidence.rule is Rule.MAX and evidence.verdict is Verdict.WARNING:
        return f"; above {limit}, but not shown to be worse than control, so nothing is rolled back"
    if evidence.rule is Rule.MAX:
        return f"; above {limit} and worse than control"
    if evidence.rule is Rule.WARN:
        return f"; above warn {share(plan.warn_share)}"
    return ""
