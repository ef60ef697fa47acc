"""From looks to verdicts: feeds the guardrails' tests and keeps their state in the status's checkpoint.

The tests themselves are `serin.stats`; here is which counts go into which test, how the experiment's alpha is split
over them, and what a reader sees of the result.
"""

from dataclasses import dataclass
from typing import Final

from serin.api.spec import Spec
from serin.api.status import GuardrailStatus, VerdictName
from serin.engine import wording
from serin.engine.observation import LookResult, ServiceCounts, Unmeasured, VariantCounts
from serin.stats import (
    Dispersion,
    Evidence,
    LatencyConfig,
    LatencyLook,
    Look,
    RateConfig,
    Rule,
    Verdict,
    decode,
    encode,
    judge,
    start,
    update,
)

ERROR_RATE: Final = "errorRate"
LATENCY: Final = "latencyP95"

_ORDER: Final = (
    VerdictName.NONE,
    VerdictName.HEALTHY,
    VerdictName.INSUFFICIENT,
    VerdictName.WARNING,
    VerdictName.NO_DATA,
    VerdictName.FAILING,
)
"""From good to bad: a joint verdict is the worst of its parts."""


@dataclass(frozen=True, slots=True)
class Failing:
    """A guardrail that rolls back."""

    service: str
    guardrail: str
    reason: str
    """One sentence with values, counts, ratio and interval, rule and evidence."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What the looks of one reconcile came to."""

    checkpoint: dict[str, str]
    guardrails: dict[str, tuple[GuardrailStatus, ...]]
    verdict: VerdictName
    failing: tuple[Failing, ...]
    unmeasured: tuple[str, ...]
    """A sentence for each service that the last look could not measure."""
    counted_until: float
    measured_seconds: float
    """Length of the looks in which every service was measured."""
    first_bad_look: float


def guardrail_names(spec: Spec) -> tuple[str, ...]:
    """The guardrails of each service, in the order in which they are shown."""
    return (ERROR_RATE, LATENCY, *(custom.name for custom in spec.guardrails.custom))


def rate_config(spec: Spec, name: str, dispersion: Dispersion) -> RateConfig:
    """The test of an error rate or of a custom share; alpha is split over services x guardrails (Bonferroni)."""
    if name == ERROR_RATE:
        rate = spec.guardrails.error_rate
        limits = (rate.worse_than_control.value, rate.max.value, rate.warn.value)
        worse, most, warn = limits[0], limits[1], limits[2]
        return RateConfig(_alpha(spec), worse, most, warn, spec.analysis.min_requests, _stages(spec), dispersion)
    custom = next(each for each in spec.guardrails.custom if each.name == name)
    return RateConfig(
        _alpha(spec),
        custom.worse_than_control.value if custom.worse_than_control else None,
        custom.max.value if custom.max else None,
        None,
        spec.analysis.min_requests,
        _stages(spec),
        dispersion,
    )


def latency_config(spec: Spec, edges: tuple[float, ...], dispersion: Dispersion) -> LatencyConfig:
    """The test of P95 on the buckets of one histogram."""
    limits = spec.guardrails.latency_p95
    return LatencyConfig(
        _alpha(spec),
        limits.worse_than_control.value,
        limits.max.seconds,
        edges,
        spec.analysis.min_requests,
        _stages(spec),
        dispersion=dispersion,
    )


