"""Who asks at the same moment is decided together, and each gets its own answer."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from serin.api.spec import InvalidSpecError
from serin.api.status import Phase
from serin.controller import together
from serin.controller.together import Together
from serin.engine.decide import decide
from serin.engine.decision import Decision
from serin.engine.together import Question, decide_all
from serin.engine.world import World
from tests.unit.engine.worlds import reach, spec


def questions() -> list[Question]:
    """Two experiments that count, and one whose spec can't be read."""
    worlds = [World(spec(), seed=1), World(spec(), seed=2)]
    for world in worlds:
        reach(world, Phase.PROGRESSING, "ab")
        world.now += 40.0
    asked = [Question(each.spec, each.status, each.observe(), each.now) for each in worlds]
    return [*asked, asked[0]._replace(spec=InvalidSpecError("no services"))]


async def test_one_pass_for_all_who_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each gets what it would have got alone; who comes later is not forgotten."""
    sizes: list[int] = []

    def counted(asked: Sequence[Question]) -> list[Decision | Exception]:
        sizes.append(len(asked))
        return decide_all(asked)

    monkeypatch.setattr(together, "decide_all", counted)
    at_once, asked = Together(), questions()
    assert await asyncio.gather(*(at_once.decide(*each) for each in asked)) == [decide(*each) for each in asked]
    assert await at_once.decide(*asked[1]) == decide(*asked[1])
    assert sizes == [3, 1]


async def test_many_are_decided_in_several_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The event loop renews the Lease, answers probes and takes in lists in between; nobody is left behind."""
    sizes: list[int] = []
    turns: list[int] = []
    others = 0

    def counted(asked: Sequence[Question]) -> list[Any]:
        sizes.append(len(asked))
        turns.append(others)
        return [each.now for each in asked]

    async def other() -> None:
        nonlocal others
        while True:
            await asyncio.sleep(0)
            others += 1

    busy = asyncio.create_task(other())

    monkeypatch.setattr(together, "decide_all", counted)
    at_once, asked = Together(), questions()[0]
    wanted = [float(number) for number in range(120)]
    assert await asyncio.gather(*(at_once.decide(*asked._replace(now=now)) for now in wanted)) == wanted
    assert sizes == [50, 50, 20]
    assert all(later - earlier >= 49 for earlier, later in pairwise(turns))
    busy.cancel()


async def test_a_fault_and_a_cancelled_turn_are_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others go on as ever."""
    good, other, _ = questions()

    def faulty(asked: Sequence[Question]) -> list[Any]:
        return [ValueError("a fault") if each is asked[0] else decide(*each) for each in asked]

    monkeypatch.setattr(together, "decide_all", faulty)
    at_once = Together()
    turns = [asyncio.create_task(at_once.decide(*each)) for each in (good, other, good)]
    await asyncio.sleep(0)
    turns[1].cancel()
    found = await asyncio.gather(*turns, return_exceptions=True)
    assert str(found[0]) == "a fault"
    assert isinstance(found[1], asyncio.CancelledError)
    assert found[2] == decide(*good)
