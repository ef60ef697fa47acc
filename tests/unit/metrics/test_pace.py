"""How much one Prometheus is asked by queries with large answers, and what happens when one is late."""

import asyncio

import pytest

from serin.engine.observation import MeasurementFailure, Unmeasured
from serin.metrics import pace
from serin.metrics.answers import Row
from serin.metrics.pace import LEAST, MOST, Pace

LATE = Unmeasured(MeasurementFailure.TIMEOUT, "late")
AWAY = Unmeasured(MeasurementFailure.UNREACHABLE, "away")
TIMEOUT = 10.0


class Server:
    """Answers what it is told to, in so many seconds of a clock that only it moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.asked, self.running, self.most = 1000.0, 0, 0, 0
        self.answer: list[Row] | Unmeasured = []
        self.seconds = 1.0
        monkeypatch.setattr(pace.time, "monotonic", lambda: self.now)

    async def query(self) -> list[Row] | Unmeasured:
        """Say what it was told to say."""
        self.asked += 1
        self.running += 1
        self.most = max(self.most, self.running)
        answer = self.answer
        await asyncio.sleep(0)
        self.now += self.seconds
        self.running -= 1
        return answer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    """Return a server that answers in a second."""
    return Server(monkeypatch)


async def test_two_at_a_time(server: Server) -> None:
    """Together they would take what none of them needs later."""
    made = Pace(TIMEOUT)
    assert await asyncio.gather(*(made.ask(server.query) for _ in range(5))) == [[]] * 5
    assert (server.asked, server.most) == (5, 2)


async def test_who_waited_for_a_late_one_is_not_kept_as_long_again(server: Server) -> None:
    """In an outage a look, and an act behind it, waits for one query and not for all that are before it."""
    made, server.answer, server.seconds = Pace(TIMEOUT), LATE, TIMEOUT
    assert await asyncio.gather(*(made.ask(server.query) for _ in range(40))) == [LATE] * 40
    assert server.asked == 2
    server.now += TIMEOUT - 0.1
    assert await made.ask(server.query) is LATE
    assert server.asked == 2, "it rests"
    server.now += 0.1
    server.answer, server.seconds = [], 1.0
    assert await asyncio.gather(*(made.ask(server.query) for _ in range(3))) == [[]] * 3
    assert server.asked == 5


async def test_size_follows_what_the_server_can_take(server: Server) -> None:
    """Halved when late, down to a limit; a little more after each quick answer; what is merely slow stays as it is."""
    made, server.answer, server.seconds, sizes = Pace(TIMEOUT), LATE, TIMEOUT, []
    for _ in range(7):
        await asyncio.gather(made.ask(server.query), made.ask(server.query))
        sizes.append(made.rows)
        server.now += TIMEOUT
    assert sizes[:3] == [MOST / 2, MOST / 4, MOST / 8], "two that were late together were too large together"
    assert sizes[-1] == LEAST
    server.answer, server.seconds = [], TIMEOUT * 0.9
    await made.ask(server.query)
    assert made.rows == LEAST
    server.seconds = 0.1
    await made.ask(server.query)
    assert LEAST < made.rows <= 3 * LEAST
    for _ in range(100):
        await made.ask(server.query)
    assert made.rows == MOST


async def test_one_slow_query_is_no_slow_server(server: Server) -> None:
    """Somebody's service with half a million series must not blind the slots after it."""
    made, go = Pace(TIMEOUT), asyncio.Event()

    async def slow() -> list[Row] | Unmeasured:
        await go.wait()
        server.now += TIMEOUT
        return LATE

    task = asyncio.create_task(made.ask(slow))
    await asyncio.sleep(0)
    assert await made.ask(server.query) == []
    go.set()
    assert await task is LATE
    assert made.rows == MOST / 2
    assert await made.ask(server.query) == [], "it does not rest"


async def test_only_lateness_is_a_matter_of_size(server: Server) -> None:
    """A server that is away says so at once, and is asked by whoever looks next."""
    made, server.answer = Pace(TIMEOUT), AWAY
    assert await asyncio.gather(*(made.ask(server.query) for _ in range(3))) == [AWAY] * 3
    assert (server.asked, made.rows) == (3, MOST)


async def test_a_caller_that_is_cancelled_gives_its_turn_back(server: Server) -> None:
    """Else nobody would be asked any more."""
    made, never = Pace(TIMEOUT), asyncio.Event()

    async def stuck() -> list[Row] | Unmeasured:
        await never.wait()
        return []

    tasks = [asyncio.create_task(made.ask(stuck)) for _ in range(5)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    assert await asyncio.wait_for(made.ask(server.query), 5) == []
