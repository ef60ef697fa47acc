"""Arbitrary interleavings of looks, crashes, outages and people, over the simulated world.

Whatever happens in whatever order, the rules that always hold must hold after each look; and when the trouble is over,
every experiment must still come to an end.
"""

import dataclasses
import re
from typing import Any, Final

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import Phase as Step
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from serin.api.names import APPROVE, RETRY
from serin.api.spec import InvalidSpecError, Spec
from serin.api.status import TERMINAL, Phase, Status, parse_status, status_to_json
from serin.engine import run, sample_ratio
from serin.engine.decide import decide
from serin.engine.decision import (
    AddFinalizer,
    Decision,
    PromoteTemplate,
    RemoveCanary,
    RemoveFinalizer,
    RestoreTemplate,
    Shift,
)
from serin.engine.generated import Fault
from serin.engine.observation import LookResult, MeasurementFailure, Observation, Unmeasured
from serin.engine.world import World
from tests.unit.engine.worlds import MIRROR, ROUTED, SERVICES, STAGES, spec

_BACK: Final = frozenset({Phase.ROLLING_BACK, Phase.ROLLED_BACK, Phase.FAILED})
_SIZE: Final = 20
_PATCH: Final = {"name": "a", "control": {"deployment": "a"}, "canary": {"patch": {"spec": {}}}}
_ROUTED: Final = {**SERVICES[0], "traffic": {"type": "HTTPRoute", "httpRoute": {"name": "shop"}}}
_TWISTED: Final = Fault(split=0.9)
_NUMBER: Final = re.compile(r"\d[\d,]*\.?\d*(?:e[+-]?\d+)?")


def significant_digits(text: str) -> int:
    """Of the longest number in a text."""
    found = [re.sub(r"e.*|[.,]", "", number).lstrip("0") for number in _NUMBER.findall(text)]
    return max((len(number) for number in found), default=0)


