"""What is decided together is what is decided alone."""

from dataclasses import replace
from typing import Any

import pytest

from serin.api.spec import InvalidSpecError, Spec
from serin.api.status import Phase
from serin.engine import together
from serin.engine.decide import decide
from serin.engine.generated import Fault
from serin.engine.observation import MeasurementFailure, Unmeasured
from serin.engine.tested import Fed, First, feed_all
from serin.engine.together import Question, decide_all, feed_each, first_look
from serin.engine.world import World
from tests.unit.engine.worlds import reach, spec

_WORLDS: tuple[dict[str, Any], ...] = (
    {},
    {"seed": 2},
    {"faults": (Fault(errors=0.05, after=60.0),)},
    {"faults": (Fault(latency=0.1, after=100.0),)},
    {"faults": (Fault(errors=1.0, after=250.0),)},
    {"outages": ((80.0, 130.0),)},
    {"look_seconds": 40.0},
)


def beforehand(question: Question) -> Fed | None:
    """The first look of a question, fed as soon as its answer was there."""
    looks = question.observation.looks
    first = first_look(question.spec, question.status, looks[0]) if looks and isinstance(question.spec, Spec) else None
    return feed_each([first])[0] if first is not None else None


def test_whole_runs_are_the_same_to_the_last_character() -> None:
    """Healthy and spoilt ones, stages, promotion, bake and rollback, outages, several looks at once."""
    worlds = [World(spec(), **each) for each in _WORLDS] + [World(spec(guardrails={"latencyP95": {"max": "150ms"}}))]
    phases = set()
    for _ in range(120):
        questions = [Question(each.spec, each.status, each.observe(), each.now) for each in worlds]
        alone = [decide(*each) for each in questions]
        assert decide_all(questions) == alone
        assert decide_all([each._replace(fed=beforehand(each)) for each in questions]) == alone
        for world, decision in zip(worlds, alone, strict=True):
            world.status = decision.status
            phases.add(decision.status.phase)
            for act in decision.acts:
                world.do(act)
            world.now += max(0.5, min(decision.wake_after, 10.0))
    assert {Phase.BAKING, Phase.SUCCEEDED, Phase.ROLLED_BACK} <= phases


def test_looks_are_fed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one by one, which gives the same but takes longer."""
    worlds = [World(spec(), seed=seed) for seed in range(3)]
    for world in worlds:
        reach(world, Phase.PROGRESSING, "ab")
        world.now = world.now + 40.0
    questions = [Question(each.spec, each.status, each.observe(), each.now) for each in worlds]
    questions = [
        each._replace(observation=replace(each.observation, looks=each.observation.looks[:1])) for each in questions
    ]
    alone = [decide(*each) for each in questions]
    calls: list[int] = []

    def counted(firsts: list[First]) -> Any:
        calls.append(len(firsts))
        found = feed_all(firsts)
        monkeypatch.setattr("serin.engine.tested.update_all", None)  # whoever calls it now fails
        return found

    monkeypatch.setattr(together, "feed_all", counted)
    assert decide_all(questions) == alone
    assert calls == [3]


def test_what_was_fed_beforehand_is_not_fed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """That is what it is for."""
    world = World(spec())
    reach(world, Phase.PROGRESSING, "ab")
    world.now += 40.0
    one = Question(world.spec, world.status, world.observe(), world.now)
    one = one._replace(observation=replace(one.observation, looks=one.observation.looks[:1]))
    alone, fed = decide(*one), beforehand(one)
    assert fed is not None
    monkeypatch.setattr("serin.engine.tested.update_all", None)  # whoever calls it fails
    monkeypatch.setattr("serin.engine.tested.judge_all", None)
    assert decide_all([one._replace(fed=fed)] * 3) == [alone] * 3


def test_one_that_fails_does_not_stop_the_others() -> None:
    """A guardrail that can't be judged at the histogram's edges: who has it hears of it, and nobody else."""
    worlds = [World(spec(guardrails={"latencyP95": {"max": "123ms"}})), World(spec(), seed=1), World(spec(), seed=2)]
    for world in worlds:
        reach(world, Phase.PROGRESSING, "canary")
        world.now += 40.0
    bad, first, second = (Question(each.spec, each.status, each.observe(), each.now) for each in worlds)
    assert bad.observation.looks
    with pytest.raises(ValueError, match="no edge there"):
        decide(*bad)
    found = decide_all([bad, second, first])
    assert isinstance(found[0], ValueError)
    assert found[1:] == [decide(*second), decide(*first)]


def test_what_was_worked_out_for_another_look_is_not_used() -> None:
    """Whoever gets the tests of other counts, another checkpoint or another spec works them out again."""
    worlds = [World(spec(), seed=1), World(spec(), seed=2)]
    for world in worlds:
        reach(world, Phase.PROGRESSING, "ab")
        world.now += 40.0
    one, other = (Question(each.spec, each.status, each.observe(), each.now) for each in worlds)
    assert one.observation.looks
    fed = feed_all([First(other.spec, other.status.checkpoint, other.observation.looks[0], False)])[0]  # type: ignore[arg-type]
    assert decide(*one._replace(fed=fed)) == decide(*one)
    assert decide(*other._replace(fed=fed)) == decide(*other) == decide(*other._replace(fed=fed)), (
        "and it can be used again"
    )


def test_who_has_nothing_to_count_is_decided_as_ever() -> None:
    """Specs that can't be read, Prometheus away, no looks."""
    world = World(spec())
    unreadable = Question(InvalidSpecError("no services"), world.status, world.observe(), world.now)
    fresh = Question(world.spec, world.status, world.observe(), world.now)
    reach(world, Phase.PROGRESSING, "ab")
    world.now += 40.0
    counting = Question(world.spec, world.status, world.observe(), world.now)
    gone = Unmeasured(MeasurementFailure.UNREACHABLE, "away")
    looks = tuple(replace(each, services=dict.fromkeys(each.services, gone)) for each in counting.observation.looks)
    away = counting._replace(observation=replace(counting.observation, looks=looks))
    questions = [unreadable, fresh, away, away]
    assert decide_all(questions) == [decide(*each) for each in questions]
    assert decide_all([]) == []
