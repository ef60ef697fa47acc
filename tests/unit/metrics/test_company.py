"""One service that makes a query fail takes their measurements from the others for a few looks, and not for ever."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from serin.engine.observation import MeasurementFailure, Unmeasured
from serin.metrics import company as company_module
from serin.metrics.answers import Row
from serin.metrics.company import Company, Party
from serin.metrics.pace import LEAST, MOST, Pace
from serin.metrics.source import MetricsSource, Target

NAMES = frozenset({"control"}), frozenset({"canary"})
TIMEOUT = 10.0
LOOKS = 12
"""Enough to find one of a thousand by halves, with one more for two that are in both halves."""


def targets(count: int) -> list[Target]:
    """Return so many services."""
    return [Target("ns", f"s{number:04}", *NAMES) for number in range(count)]


class Server:
    """Answers after as many seconds as its targets cost.

    Args:
        cost: seconds of one target.
    """

    def __init__(self, cost: Callable[[Target], float]) -> None:
        self.cost, self.queries = cost, 0

    def look(self, company: Company, everyone: list[Target], size: int) -> set[Target]:
        """Who is measured in one look."""
        parties = [Party(each, self._never, None) for each in company.parties(everyone, size)]
        assert Counter(each for party in parties for each in party.targets) == Counter(everyone), "each of them once"
        assert all(len(party.targets) <= size for party in parties)
        self.queries = len(parties)
        for party in parties:
            seconds = sum(map(self.cost, party.targets))
            party.failed = seconds > TIMEOUT
            party.slowest = 0.0 if party.failed else seconds
        company.learn(parties, size)
        return {each for party in parties if not party.failed for each in party.targets}

    async def _never(self, *_: Any) -> list[Row] | Unmeasured:
        raise NotImplementedError


@given(
    count=st.integers(1, 400),
    heavy=st.sets(st.integers(0, 399), max_size=4),
    size=st.sampled_from([7, 35, 50, 200, 714]),
    seconds=st.sampled_from([11.0, 1e9]),
)
@example(count=4, heavy={0, 3}, size=714, seconds=11.0)  # both halves fail, and there is no third that tells
@example(count=400, heavy={0, 100, 200, 300}, size=714, seconds=11.0)
def test_the_others_are_measured_again(count: int, heavy: set[int], size: int, seconds: float) -> None:
    """Whoever is too slow ends up alone, and the others are measured from then on, in hardly more queries."""
    everyone, company = targets(count), Company(TIMEOUT)
    slow = {everyone[number] for number in heavy if number < count}
    server = Server(lambda each: seconds if each in slow else 0.001)
    for _ in range(LOOKS):
        server.look(company, everyone, size)
    for _ in range(LOOKS):
        assert server.look(company, everyone, size) == set(everyone) - slow
    assert server.queries <= len(slow) + -(-count // size) + 1


@pytest.mark.parametrize("count", [1, 40, 700])
def test_a_server_that_answers_nobody_is_not_asked_more_and_more(count: int) -> None:
    """It is the server: a handful of queries for each look, and one again soon after it is back."""
    everyone, company = targets(count), Company(TIMEOUT)
    away, back = Server(lambda _: 1e9), Server(lambda _: 0.001)
    for _ in range(100):
        assert away.look(company, everyone, 714) == set()
        assert away.queries <= 16
    for _ in range(LOOKS):
        assert back.look(company, everyone, 714) == set(everyone)
    assert back.queries == 1


def test_a_slow_server_gets_what_it_can_answer() -> None:
    """Forty services of half a second are too many for one query; what is found stays, and is no up and down."""
    everyone, company = targets(40), Company(TIMEOUT)
    server = Server(lambda _: 0.5)
    measured = [server.look(company, everyone, 714) == set(everyone) for _ in range(40)]
    assert all(measured[3:])


async def test_what_counts_as_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is away or refuses is nobody's fault; quick is only who answers."""
    clock = iter(range(100))
    monkeypatch.setattr(company_module.time, "monotonic", lambda: float(next(clock)))
    for failure in (None, *MeasurementFailure):

        async def query(*_: Any, failed: MeasurementFailure | None = failure) -> list[Row] | Unmeasured:
            return [] if failed is None else Unmeasured(failed, "words")

        party = Party(targets(2), query, None)
        await party.ask("up", 0.0)
        assert party.slowest == (1.0 if failure is None else 0.0)
        assert party.failed == (failure is not None and failure.value in {"Timeout", "Warnings", "ServerError"})


@pytest.mark.parametrize(("count", "rows", "asked"), [(1, MOST, 2), (2, MOST / 2, 1)])
async def test_one_alone_tells_nothing_of_the_others(count: int, rows: float, asked: int) -> None:
    """It is late at every look: the others would be asked for in the smallest queries, or not at all meanwhile."""
    pace, queries = Pace(TIMEOUT), 0

    async def late(*_: Any) -> list[Row] | Unmeasured:
        nonlocal queries
        queries += 1
        return Unmeasured(MeasurementFailure.TIMEOUT, "late")

    await Party(targets(count), late, pace).ask("up", 0.0)
    await Party(targets(60), late, pace).ask("up", 0.0)
    assert queries == asked
    assert LEAST < pace.rows <= rows


async def test_a_service_that_is_always_late_blinds_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the source, with its looks, its shared answers and its turns."""
    everyone, source, now, asked = targets(120), MetricsSource(), 1000.0, 0
    monkeypatch.setattr(company_module.time, "monotonic", lambda: now)

    async def query(_: Any, text: str, __: float) -> list[Row] | Unmeasured:
        nonlocal asked, now
        asked, now = asked + 1, now + 0.1
        await asyncio.sleep(0)
        return Unmeasured(MeasurementFailure.TIMEOUT, "late") if "s0077" in text else []

    monkeypatch.setattr(source._client, "query", query)
    for look in range(20):
        asked, now = 0, now + 30.0
        found = await asyncio.gather(*(source.look(each, everyone, 30.0 * look, 30.0) for each in everyone))
    source.close()
    late = [isinstance(counts, Unmeasured) and counts.message == "late" for counts in found]
    assert late == [each is everyone[77] for each in everyone]
    assert asked <= 4
