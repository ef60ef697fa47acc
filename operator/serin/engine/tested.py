"""The guardrails' tests of experiments: which counts go into which test, one experiment or many at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from serin.api.spec import Spec
from serin.api.status import Checkpoint
from serin.engine.configs import guardrail_names, latency_config, rate_config
from serin.engine.history import latency_dispersion, rate_dispersion
from serin.engine.observation import LookResult, ServiceCounts, VariantCounts
from serin.engine.shown import ERROR_RATE, LATENCY
from serin.stats import (
    Evidence,
    LatencyConfig,
    LatencyLook,
    Look,
    RateConfig,
    Record,
    State,
    decode,
    judge_all,
    start,
    update_all,
)

Config: TypeAlias = RateConfig | LatencyConfig

SAMPLES: Final = "_samples"
"""In the checkpoint, behind the service. No guardrail that a user names has an underscore."""


def samples(checkpoint: Checkpoint, service: str) -> tuple[int, int]:
    """(control, canary) requests of the present stage."""
    control, _, canary = checkpoint.get(f"{service}/{SAMPLES}", "0,0").partition(",")
    return int(control), int(canary)


class First(NamedTuple):
    """What the counting of a look depends on."""

    spec: Spec
    checkpoint: Checkpoint
    look: LookResult
    baking: bool


@dataclass(frozen=True, slots=True)
class Fed:
    """The tests of an experiment after its first look, as `feed_all` worked them out."""

    first: First
    tests: "Tests"


def feed_all(firsts: Sequence[First]) -> list[Fed]:
    """Feeds the first looks of many experiments to their tests at once, and judges them; numpy does the rest.

    Raises:
        ValueError: one of them has a guardrail that can't be judged.
    """
    tests = [Tests(each.spec, dict(each.checkpoint)) for each in firsts]
    items = [one.items(first.look, baking=first.baking) for one, first in zip(tests, firsts, strict=True)]
    states = iter(update_all([item[1:] for each in items for item in each]))
    for one, each in zip(tests, items, strict=True):
        one.take(each, [next(states) for _ in each])
    judged = iter(judge_all([pair for one in tests for pair in one.pairs()]))
    for one in tests:
        one.judge([next(judged) for _ in one.pairs()])
    return [Fed(first, one) for first, one in zip(firsts, tests, strict=True)]


_Item: TypeAlias = tuple[tuple[str, str], Config, State, Look | LatencyLook]


class Tests:
    """The guardrails' tests of one experiment during one decision: read once, fed look by look, judged once.

    Args:
        spec: what is judged.
        kept: the checkpoint; the caller's copy.
    """

    def __init__(self, spec: Spec, kept: Checkpoint) -> None:
        self._spec, self._kept = spec, kept
        self._states: dict[tuple[str, str], tuple[Config, State]] = {}
        self._evidence: list[Evidence] | None = None

    def copy(self) -> "Tests":
        """The same, to go on from."""
        other = Tests(self._spec, dict(self._kept))
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

    def checkpoint(self) -> Checkpoint:
        """What the next decision goes on from."""
        tests = {f"{service}/{name}": Record(state) for (service, name), (_, state) in self._states.items()}
        return {**self._kept, **tests}

    def _looks(
        self, service: str, control: VariantCounts, canary: VariantCounts, seconds: float, *, baking: bool
    ) -> Iterator[_Item]:
        """The look as each guardrail of a service takes it, and the state that it goes on from."""
        before = samples(self._kept, service)
        self._kept[f"{service}/{SAMPLES}"] = f"{before[0] + control.requests},{before[1] + canary.requests}"
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
