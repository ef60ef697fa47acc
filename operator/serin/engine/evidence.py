"""From looks to verdicts: feeds the guardrails' tests and keeps their state in the status's checkpoint.

The tests themselves are `serin.stats`; here is which counts go into which test, how the experiment's alpha is split
over them, and what a reader sees of the result.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from serin.api.spec import Spec
from serin.api.status import GuardrailStatus, VerdictName
from serin.engine import ratios, sample_ratio
from serin.engine.history import latency_dispersion, rate_dispersion
from serin.engine.observation import LookResult, ServiceCounts, Unmeasured, VariantCounts
from serin.engine.shown import ERROR_RATE, LATENCY, brief, rule, shown
from serin.stats import (
    Dispersion,
    Evidence,
    LatencyConfig,
    LatencyLook,
    Look,
    RateConfig,
    State,
    Verdict,
    decode,
    encode,
    judge_all,
    start,
    update_all,
)

Config: TypeAlias = RateConfig | LatencyConfig

_SAMPLES: Final = "_samples"
"""In the checkpoint, behind the service. No guardrail that a user names has an underscore."""

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


def latency_config(
    spec: Spec, edges: tuple[float, ...], dispersion: Dispersion | tuple[Dispersion, ...]
) -> LatencyConfig:
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
    fed: "Fed | None" = None,
) -> Counted:
    """Feeds `looks` (oldest first) and judges what all looks so far say.

    A look that failed for a reason that may pass (Prometheus away) stops the feeding, and is asked for again. One that
    will never be measured is left out, and the stage becomes that much longer. `fed` spares the work for the first look
    if it is exactly that of this call.
    """
    known = fed is not None and bool(looks) and fed.first == First(spec, checkpoint, looks[0], baking)
    tests = fed.tests.copy() if fed is not None and known else _Tests(spec, dict(checkpoint))
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
        Failing(name, guardrail, f"{name}: {each.reason}; {rule(each)}", f"{name}: {brief(guardrail, each)}")
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


def samples(checkpoint: dict[str, str], service: str) -> tuple[int, int]:
    """(control, canary) requests of the present stage."""
    control, _, canary = checkpoint.get(f"{service}/{_SAMPLES}", "0,0").partition(",")
    return int(control), int(canary)


def without_samples(checkpoint: dict[str, str]) -> dict[str, str]:
    """The checkpoint at the start of a stage: evidence goes on, the stage's samples and its split's start again."""
    own = (f"/{_SAMPLES}", *sample_ratio.OF_A_STAGE)
    return {key: value for key, value in checkpoint.items() if not key.endswith(own)}


def _alpha(spec: Spec) -> float:
    """Of each test. Copies are judged by tests of their own, which end with them."""
    rounds = 2 if any(stage.mirror for stage in spec.stages) else 1
    return spec.analysis.alpha / (rounds * len(spec.services) * len(guardrail_names(spec)) + len(spec.goals))


def _stages(spec: Spec) -> tuple[float, ...]:
    return tuple(stage.duration.seconds for stage in spec.stages)


class First(NamedTuple):
    """What the counting of a look depends on."""

    spec: Spec
    checkpoint: dict[str, str]
    look: LookResult
    baking: bool


@dataclass(frozen=True, slots=True)
class Fed:
    """The tests of an experiment after its first look, as `feed_all` worked them out."""

    first: First
    tests: "_Tests"


def feed_all(firsts: Sequence[First]) -> list[Fed]:
    """Feeds the first looks of many experiments to their tests at once, and judges them; numpy does the rest.

    Raises:
        ValueError: one of them has a guardrail that can't be judged.
    """
    tests = [_Tests(each.spec, dict(each.checkpoint)) for each in firsts]
    items = [one.items(first.look, baking=first.baking) for one, first in zip(tests, firsts, strict=True)]
    states = iter(update_all([item[1:] for each in items for item in each]))
    for one, each in zip(tests, items, strict=True):
        one.take(each, [next(states) for _ in each])
    judged = iter(judge_all([pair for one in tests for pair in one.pairs()]))
    for one in tests:
        one.judge([next(judged) for _ in one.pairs()])
    return [Fed(first, one) for first, one in zip(firsts, tests, strict=True)]


_Item: TypeAlias = tuple[tuple[str, str], Config, State, Look | LatencyLook]


class _Tests:
    """The guardrails' tests of one experiment during one decision: read once, fed look by look, judged once.

    Args:
        spec: what is judged.
        kept: the checkpoint; the caller's copy.
    """

    def __init__(self, spec: Spec, kept: dict[str, str]) -> None:
        self._spec, self._kept = spec, kept
        self._states: dict[tuple[str, str], tuple[Config, State]] = {}
        self._evidence: list[Evidence] | None = None

    def copy(self) -> "_Tests":
        """The same, to go on from."""
        other = _Tests(self._spec, dict(self._kept))
        other._states, other._evidence = dict(self._states), self._evidence
        return other

    @property
    def failed(self) -> bool:
        """True when a test has rejected."""
        return any(state.failed for _, state in self._states.values())

    def feed(self, look: LookResult, *, baking: bool) -> None:
        """One more look of every service that it measured."""
        items = self.items(look, baking=baking)
        self.take(items, update_all([item[1:] for item in items]))

    def items(self, look: LookResult, *, baking: bool) -> list[_Item]:
        """What the tests are fed with."""
        return [
            item
            for service, counts in look.services.items()
            if isinstance(counts, ServiceCounts)
            for item in self._looks(service, *_roles(counts, baking=baking), look.seconds, baking=baking)
        ]

    def take(self, items: Sequence[_Item], states: Sequence[State]) -> None:
        """What came of it."""
        for (key, config, _, _), state in zip(items, states, strict=True):
            self._states[key] = config, state
        self._evidence = None

    def pairs(self) -> list[tuple[Config, State]]:
        """What is judged."""
        return list(self._states.values())

    def judge(self, evidence: list[Evidence]) -> None:
        """The verdicts on `pairs`."""
        self._evidence = evidence

    def judged(self) -> dict[str, tuple[tuple[str, Evidence], ...]]:
        """(guardrail, evidence) of each service that was fed."""
        if self._evidence is None:
            self._evidence = judge_all(self.pairs())
        found: dict[str, list[tuple[str, Evidence]]] = {}
        for (service, guardrail), evidence in zip(self._states, self._evidence, strict=True):
            found.setdefault(service, []).append((guardrail, evidence))
        return {service: tuple(parts) for service, parts in found.items()}

    def checkpoint(self) -> dict[str, str]:
        """What the next decision goes on from."""
        tests = {f"{service}/{name}": encode(*each) for (service, name), each in self._states.items()}
        return {**self._kept, **tests}

    def _looks(
        self, service: str, control: VariantCounts, canary: VariantCounts, seconds: float, *, baking: bool
    ) -> Iterator[_Item]:
        """The look as each guardrail of a service takes it, and the state that it goes on from."""
        before = samples(self._kept, service)
        self._kept[f"{service}/{_SAMPLES}"] = f"{before[0] + control.requests},{before[1] + canary.requests}"
        for name in guardrail_names(self._spec):
            config: Config
            one: Look | LatencyLook
            if name == LATENCY:
                if not canary.edges:
                    continue
                edges, within = canary.edges, control.within or (0,) * len(canary.edges)
                config = latency_config(self._spec, edges, latency_dispersion(self._kept, service, edges))
                one = LatencyLook(seconds, edges, within, canary.within, control.timed, canary.timed, baking=baking)
            else:
                old, new = _rate_counts(control, name), _rate_counts(canary, name)
                config = rate_config(self._spec, name, rate_dispersion(self._kept, service, name))
                one = Look(seconds, *old, *new, baking=baking)
            yield (service, name), config, self._state((service, name), config), one

    def _state(self, key: tuple[str, str], config: Config) -> State:
        """What the test goes on from; a record of other settings or of another version starts again."""
        fed = self._states.get(key)
        if fed is not None and fed[0] == config:
            return fed[1]
        record = self._kept.get("/".join(key))
        if record is None or fed is not None:
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


def _first_bad(spec: Spec, look: LookResult, tests: _Tests, before: float) -> float:
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
