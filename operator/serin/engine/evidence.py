"""From looks to verdicts: feeds the guardrails' tests, keeps their state in the checkpoint, says what a reader sees."""

from dataclasses import dataclass
from typing import Final

from serin.api.spec import Spec
from serin.api.status import Checkpoint, GuardrailStatus, VerdictName
from serin.engine import ratios, sample_ratio
from serin.engine.observation import LookResult, ServiceCounts, Unmeasured
from serin.engine.shown import brief, reason, rule, shown
from serin.engine.tested import SAMPLES, Fed, First, Tests
from serin.stats import Verdict

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
    brief: str = ""
    """The same in the width of a table."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What the looks of one reconcile came to."""

    checkpoint: Checkpoint
    guardrails: dict[str, tuple[GuardrailStatus, ...]]
    verdict: VerdictName
    failing: tuple[Failing, ...]
    unmeasured: tuple[str, ...]
    """A sentence for each service that the last look could not measure."""
    counted_until: float
    measured_seconds: float
    """Length of the looks in which every service was measured."""
    first_bad_look: float


def count_looks(
    spec: Spec,
    checkpoint: Checkpoint,
    looks: tuple[LookResult, ...],
    *,
    baking: bool,
    counted_until: float,
    first_bad_look: float,
    fed: Fed | None = None,
) -> Counted:
    """Feeds `looks` (oldest first) and judges what all looks so far say.

    A look that failed for a reason that may pass (Prometheus away) stops the feeding, and is asked for again. One that
    will never be measured is left out, and the stage becomes that much longer. `fed` spares the work for the first look
    if it is exactly that of this call.
    """
    known = fed is not None and bool(looks) and fed.first == First(spec, checkpoint, looks[0], baking)
    tests = fed.tests.copy() if fed is not None and known else Tests(spec, dict(checkpoint))
    measured, unmeasured = 0.0, ()  # type: float, tuple[str, ...]
    for look in looks:
        failures = {name: each for name, each in look.services.items() if isinstance(each, Unmeasured)}
        unmeasured = tuple(f"{name}: {each.message.removeprefix(f'{name}: ')}" for name, each in failures.items())
        if any(each.failure.passes for each in failures.values()):
            break
        if not known:
            tests.feed(look, baking=baking)
        known = False
        if not failures:
            measured += look.seconds
        counted_until = look.ends_at
        first_bad_look = _first_bad(spec, look, tests, first_bad_look)
        if tests.failed:
            break
    evidence = tests.judged()
    verdicts = {name: tuple(shown(guardrail, each) for guardrail, each in parts) for name, parts in evidence.items()}
    failing = tuple(
        Failing(
            name,
            guardrail,
            f"{name}: {reason(guardrail, each, spec.guardrails.latency_p95)}; {rule(each)}",
            f"{name}: {brief(guardrail, each)}",
        )
        for name, parts in evidence.items()
        for guardrail, each in parts
        if each.verdict is Verdict.FAILING
    )
    joint = [VerdictName(each.verdict) for parts in verdicts.values() for each in parts]
    if unmeasured:
        joint.append(VerdictName.NO_DATA)
    return Counted(
        checkpoint={**tests.checkpoint(), **ratios.kept(evidence)},
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


def without_samples(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint at the start of a stage: evidence goes on, the stage's samples and its split's start again."""
    own = (f"/{SAMPLES}", *sample_ratio.OF_A_STAGE)
    return {key: value for key, value in checkpoint.items() if not key.endswith(own)}


def _first_bad(spec: Spec, look: LookResult, tests: Tests, before: float) -> float:
    """The end of the first bad look of the present spell; 0 when there is none.

    A look is bad when its canary is above a limit and above control. The spell ends when the evidence is gone too.
    """
    if any(isinstance(counts, ServiceCounts) and _bad(spec, counts) for counts in look.services.values()):
        return before or look.ends_at
    if not before:
        return 0.0
    strongest = max((each.evidence for parts in tests.judged().values() for _, each in parts), default=0.0)
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
