"""What a reader sees of one guardrail's evidence: the status's fields, one line, and a few words for a table."""

from typing import Final

from serin.api.spec import LatencyGuardrail
from serin.api.status import GuardrailStatus
from serin.engine import wording
from serin.stats import Evidence, Rule, explained
from serin.stats.goals import cohen_h, risk_difference

ERROR_RATE: Final = "errorRate"
LATENCY: Final = "latencyP95"
_BEYOND_P95: Final = 0.05
"""Requests that may be slower than a P95."""


def shown(name: str, evidence: Evidence) -> GuardrailStatus:
    """The guardrail called `name` in the status."""
    value = wording.milliseconds if name == LATENCY else wording.share
    return GuardrailStatus(
        name=name,
        verdict=str(evidence.verdict),
        summary=_summary(name, evidence),
        rule=str(evidence.rule),
        canary=value(evidence.canary_value),
        control=value(evidence.control_value),
        canary_requests=evidence.canary_total,
        control_requests=evidence.control_total,
        ratio=wording.ratio(evidence.ratio, evidence.ratio_low, evidence.ratio_high),
        effect=effect(name, evidence),
        evidence=wording.multiple(evidence.evidence),
    )


def effect(name: str, evidence: Evidence) -> str:
    """How large the difference is: `+4.7 points [3.7, 6.1], h +0.35`, for latency behind the change of P95.

    The interval is that of a single look, which the ratio's is not; neither decides.
    """
    counts = evidence.control_bad, evidence.control_total, evidence.canary_bad, evidence.canary_total
    parts = []
    if name == LATENCY and evidence.canary_p95 is not None and evidence.control_p95 is not None:
        change = evidence.canary_p95 - evidence.control_p95
        parts.append(f"P95 {'-' if change < 0 else '+'}{wording.milliseconds(abs(change))}")
    if counts[1] and counts[3] and (name != LATENCY or evidence.edge is not None):
        found = risk_difference(*counts)
        h = cohen_h(counts[0] / counts[1], counts[2] / counts[3])
        ends = f"[{wording.bound(100 * found.low)}, {wording.bound(100 * found.high)}]"
        sign = "+" if found.difference >= 0 else ""
        parts.append(f"{sign}{wording.bound(100 * found.difference)} points {ends}, h {h:+.2g}")
    return "; ".join(parts)


def rule(evidence: Evidence) -> str:
    """Which rule decided, and how far beyond its limit; the breaker's share is said already."""
    if evidence.rule is Rule.BREAKER:
        return f"rule {evidence.rule}"
    return f"rule {evidence.rule}, {strength(evidence)}"


def strength(evidence: Evidence) -> str:
    """How much speaks against the canary."""
    return f"evidence {wording.multiple(evidence.evidence)} (1 rolls back)"


def reason(name: str, evidence: Evidence, limits: LatencyGuardrail) -> str:
    """What rolls back, as a sentence. Of latency: how many may be slower than which edge, and why it is that edge."""
    if name != LATENCY or evidence.edge is None or not (evidence.canary_total and evidence.control_total):
        return explained(evidence)
    edge = wording.milliseconds(evidence.edge)
    times = wording.ratio(evidence.ratio, evidence.ratio_low, evidence.ratio_high)
    slower = f"{edge}: {times}" if times else edge
    if evidence.rule is Rule.WORSE_THAN_CONTROL:
        allowed = f"{1 + limits.worse_than_control.value:.4g}x is allowed"
        why = "the edge of the histogram that shows it best"
    else:
        allowed = f"{wording.share(_BEYOND_P95)} may, or control's share if that is more"
        why = "guardrails.latencyP95.max"
    whose, control = "the canary's requests", "control's"
    if evidence.rule is Rule.BASELINE:
        whose, control = "the new version's requests", "control's before"
    return (
        f"{_part(evidence.canary_bad, evidence.canary_total, whose)} and"
        f" {_part(evidence.control_bad, evidence.control_total, control)} take over {slower};"
        f" {allowed}; {edge} is {why}; P95: {wording.milliseconds(evidence.canary_p95)}, control's"
        f" {wording.milliseconds(evidence.control_p95)}"
    )


def _part(bad: int, total: int, whose: str) -> str:
    """`13.4% of the canary's requests (78 of 580)`."""
    return f"{wording.share(bad / total)} of {whose} ({wording.count(bad)} of {wording.count(total)})"


def brief(name: str, evidence: Evidence) -> str:
    """What a table has room for: `4.9% of canary requests fail, control 0.2%`."""
    if name != LATENCY:
        what = "fail" if name == ERROR_RATE else f"are bad for {name}"
        bad = f"{wording.share(evidence.canary_value)} of canary requests {what}"
        return f"{bad}, control {wording.share(evidence.control_value)}" if evidence.control_total else bad
    values = wording.milliseconds(evidence.canary_p95), wording.milliseconds(evidence.control_p95)
    if evidence.edge is None or not (evidence.canary_total and evidence.control_total):
        return f"canary's P95 is {values[0]}, control's {values[1]}"
    slow = (
        wording.share(evidence.canary_bad / evidence.canary_total),
        wording.share(evidence.control_bad / evidence.control_total),
    )
    return f"{slow[0]} of canary requests take over {wording.milliseconds(evidence.edge)}, control {slow[1]}"


def _summary(name: str, evidence: Evidence) -> str:
    """The density of one line: values, counts, ratio with interval, rule and evidence."""
    bad = f"{wording.count(evidence.canary_bad)} of {wording.count(evidence.canary_total)}"
    control_bad = f"{wording.count(evidence.control_bad)} of {wording.count(evidence.control_total)}"
    if name == LATENCY:
        edge = "" if evidence.edge is None else f" slower than {wording.milliseconds(evidence.edge)}"
        values = (
            f"canary P95 {wording.milliseconds(evidence.canary_p95)} ({bad}{edge}), "
            f"control {wording.milliseconds(evidence.control_p95)} ({control_bad})"
        )
    else:
        control = f"control {wording.share(evidence.control_value)} ({control_bad})"
        there = control if evidence.control_total else "no requests of control"
        values = f"canary {wording.share(evidence.canary_value)} ({bad}), {there}"
    times = wording.ratio(evidence.ratio, evidence.ratio_low, evidence.ratio_high)
    by = "" if evidence.rule is Rule.NONE else f"; rule {evidence.rule}"
    return f"{values}{f'; {times}' if times else ''}{by}; {strength(evidence)}"