def count_looks(
    spec: Spec,
    checkpoint: dict[str, str],
    looks: tuple[LookResult, ...],
    *,
    baking: bool,
    counted_until: float,
    first_bad_look: float,
) -> Counted:
    """Feeds `looks` (oldest first) and judges what all looks so far say.

    A look that failed for a reason that may pass (Prometheus away) stops the feeding, and is asked for again. One that
    will never be measured is left out, and the stage becomes that much longer.
    """
    kept = dict(checkpoint)
    measured, unmeasured = 0.0, ()  # type: float, tuple[str, ...]
    verdicts: dict[str, tuple[GuardrailStatus, ...]] = {}
    evidence: dict[str, tuple[tuple[str, Evidence], ...]] = {}
    for look in looks:
        failures = {name: each for name, each in look.services.items() if isinstance(each, Unmeasured)}
        unmeasured = tuple(f"{name}: {each.message}" for name, each in failures.items())
        if any(each.failure.passes for each in failures.values()):
            break
        for name, counts in look.services.items():
            if isinstance(counts, ServiceCounts):
                evidence[name] = _feed(spec, kept, name, counts, seconds=look.seconds, baking=baking)
        if not failures:
            measured += look.seconds
        counted_until = look.ends_at
        first_bad_look = _first_bad(spec, look, evidence, first_bad_look)
        if any(each.verdict is Verdict.FAILING for parts in evidence.values() for _, each in parts):
            break
    for name, parts in evidence.items():
        verdicts[name] = tuple(_shown(guardrail, each) for guardrail, each in parts)
    failing = tuple(
        Failing(name, guardrail, f"{name}: {each.reason}; {_rule(each)}")
        for name, parts in evidence.items()
        for guardrail, each in parts
        if each.verdict is Verdict.FAILING
    )
    joint = [VerdictName(each.verdict) for parts in verdicts.values() for each in parts]
    if unmeasured:
        joint.append(VerdictName.NO_DATA)
    return Counted(
        checkpoint=kept,
        guardrails=verdicts,
        verdict=worst(joint),
        failing=failing,
        unmeasured=unmeasured,
        counted_until=counted_until,
        measured_seconds=measured,
        first_bad_look=first_bad_look,
    )


def worst(verdicts: list[VerdictName]) -> VerdictName:
    """The joint verdict."""
    return max(verdicts, key=_ORDER.index, default=VerdictName.NONE)


def samples(checkpoint: dict[str, str], service: str) -> tuple[int, int]:
    """(control, canary) requests of the present stage."""
    control, _, canary = checkpoint.get(f"{service}/samples", "0,0").partition(",")
    return int(control), int(canary)


def without_samples(checkpoint: dict[str, str]) -> dict[str, str]:
    """The checkpoint at the start of a stage: evidence goes on, the stage's samples start again."""
    return {key: value for key, value in checkpoint.items() if not key.endswith("/samples")}


def _alpha(spec: Spec) -> float:
    return spec.analysis.alpha / (len(spec.services) * len(guardrail_names(spec)))


def _stages(spec: Spec) -> tuple[float, ...]:
    return tuple(stage.duration.seconds for stage in spec.stages)


def _feed(
    spec: Spec, kept: dict[str, str], service: str, counts: ServiceCounts, *, seconds: float, baking: bool
) -> tuple[tuple[str, Evidence], ...]:
    """Updates every guardrail of one service by one look, in `kept`; answers with their evidence."""
    control, canary = _roles(counts, baking=baking)
    before = samples(kept, service)
    kept[f"{service}/samples"] = f"{before[0] + control.requests},{before[1] + canary.requests}"
    found: list[tuple[str, Evidence]] = []
    for name in guardrail_names(spec):
        if name == LATENCY:
            if canary.edges:
                found.append((name, _feed_latency(spec, kept, service, control, canary, seconds, baking=baking)))
            continue
        totals = _rate_counts(control, name), _rate_counts(canary, name)
        config = rate_config(spec, name, Dispersion())
        key = f"{service}/{name}"
        look = Look(seconds, totals[0][0], totals[0][1], totals[1][0], totals[1][1], baking=baking)
        state = update(config, _resumed(config, kept.get(key)), look)
        kept[key] = encode(config, state)
        found.append((name, judge(config, state)))
    return tuple(found)


def _feed_latency(
    spec: Spec,
    kept: dict[str, str],
    service: str,
    control: VariantCounts,
    canary: VariantCounts,
    seconds: float,
    *,
    baking: bool,
) -> Evidence:
    key = f"{service}/{LATENCY}"
    config = latency_config(spec, canary.edges, Dispersion())
    within = control.within or (0,) * len(canary.edges)
    look = LatencyLook(seconds, canary.edges, within, canary.within, control.timed, canary.timed, baking=baking)
    state = update(config, _resumed(config, kept.get(key)), look)
    kept[key] = encode(config, state)
    return judge(config, state)


