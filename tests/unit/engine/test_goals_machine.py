"""Goals among arbitrary interleavings: crashes, outages of their readings and people, over the simulated world.

To what always holds of an experiment it adds: without the last look at every goal no step leaves their stage, a look is
taken once, and nothing is rolled back by a goal that was not read.
"""

import dataclasses
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import Phase as Step
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from serin.api.names import APPROVE
from serin.api.status import Phase, Status
from serin.engine import run
from serin.engine.decision import Decision
from serin.engine.generated import Fault
from serin.engine.goals import record as goal_record
from serin.engine.goals.schedule import rule_of
from serin.engine.goals.world import GoalEffect
from serin.engine.observation import GoalReading, MeasurementFailure, Observation, Unmeasured
from serin.engine.world import World
from serin.stats.goals import GoalVerdict
from tests.unit.engine.test_machine import Interleavings
from tests.unit.engine.worlds import SERVICES, spec

_RUSH = 86_400 * 20.0
"""Twenty new users a second: looks have enough of them within a stage of minutes."""


class GoalInterleavings(Interleavings):
    """One experiment with two goals."""

    def __init__(self) -> None:
        super().__init__()
        self.lost: MeasurementFailure | None = None
        self.seen_goals: dict[str, GoalReading | Unmeasured] = {}

    @initialize(
        effect=st.sampled_from([0.0, 0.0, 1.0, -1.0]),
        samples=st.sampled_from([None, 100, 2000]),
        fault=st.sampled_from([None, None, Fault(errors=0.3)]),
        seed=st.integers(0, 1000),
    )
    def begin(self, effect: float, samples: int | None, fault: Fault | None, seed: int) -> None:  # type: ignore[override]
        """Goals that come to a verdict, good or bad."""
        ab = {"name": "ab", "weight": 50, "duration": "3m", **({"minSamples": samples} if samples else {})}
        goals = [{"name": name, "service": "conversation", "minimumEffect": 0.5} for name in ("happy", "done")]
        stages = [{"name": "canary", "weight": 10, "duration": "1m"}, ab]
        wanted = spec(services=SERVICES, stages=stages, goals=goals)
        users = {"happy": GoalEffect(users_per_day=_RUSH), "done": GoalEffect(effect, users_per_day=_RUSH)}
        self.world = World(wanted, faults=(fault,) if fault else (), seed=seed, goals=users)

    @rule(lost=st.sampled_from([None, None, *MeasurementFailure]))
    def readings(self, lost: MeasurementFailure | None) -> None:
        """The readings of goals fail, or work again; the guardrails have theirs."""
        self.lost = lost

    def _lossy(self, seen: Observation) -> Observation:
        seen = super()._lossy(seen)
        if self.lost is not None:
            gone = Unmeasured(self.lost, f"simulated {self.lost}")
            seen = dataclasses.replace(seen, goals=dict.fromkeys(seen.goals, gone))
        self.seen_goals = seen.goals
        return seen

    def _decide(self) -> Decision:
        before = self.world.status
        decision = super()._decide()
        self._goals_hold(before, decision.status)
        return decision

    def _goals_hold(self, before: Status, after: Status) -> None:
        if after.run_id != before.run_id:
            return
        old, new = self._records(before), self._records(after)
        for name, record in new.items():
            known = old.get(name)
            if known is not None:
                assert record.fractions[: len(known.fractions)] == known.fractions, "a look that was taken stays so"
            assert len(set(record.fractions)) == len(record.fractions)
            if known is None or known.fractions != record.fractions:
                assert not record.fractions or isinstance(self.seen_goals.get(name), GoalReading)
        left = before.stage == "ab" and run.position(before) is Phase.PROGRESSING and after.phase is Phase.PROMOTING
        if left and "goals" not in self.world.annotations.get(APPROVE, ""):
            wanted = {goal.name: rule_of(goal) for goal in self.world.spec.goals}
            assert set(new) == set(wanted)
            for name, record in new.items():
                assert record.final, "no promotion without the last look"
                assert wanted[name].promotes(GoalVerdict(record.verdict))
        if after.reason == "GoalInferior" and before.reason != "GoalInferior":
            assert any(isinstance(reading, GoalReading) for reading in self.seen_goals.values())

    def _records(self, status: Status) -> dict[str, Any]:
        found = {}
        for goal in self.world.spec.goals:
            record = goal_record.decode(self.world.spec, goal, status.checkpoint.get(goal_record.key_of(goal), ""))
            if record is not None:
                found[goal.name] = record
        return found

    def teardown(self) -> None:
        """When the trouble is over the goals come to their verdict too."""
        self.lost = None
        super().teardown()


GoalInterleavings.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=25,
    deadline=None,
    phases=[Step.generate],
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

TestGoalInterleavings = GoalInterleavings.TestCase
"""What always holds of goals, over twenty-five histories of twenty-five steps."""
