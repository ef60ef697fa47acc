"""One service that makes a query fail takes their measurements from the others for a few looks, and not for ever."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from serin.engine.observation import MeasurementFailure, ServiceCounts, Unmeasured
from serin.metrics import company as company_module
from serin.metrics import pace as pace_module
from serin.metrics.answers import Row
from serin.metrics.company import Company, Party
from serin.metrics.pace import MOST, Pace
from serin.metrics.source import MetricsSource, Target

NAMES = frozenset({"control"}), frozenset({"canary"})
TIMEOUT, INTERVAL = 10.0, 30.0
LATE = Unmeasured(MeasurementFailure.TIMEOUT, "late")
HOUR = 120
"""Looks."""
few = settings(max_examples=12)
"""An example is hours of looks."""


def targets(count: int) -> list[Target]:
    """Return so many services."""
    return [Target("ns", f"s{number:04}", *NAMES) for number in range(count)]


class Server:
    """Answers after as many seconds as its targets cost; a slot of it is looked at every half a minute.

    Suspects are asked two at a time, and those whose turn does not come in time are not. A look of which nothing was
    answered is made up for by the next one, which is longer by it.

    Args:
        cost: seconds of one target.
        size: targets of one query, at the most.
    """

    def __init__(self, everyone: list[Target], size: int, cost: Callable[[Target], float]) -> None:
        self.everyone, self.size, self.cost = everyone, size, cost
        self.company, self.now, self.asked, self.seconds = Company(), 1000.0, [0], INTERVAL

    def look(self) -> set[Target]:
        """Who is measured in one look."""
        self.now += INTERVAL
        parties = self.company.parties(self.everyone, self.size, self.now)
        assert Counter(each for party in parties for each in party.targets) == Counter(self.everyone), "each once"
        assert all(len(party.targets) <= self.size for party in parties)
        self.asked.append(sum(party.refusal is None for party in parties))
        ended = sorted(self._asked(parties), key=lambda pair: pair[0])
        for end, party in ended:
            party.take(LATE if self._seconds(party) >= TIMEOUT else [])
            self.company.learn(party, self.now + end, self.seconds)
        measured = {each for _, party in ended if party.spoilt is None for each in party.targets}
        self.seconds = INTERVAL if measured else min(3600.0, self.seconds + INTERVAL)
        return measured

    def _asked(self, parties: list[Party]) -> Iterator[tuple[float, Party]]:
        """Those who are asked, and when that ends."""
        lanes = [0.0, 0.0]
        for party in parties:
            took = min(TIMEOUT, self._seconds(party))
            if party.refusal is None and not party.suspect:
                yield took, party
            elif party.refusal is None and min(lanes) < TIMEOUT:
                lane = lanes.index(min(lanes))
                lanes[lane] += took
                yield lanes[lane], party

    def _seconds(self, party: Party) -> float:
        return sum(map(self.cost, party.targets))


@few
@given(
    count=st.integers(1, 120),
    heavy=st.sets(st.integers(0, 119), max_size=16),
    size=st.sampled_from([7, 35, 50, 200, 714]),
)
@example(count=4, heavy={0, 3}, size=714)  # both halves fail, and there is no third that tells
@example(count=4, heavy={0, 1, 3}, size=714)  # two of them take both turns of suspects
@example(count=120, heavy=set(range(0, 120, 8)), size=714)  # in every eighth
@example(count=120, heavy=set(range(104, 120)), size=714)  # side by side
def test_the_others_are_measured_again(count: int, heavy: set[int], size: int) -> None:
    """Those who are too slow end up alone and are asked seldom; the others are measured from then on."""
    everyone = targets(count)
    slow = {everyone[number] for number in heavy if number < count}
    server = Server(everyone, size, lambda each: 11.0 if each in slow else 0.001)
    for _ in range(60):
        server.look()
    for _ in range(2 * HOUR):
        assert server.look() == set(everyone) - slow
    parties = -(-count // size)
    assert sum(server.asked[-HOUR:]) / HOUR <= parties + 1 + len(slow) / 8, (
        "each slow one is tried once in sixteen looks"
    )


@few
@given(slow=st.integers(0, 99), looks=st.integers(1, 2 * HOUR))
def test_what_was_slow_once_is_as_the_others_again(slow: int, looks: int) -> None:
    """It waits for its next try, is measured from then on, and shares the query of all in the end."""
    everyone, bad = targets(100), True
    server = Server(everyone, 714, lambda each: 11.0 if bad and each is everyone[slow] else 0.001)
    for _ in range(looks):
        server.look()
    bad = False
    for _ in range(33):
        server.look()
    for _ in range(4 * HOUR):
        assert server.look() == set(everyone)
    assert server.asked[-1] == 1


@few
@given(count=st.sampled_from([1, 40, 200]), looks=st.integers(1, HOUR))
def test_after_an_outage_all_are_measured_at_once(count: int, looks: int) -> None:
    """While nobody is answered it may be the server: one more query a look, and nobody is kept waiting afterwards."""
    down = False
    server = Server(targets(count), 714, lambda _: 1e9 if down else 0.001)
    for _ in range(5):
        server.look()
    down = True
    for look in range(looks):
        assert server.look() == set()
        assert server.asked[-1] <= look + 2
    down = False
    for _ in range(4 * HOUR):
        assert server.look() == set(server.everyone)
    assert server.asked[-1] == 1


@pytest.mark.parametrize("seconds", [0.5, 3.0])
def test_a_slow_server_gets_what_it_can_answer(seconds: float) -> None:
    """Forty services are too many for one query: they are asked by fewer, and seldom is tried whether more will do."""
    everyone = targets(40)
    server = Server(everyone, 714, lambda _: seconds)
    for _ in range(30):
        server.look()
    measured = [len(server.look()) for _ in range(4 * HOUR)]
    assert sum(measured) / len(measured) / len(everyone) > 0.97
    assert sum(server.asked[-HOUR:]) / HOUR <= 40 * seconds / TIMEOUT * 2 + 1


@pytest.mark.parametrize("failure", [None, *MeasurementFailure])
def test_what_spoils_a_query(failure: MeasurementFailure | None) -> None:
    """A server that is away, refuses or gives a part is nobody's fault, and no sign of being well either."""
    everyone, company = targets(2), Company()
    party = Party(everyone, 0.0)
    party.take([] if failure is None else Unmeasured(failure, "words"))
    assert bool(party.answers) == (failure is None)
    assert (party.spoilt is not None) == (failure in {"Timeout", "Warnings", "ServerError"})
    company.learn(party, 0.0, INTERVAL)
    assert len(company.parties(everyone, 714, 1.0)) == (1 if party.spoilt is None else 2)