def _resumed(config: RateConfig | LatencyConfig, record: str | None):  # type: ignore[no-untyped-def] # noqa: ANN202 - the state's type follows the config's, as in `start`
    """The state that the checkpoint holds; a record of other settings or of another version starts again."""
    if record is None:
        return start(config)
    try:
        return decode(config, record)
    except ValueError:
        return start(config)


def _roles(counts: ServiceCounts, *, baking: bool) -> tuple[VariantCounts, VariantCounts]:
    """While baking both variants are the new version, and there is no control."""
    if not baking:
        return counts.control, counts.canary
    old, new = counts.control, counts.canary
    if not old.requests and not old.timed:
        return VariantCounts(0, 0), new
    if not new.requests and not new.timed:
        return VariantCounts(0, 0), old
    both = VariantCounts(
        requests=old.requests + new.requests,
        errors=old.errors + new.errors,
        edges=old.edges,
        within=tuple(a + b for a, b in zip(old.within, new.within, strict=True)) if new.edges else old.within,
        timed=old.timed + new.timed,
        custom=tuple((a[0], a[1] + b[1], a[2] + b[2]) for a, b in zip(old.custom, new.custom, strict=True)),
    )
    return VariantCounts(0, 0), both


def _rate_counts(counts: VariantCounts, name: str) -> tuple[int, int]:
    if name == ERROR_RATE:
        return counts.requests, counts.errors
    return next(((total, bad) for custom, total, bad in counts.custom if custom == name), (0, 0))


def _first_bad(
    spec: Spec, look: LookResult, evidence: dict[str, tuple[tuple[str, Evidence], ...]], before: float
) -> float:
    """The end of the first bad look of the present spell; 0 when there is none.

    A look is bad when its canary is above a limit and above control. The spell ends when the evidence is gone too.
    """
    if any(isinstance(counts, ServiceCounts) and _bad(spec, counts) for counts in look.services.values()):
        return before or look.ends_at
    strongest = max((each.evidence for parts in evidence.values() for _, each in parts), default=0.0)
    return before if strongest > _SPELL else 0.0


_SPELL: Final = 0.1
"""Evidence, as a multiple of its limit, below which a spell of bad looks is over."""


def _bad(spec: Spec, counts: ServiceCounts) -> bool:
    canary, control = counts.canary, counts.control
    if canary.requests and control.requests:
        most, error, other = spec.guardrails.error_rate.max.value, canary.errors, control.errors
        if error / canary.requests > max(most, other / control.requests):
            return True
    if not (canary.timed and control.timed and canary.edges == control.edges):
        return False
    slower = (
        1 - a / canary.timed - (1 - b / control.timed) for a, b in zip(canary.within, control.within, strict=True)
    )
    return max(slower, default=0.0) > _SLOWER


_SLOWER: Final = 0.25
"""A quarter more of the requests beyond some bucket edge is a slower look, whatever the noise."""


def _shown(name: str, evidence: Evidence) -> GuardrailStatus:
    value = wording.milliseconds if name == LATENCY else wording.share
    interval = f"[{wording.bound(evidence.ratio_low)}, {wording.bound(evidence.ratio_high)}]"
    return GuardrailStatus(
        name=name,
        verdict=str(evidence.verdict),
        summary=_summary(name, evidence),
        rule=str(evidence.rule),
        canary=value(evidence.canary_value),
        control=value(evidence.control_value),
        canary_requests=evidence.canary_total,
        control_requests=evidence.control_total,
        ratio=f"{wording.times(evidence.ratio)} {interval}",
        evidence=wording.multiple(evidence.evidence),
    )


def _rule(evidence: Evidence) -> str:
    return f"rule {evidence.rule}, evidence {wording.multiple(evidence.evidence)}x its limit"


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
        values = (
            f"canary {wording.share(evidence.canary_value)} ({bad}), "
            f"control {wording.share(evidence.control_value)} ({control_bad})"
        )
    interval = f"[{wording.bound(evidence.ratio_low)}, {wording.bound(evidence.ratio_high)}]"
    ratio = "" if evidence.ratio is None else f"; {wording.times(evidence.ratio)} {interval}"
    rule = "" if evidence.rule is Rule.NONE else f"; rule {evidence.rule}"
    return f"{values}{ratio}{rule}; evidence {wording.multiple(evidence.evidence)}x its limit"