class Interleavings(RuleBasedStateMachine):
    """One experiment, one controller that may die anywhere, and people who interfere."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(spec())
        self.written = Status()
        self.memory_unmeasured = self.written_unmeasured = False
        self.failure: MeasurementFailure | None = None
        self.partial = False
        self.rolled_back: set[str] = set()
        self.disturbed = self.succeeded = False
        self.retries = 0

    @initialize(
        services=st.sampled_from([SERVICES, [SERVICES[0], _PATCH], [_ROUTED, SERVICES[1]], ROUTED]),
        approval=st.sampled_from(["Automatic", "Automatic", "Manual"]),
        mode=st.sampled_from(["Template", "Template", "TrafficOnly"]),
        bake=st.sampled_from(["0s", "1m", "5m"]),
        fault=st.sampled_from(
            [None, None, Fault(errors=0.3), Fault(errors=0.3, after=500), Fault(latency=0.1), _TWISTED]
        ),
        seed=st.integers(0, 1000),
    )
    def begin(self, services: list[Any], approval: str, mode: str, bake: str, fault: Fault | None, seed: int) -> None:
        """Any kind of experiment."""
        stages = [MIRROR, *STAGES] if services is ROUTED else STAGES
        promotion = {"approval": approval, "mode": mode, "bake": bake}
        wanted = spec(services=services, stages=stages, promotion=promotion)
        self.world = World(wanted, faults=(fault,) if fault else (), seed=seed, replicas=_SIZE)

    @property
    def gone(self) -> bool:
        """The API server has let the object go."""
        return self.world.deleting and not self.world.finalizer

    @precondition(lambda self: not self.gone)
    @rule(seconds=st.sampled_from([0.5, 2.0, 2.0, 10.0, 10.0, 30.0]), times=st.integers(1, 12))
    def looks(self, seconds: float, times: int) -> None:
        """The controller as it should be."""
        for _ in range(times):
            if not self.gone:
                self.world.now += seconds
                self._keep(self._decide(), acts=None)

    @precondition(lambda self: not self.gone)
    @rule(at=st.sampled_from(["before the write", "before the acts", "between the acts", "status lost"]))
    def crash(self, at: str) -> None:
        """It dies at some line; counts that were only in its memory are gone with it."""
        self.world.now += 3
        decision = self._decide()
        if at in {"before the acts", "between the acts"}:
            self._keep(decision, acts=0 if at == "before the acts" else 1)
        elif at == "status lost":
            for act in decision.acts:
                self.world.do(act)
        self.world.status = parse_status(status_to_json(self.written))
        self.memory_unmeasured = self.written_unmeasured

    @rule(seconds=st.sampled_from([60.0, 600.0, 86_400.0]))
    def clock_jumps(self, seconds: float) -> None:
        """Nobody looked for a while."""
        self.world.now += seconds

    @rule(failure=st.sampled_from([None, None, *MeasurementFailure]), partial=st.booleans())
    def metrics(self, failure: MeasurementFailure | None, partial: bool) -> None:
        """Measurements fail, of one service or of all, or work again."""
        self.failure, self.partial = failure, partial

    @rule(paused=st.booleans())
    def pause(self, paused: bool) -> None:
        """Somebody pauses or resumes."""
        self.world.spec = msgspec.structs.replace(self.world.spec, paused=paused)

    @rule(abort=st.sampled_from([False, False, True]))
    def abort(self, abort: bool) -> None:
        """Somebody aborts, or takes it back."""
        self.world.spec = msgspec.structs.replace(self.world.spec, abort=abort)

    @rule(what=st.sampled_from(["ab", "ab", "canary/srm", "ab/srm"]))
    def approve(self, what: str) -> None:
        """Somebody approves the promotion, or a split that is not the intended one."""
        self.world.annotations[APPROVE] = what

    @rule()
    def retry(self) -> None:
        """Somebody asks for another run, at any time."""
        self.retries += 1
        self.world.annotations[RETRY] = str(self.retries)

    @precondition(lambda self: self.world.finalizer)
    @rule(really=st.integers(0, 3))
    def delete(self, really: int) -> None:
        """Somebody deletes the experiment."""
        self.world.deleting = self.world.deleting or really == 0

    @precondition(lambda self: self.world.status.phase is Phase.PROGRESSING)
    @rule(replicas=st.integers(0, 9))
    def canary_scaled(self, replicas: int) -> None:
        """Somebody scales the canary in the middle of a stage."""
        canary = next(iter(self.world._pairs.values())).canary
        if canary is not None:
            canary.replicas, canary.generation = replicas, canary.generation + 1
            self.disturbed = True

    @property
    def asked(self) -> Spec | InvalidSpecError:
        """The spec as the API server has it."""
        return self.world.spec

    def _decide(self) -> Decision:
        """One decision, held to every rule."""
        before, now = self.world.status, self.world.now
        seen = self._lossy(self.world.observe())
        text = status_to_json(before)
        decision = decide(self.asked, before, seen, now)
        assert decide(self.asked, before, seen, now) == decision, "the same question has one answer"
        assert status_to_json(before) == text, "nothing is changed in place"
        self._forward_only_when_measured(before, seen, decision)
        self._weights(decision.status)
        self._one_way(before, decision.status)
        self._acts(decision)
        self._readable(decision.status)
        self._quiet(before, seen, decision)
        return decision

    def _lossy(self, seen: Observation) -> Observation:
        if self.failure is None:
            return seen
        lost = Unmeasured(self.failure, f"simulated {self.failure}")
        names = [service.name for service in seen.services]
        missing = dict.fromkeys(names[:1] if self.partial else names, lost)
        looks = tuple(LookResult(look.ends_at, look.seconds, {**look.services, **missing}) for look in seen.looks)
        return dataclasses.replace(seen, looks=looks)

    def _forward_only_when_measured(self, before: Status, seen: Observation, decision: Decision) -> None:
        after = decision.status
        if after.run_id != before.run_id:
            self.memory_unmeasured = False
        elif seen.looks and run.position(before) in {Phase.PROGRESSING, Phase.BAKING}:
            self.memory_unmeasured = self.failure is not None
        forward = run.position(after) is Phase.PROGRESSING and after.weight > before.weight > 0
        forward |= (run.position(before), after.phase) == (Phase.PROGRESSING, Phase.PROMOTING)
        if self.world.spec.promotion.bake.seconds:
            forward |= (run.position(before), after.phase) == (Phase.BAKING, Phase.SUCCEEDED)
        if forward:
            assert not self.memory_unmeasured, f"{before.stage} ended without a measurement"
            assert not self.world.spec.paused, "no step forward while paused"
            assert sample_ratio.holds(self.world.spec, before) is None, "no step forward on a split that is wrong"
            self.memory_unmeasured = False

    def _weights(self, status: Status) -> None:
        assert 0 <= status.weight <= 100
        stage = run.stage_of(self.world.spec, status)
        position = run.position(status)
        if position is Phase.PROGRESSING:
            assert stage is not None
            assert status.weight == stage.weight
        if position in {Phase.PENDING, Phase.PREPARING, *_BACK}:
            assert status.weight == 0
        assert status.phase not in _BACK or status.reason != "SampleRatioMismatch", "a wrong split rolls nothing back"
        if not self.disturbed:
            for name, pair in self.world._pairs.items():
                pods = pair.control.replicas + (pair.canary.replicas if pair.canary else 0)
                assert pods >= _SIZE, f"{name} has {pods} pods"

    def _one_way(self, before: Status, status: Status) -> None:
        """Whoever edits the spec away and back again has asked for another try, which has the same id."""
        if status.run_id in self.rolled_back and status.run_id == before.run_id:
            assert status.phase in _BACK, "a rollback is one-way within a run"

    def _acts(self, decision: Decision) -> None:
        for act in decision.acts:
            if decision.status.phase is Phase.ROLLING_BACK or self.world.deleting:
                back = Shift | RestoreTemplate | RemoveCanary | RemoveFinalizer | AddFinalizer
                assert isinstance(act, back), act
                assert not isinstance(act, Shift) or act.weight == 0
            elif decision.status.phase in TERMINAL:
                assert isinstance(act, RemoveCanary | RemoveFinalizer), act
            if isinstance(act, PromoteTemplate):
                assert self.world._pairs[act.service].kept, "nothing is replaced that was not kept"
            if isinstance(act, Shift):
                assert act.total == _SIZE
                assert (act.weight, act.mirror or 0) == (decision.status.weight, decision.status.mirror)
                assert not (act.weight and act.mirror), "copies come before any share"

    def _readable(self, status: Status) -> None:
        assert parse_status(status_to_json(status)) == status
        assert status.message
        assert 0 < len(status.summary) <= 90, status.summary
        assert len(status.transitions) <= 10
        for service in status.services:
            assert significant_digits(f"{service.observed_weight}") <= 4
            for each in service.guardrails:
                for text in (each.canary, each.control, each.ratio, each.evidence):
                    assert significant_digits(text) <= 4, text

    def _quiet(self, before: Status, seen: Observation, decision: Decision) -> None:
        """Where nothing moved, a second look at the same picture says and does nothing."""
        after = decision.status
        same = (before.run_id, before.phase, before.step) == (after.run_id, after.phase, after.step)
        if same and not decision.acts:
            again = decide(self.asked, after, seen, self.world.now)
            assert not again.events
            assert not again.acts
            assert not again.significant, (after, again.status)

    def _keep(self, decision: Decision, *, acts: int | None) -> None:
        """Writes as the controller does (before the acts, only what is worth it), then acts."""
        self.world.status = decision.status
        if decision.significant or decision.acts:
            if decision.status.run_id != self.written.run_id:
                self.rolled_back.discard(decision.status.run_id)
            self.written, self.written_unmeasured = decision.status, self.memory_unmeasured
            if decision.status.phase in _BACK:
                self.rolled_back.add(decision.status.run_id)
            self.succeeded |= decision.status.phase is Phase.SUCCEEDED
        for act in decision.acts[:acts]:
            self.world.do(act)

    def teardown(self) -> None:
        """When the trouble is over, every experiment comes to its end."""
        self.failure = None
        self.world.spec = msgspec.structs.replace(self.world.spec, paused=False)
        for _ in range(500):
            if self.gone:
                break
            status = self.world.status
            what = f"{status.stage}/srm" if status.reason == "SampleRatioMismatch" else "ab"
            self.world.annotations[APPROVE] = f"{what}/{status.run_id}"
            self._keep(decision := self._decide(), acts=None)
            if decision.status.phase in TERMINAL and not decision.acts and not self.world.deleting:
                break
            self.world.now += max(0.5, min(decision.wake_after, 10.0))
        status = self.world.status
        assert self.gone or status.phase in TERMINAL, status.message
        assert not any(self.world.copies.values()), "nobody copies requests to a canary that is over"
        if status.phase is Phase.SUCCEEDED and not self.world.deleting:
            return
        for name, pair in self.world._pairs.items():
            if self.succeeded and self.gone and status.phase is Phase.SUCCEEDED:
                continue
            assert self.world.share(name) == 0
            assert pair.control.replicas == _SIZE
            assert self.succeeded or pair.control.template == "old"


Interleavings.TestCase.settings = settings(
    max_examples=30,
    stateful_step_count=25,
    deadline=None,
    phases=[Step.generate],
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

TestInterleavings = Interleavings.TestCase
"""The rules that always hold, over thirty histories of twenty-five steps."""
