"""The nine rules of the design, after every step of histories in which everything is edited, slow, refused or lost.

It goes on from the machine of `test_machine`: looks, crashes at each line, outages, switches, retries, deletions and
jumps of the clock come from there. Here people also edit what the run is about.
"""

import dataclasses
from typing import Any, Final

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import Phase as Step
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from serin.api.spec import InvalidSpecError, Spec
from serin.api.status import TERMINAL, Phase, Status
from serin.api.units import Duration
from serin.engine import run
from serin.engine.decision import Decision, KeepTemplate, PromoteTemplate
from serin.engine.generated import Fault
from serin.engine.observation import Observation, Problem
from serin.engine.tested import samples
from serin.engine.world import World
from tests.unit.engine.test_machine import _SIZE, Interleavings
from tests.unit.engine.worlds import SERVICES, spec

_REC, _CONV = SERVICES
_SETS: Final[tuple[list[dict[str, Any]], ...]] = (
    SERVICES,
    [_REC],
    [{**_REC, "name": "recommender"}, _CONV],
    [{**_REC, "canary": {"deployment": "rec-phase5"}}, _CONV],
    [{**_REC, "control": {"deployment": "rec-b"}}, _CONV],
    [{**_REC, "canary": {"patch": {"spec": {}}}}],
    [{**_CONV, "name": "recommendation"}, {**_REC, "name": "conversation"}],
)
_CONTROLS: Final = ("rec", "conv", "rec-b")
_CANARIES: Final = ("rec-next", "conv-next", "rec-phase5", "rec-canary")