def test_who_waits_for_its_next_try_gets_what_was_said() -> None:
    """Its sentence says that it was asked for alone, which is where to look for the cause."""
    server = Server(targets(8), 714, lambda each: 11.0 if each.service == "s0003" else 0.001)
    for _ in range(8):
        server.look()
    (refused,) = [each for each in server.company.parties(server.everyone, 714, server.now + 1) if each.refusal]
    assert refused.targets == [server.everyone[3]]
    assert refused.refusal == Unmeasured(MeasurementFailure.TIMEOUT, "late, asked for s0003 alone")


def test_only_so_many_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Experiments come and go for years."""
    monkeypatch.setattr(company_module, "_KEPT", 20)
    company = Company()
    for number in range(100):
        party = Party([Target("ns", f"gone-{number}", *NAMES) for _ in range(2)], 0.0)
        party.take(LATE)
        company.learn(party, 1000.0 * number, INTERVAL)
    assert len(company._records) <= 21


async def test_what_is_unusual_tells_nothing_of_the_size_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small query is late because of one of its own, and quick because it is small."""
    pace = Pace(TIMEOUT)

    async def late() -> list[Row] | Unmeasured:
        return LATE

    async def quick() -> list[Row] | Unmeasured:
        return []

    await pace.ask(late, usual=False)
    assert pace.rows == MOST
    assert await pace.ask(quick) == LATE, "but a server that answers nobody rests"
    monkeypatch.setattr(pace_module.time, "monotonic", lambda: 1e9)
    await pace.ask(late)
    assert pace.rows == MOST / 2
    monkeypatch.setattr(pace_module.time, "monotonic", lambda: 2e9)
    for _ in range(5):
        assert await pace.ask(quick, usual=False) == []
    assert pace.rows == MOST / 2


async def test_a_turn_that_does_not_come_is_no_answer() -> None:
    """Two are late: the third is not asked for, is told so, and comes first at the next look."""
    company, stuck = Company(), asyncio.Event()

    async def late() -> list[Row] | Unmeasured:
        await stuck.wait()
        return LATE

    tasks = [asyncio.create_task(company.in_turn(late, 20.0)) for _ in range(2)]
    await asyncio.sleep(0)
    assert await company.in_turn(late, 0.02) is None
    stuck.set()
    assert await asyncio.gather(*tasks) == [LATE, LATE]
    assert await company.in_turn(late, 20.0) == LATE


async def test_nobody_waits_for_a_suspect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each query has its own answer: who is in another one is answered when that is, and not when the late one is."""
    everyone, source, stuck = [*targets(40), Target("ns", "bad", *NAMES)], MetricsSource(), asyncio.Event()

    async def query(_: Any, text: str, __: float) -> list[Row] | Unmeasured:
        await asyncio.sleep(0)
        if "bad" not in text:
            return []
        await stuck.wait()
        return LATE

    async def look(number: int) -> list[ServiceCounts | Unmeasured]:
        tasks = [asyncio.create_task(source.look(each, everyone, 30.0 * number, 1e-3)) for each in everyone]
        if number >= 8:
            found = await asyncio.wait_for(asyncio.gather(*tasks[:-1]), 20)
            assert not tasks[-1].done()
            assert not any(isinstance(each, Unmeasured) and each.message.startswith("late") for each in found)
        stuck.set()
        return await asyncio.gather(*tasks)

    monkeypatch.setattr(source._client, "query", query)
    for number in range(9):
        found = await look(number)
        stuck.clear()
        await asyncio.sleep(0.05)  # many times its rest, as a look takes a thousandth of a second here
    source.close()
    assert found[-1] == LATE