class NineRules(Interleavings):
    """One experiment whose spec is edited, in a cluster that is slow, under an operator that can't read everything."""

    def __init__(self) -> None:
        super().__init__()
        self.unreadable = False
        self.problems: tuple[Problem, ...] = ()
        self.promoted: dict[tuple[str, str], int] = {}
        self.seen: Observation | None = None

    @initialize(
        services=st.sampled_from(_SETS),
        mode=st.sampled_from(["Template", "Template", "TrafficOnly"]),
        bake=st.sampled_from(["1m", "5m"]),
        fault=st.sampled_from([None, None, Fault(errors=0.3, after=500), Fault(latency=0.1)]),
        seed=st.integers(0, 1000),
    )
    def begin(  # type: ignore[override]
        self, services: list[dict[str, Any]], mode: str, bake: str, fault: Fault | None, seed: int
    ) -> None:
        """Any kind of experiment, with more Deployments than it names."""
        wanted = spec(services=services, promotion={"mode": mode, "bake": bake})
        self.world = World(wanted, faults=(fault,) if fault else (), seed=seed, replicas=_SIZE)
        for name in _CONTROLS:
            self.world.add(name, "old", _SIZE)
        for name in _CANARIES[:3]:
            self.world.add(name, "new", 0)

    @property
    def asked(self) -> Spec | InvalidSpecError:
        """The spec, or what an older operator makes of it."""
        return InvalidSpecError("spec.novel: unknown field") if self.unreadable else self.world.spec

    @rule(services=st.sampled_from(_SETS))
    def services_edited(self, services: list[dict[str, Any]]) -> None:
        """Somebody removes, renames or swaps services, or names other Deployments, at any moment."""
        self.world.spec = msgspec.structs.replace(self.world.spec, services=spec(services=services).services)

    @rule(seconds=st.sampled_from(["5s", "10s"]))
    def analysis_edited(self, seconds: str) -> None:
        """Somebody edits a field that makes another run."""
        analysis = msgspec.structs.replace(self.world.spec.analysis, interval=Duration(seconds))
        self.world.spec = msgspec.structs.replace(self.world.spec, analysis=analysis)

    @rule(unreadable=st.sampled_from([False, False, True]))
    def version_skew(self, unreadable: bool) -> None:
        """The operator is older than the spec, or was updated."""
        self.unreadable = unreadable

    @rule(slow=st.booleans())
    def pods(self, slow: bool) -> None:
        """New pods do not get ready (no nodes, no quota, no image), or do again."""
        self.world.ready_after = 1e6 if slow else 5.0
        if not slow:
            for each in self.world._deployments.values():
                each.ready_at = min(each.ready_at, self.world.now + 5.0)

    @rule()
    def acts_refused(self) -> None:
        """The API server refuses every act of a look: the intent is written, and nothing happens."""
        if not self.gone:
            self.world.now += 2
            self._keep(self._decide(), acts=0)

    @precondition(lambda self: self.world.finalizer and not self.world.deleting)
    @rule()
    def finalizer_taken(self) -> None:
        """Somebody removes the finalizer by hand while there is something to give back."""
        if self.world.status.phase not in TERMINAL:
            self.world.finalizer = False

    @rule(refused=st.sampled_from([False, False, True]))
    def checks(self, refused: bool) -> None:
        """The checks before traffic find something that somebody must correct."""
        self.problems = (Problem("HistogramEdgeMissing", "no bucket at 0.15"),) if refused else ()

    def _lossy(self, seen: Observation) -> Observation:
        early = run.position(self.world.status) in {Phase.PENDING, Phase.PREPARING}
        self.seen = dataclasses.replace(super()._lossy(seen), problems=self.problems if early else ())
        return self.seen

    def _decide(self) -> Decision:
        before = self.world.status
        decision = super()._decide()
        assert self.seen is not None
        self._rule_1_and_4_others_untouched()
        self._rule_6_counted_at_the_verified_split(before, decision.status)
        self._rule_7_verdicts_carry_their_numbers(decision.status)
        self._rule_9_together(before, self.seen, decision.status)
        return decision

    def _rule_1_and_4_others_untouched(self) -> None:
        """A control that is none of the run's has its full size and its own template."""
        if self.disturbed:
            return
        mine = {pair.control.name for pair in self.world._pairs.values()}
        for name in _CONTROLS:
            pods = self.world._deployments[name]
            if name not in mine:
                assert pods.replicas == _SIZE, f"{name} was left with {pods.replicas} pods"
                assert self.succeeded or pods.template == "old", f"{name} was left with another template"

    def _rule_6_counted_at_the_verified_split(self, before: Status, after: Status) -> None:
        """Requests are added only where the step was seen to be done, and the split has not changed since."""
        if before.run_id != after.run_id:
            return
        for service in after.services:
            if sum(samples(after.checkpoint, service.name)) <= sum(samples(before.checkpoint, service.name)):
                continue
            assert before.step is not None
            assert before.step.done
            if run.position(before) is Phase.PROGRESSING and self.seen is not None:
                assert service.route_token == self.seen.service(service.name).route.token

    @staticmethod
    def _rule_7_verdicts_carry_their_numbers(status: Status) -> None:
        """A verdict that rolls back has its value, its n, its evidence and its rule."""
        for service in status.services:
            for each in service.guardrails:
                if each.verdict == "Failing":
                    assert each.canary
                    assert each.canary_requests > 0
                    assert each.rule not in {"", "None"}
                    assert each.evidence

    def _rule_9_together(self, before: Status, seen: Observation, after: Status) -> None:
        """A step begins only when all services are at the present one."""
        if before.run_id != after.run_id or run.position(after) not in {Phase.PROGRESSING, Phase.PROMOTING}:
            return
        if after.weight > before.weight > 0:
            assert all(service.route.settled for service in seen.services)

    def _keep(self, decision: Decision, *, acts: int | None) -> None:
        """Rule 5: a template is promoted once in a run, and what is kept is control's own."""
        for act in decision.acts[:acts]:
            if isinstance(act, PromoteTemplate):
                pair = self.world._pairs[act.service]
                assert pair.canary is not None
                if pair.control.template != pair.canary.template:
                    key = decision.status.run_id, act.service
                    self.promoted[key] = self.promoted.get(key, 0) + 1
                    assert self.promoted[key] == 1, "an effect happens once in a run"
            if isinstance(act, KeepTemplate):
                pair = self.world._pairs[act.service]
                assert pair.kept or pair.control.template == "old" or self.succeeded
        super()._keep(decision, acts=acts)

    def teardown(self) -> None:
        """When the trouble is over it comes to its end, and every Deployment that it touched is as it should be."""
        self.unreadable, self.problems = False, ()
        self.pods(slow=False)
        super().teardown()
        status, deployments = self.world.status, self.world._deployments
        if self.disturbed or (status.phase is Phase.SUCCEEDED and not self.gone):
            return
        for name in _CONTROLS:
            assert deployments[name].replicas == _SIZE, f"{name} has {deployments[name].replicas} pods"
            assert self.succeeded or deployments[name].template == "old"
        for name in _CANARIES:
            assert name not in deployments or deployments[name].replicas == 0, f"{name} has pods left"


NineRules.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    phases=[Step.generate],
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

TestNineRules = NineRules.TestCase
"""Sixty histories of thirty steps, the same in CI each time."""
