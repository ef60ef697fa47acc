"""Whose turn it is: when looks are due, one turn at a time for each key, and pauses after failures."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from serin.controller.scheduler import Scheduler, backoff, jittered
from serin.controller.store import Key

KEY = Key("shop", "phase4")


@contextlib.asynccontextmanager
async def running(scheduler: Scheduler) -> AsyncIterator[None]:
    """Run the scheduler until the context ends."""
    task = asyncio.create_task(scheduler.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await scheduler.drain(5.0)


async def eventually(seen: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait until `seen` is true."""
    async with asyncio.timeout(seconds):
        while not seen():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.005)


def test_backoff_doubles_up_to_a_minute() -> None:
    """Pauses after failures double and stay at a minute, however many failures there were."""
    assert [backoff(n) for n in (1, 2, 3, 6, 7, 8, 5000)] == [1, 2, 4, 32, 60, 60, 60]


def test_jitter_only_delays_and_by_a_tenth_at_most() -> None:
    """Jitter never makes a turn earlier, and it differs from call to call."""
    found = {jittered(10.0) for _ in range(200)}
    assert min(found) >= 10.0
    assert max(found) <= 11.0
    assert len(found) > 100


async def test_wakes_before_a_turn_are_one_turn() -> None:
    """A burst of wakes of one key is served by one turn."""
    turns: list[Key] = []

    async def reconcile(key: Key) -> float | None:
        turns.append(key)
        return None

    scheduler = Scheduler(reconcile)
    for _ in range(50):
        scheduler.wake(KEY)
    async with running(scheduler):
        await eventually(lambda: bool(turns))
        await asyncio.sleep(0.1)
    assert turns == [KEY]


@pytest.mark.parametrize("after", [0.0, 0.01])
async def test_never_two_turns_of_one_key_at_once(after: float) -> None:
    """A wake during a turn, immediate or delayed, gives another turn after it and none beside it."""
    inside = most = turns = 0
    let_go = asyncio.Event()

    async def reconcile(_: Key) -> float | None:
        nonlocal inside, most, turns
        inside, turns = inside + 1, turns + 1
        most = max(most, inside)
        await let_go.wait()
        inside -= 1
        return None

    scheduler = Scheduler(reconcile)
    async with running(scheduler):
        scheduler.wake(KEY)
        await eventually(lambda: inside == 1)
        scheduler.wake(KEY, after)
        await asyncio.sleep(0.1)
        assert turns == 1
        let_go.set()
        await eventually(lambda: turns == 2)
    assert most == 1


async def test_no_more_turns_at_once_than_allowed() -> None:
    """With room for three, ten keys that are due together never have four turns at once, and all have one.

    Of many a quarter: a hundred have room for 25.
    """
    inside = most = 0
    seen: set[Key] = set()

    async def reconcile(key: Key) -> float | None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0.01)
        inside -= 1
        seen.add(key)
        return None

    scheduler = Scheduler(reconcile, concurrency=3)
    async with running(scheduler):
        for number in range(10):
            scheduler.wake(Key("shop", str(number)))
        await eventually(lambda: len(seen) == 10)
        assert most == 3
        for number in range(10, 110):
            scheduler.wake(Key("shop", str(number)))
        await eventually(lambda: len(seen) == 110)
    assert 20 <= most <= 25


@pytest.mark.parametrize("how", ["asked", "known", "waits already"])
async def test_who_has_something_to_do_does_not_wait_for_room(how: str) -> None:
    """A rollback among thousands that wait for a Prometheus which does not answer."""
    go, turns = asyncio.Event(), list[str]()
    acting: set[Key] = {KEY} if how == "known" else set()

    async def reconcile(key: Key) -> float | None:
        turns.append(key.name)
        await go.wait()
        return None

    scheduler = Scheduler(reconcile, concurrency=2, urgent=acting.__contains__)
    async with running(scheduler):
        for number in range(5):
            scheduler.wake(Key("shop", str(number)))
        await eventually(lambda: len(turns) == 2)
        scheduler.wake(KEY, urgent=how == "asked")
        if how == "waits already":
            await asyncio.sleep(0.05)
            assert KEY.name not in turns
            scheduler.wake(KEY, 3600.0, urgent=True)
        await eventually(lambda: KEY.name in turns)
        assert len(turns) == 3, "the others wait for room"
        go.set()
        await eventually(lambda: len(turns) == 6)
        await asyncio.sleep(0.05)
    assert sorted(turns) == ["0", "1", "2", "3", "4", KEY.name], "each had one turn"


async def test_failure_does_not_stop_the_others_and_is_tried_again() -> None:
    """A key whose turn raises comes again after its pause, and other keys go on meanwhile."""
    turns: list[str] = []

    async def reconcile(key: Key) -> float | None:
        turns.append(key.name)
        if key.name == "bad" and turns.count("bad") == 1:
            raise RuntimeError("one look failed")
        return None

    scheduler = Scheduler(reconcile)
    async with running(scheduler):
        scheduler.wake(Key("shop", "bad"))
        scheduler.wake(Key("shop", "good"))
        await eventually(lambda: turns.count("good") == 1)
        assert turns.count("bad") == 1
        await eventually(lambda: turns.count("bad") == 2)


async def test_own_writes_of_a_failing_turn_do_not_defeat_the_pause() -> None:
    """A turn that wakes itself (its write comes back as an event) and then fails rests for a second all the same."""
    turns = 0
    scheduler: Scheduler

    async def reconcile(key: Key) -> float | None:
        nonlocal turns
        turns += 1
        scheduler.wake(key)
        raise RuntimeError("the act was refused")

    scheduler = Scheduler(reconcile)
    async with running(scheduler):
        scheduler.wake(KEY)
        await asyncio.sleep(0.8)
    assert turns == 1


async def test_key_that_came_back_during_its_last_turn_gets_another() -> None:
    """An object that is made again while the turn of its deleted namesake ends is not overlooked."""
    turns = 0
    scheduler: Scheduler

    async def reconcile(key: Key) -> float | None:
        nonlocal turns
        turns += 1
        if turns == 1:
            scheduler.wake(key)
        return None

    scheduler = Scheduler(reconcile)
    async with running(scheduler):
        scheduler.wake(KEY)
        await eventually(lambda: turns == 2)


async def test_drain_starts_nothing_and_waits_for_what_is_under_way() -> None:
    """After `drain` no turn begins, and it says whether those under way have ended."""
    let_go = asyncio.Event()
    turns: list[str] = []

    async def reconcile(key: Key) -> float | None:
        turns.append(key.name)
        await let_go.wait()
        return None

    scheduler = Scheduler(reconcile)
    async with running(scheduler):
        scheduler.wake(Key("shop", "first"))
        await eventually(lambda: turns == ["first"])
        draining: Awaitable[bool] = scheduler.drain(0.05)
        scheduler.wake(Key("shop", "late"))
        assert await draining is False
        let_go.set()
        assert await scheduler.drain(5.0) is True
    assert turns == ["first"]
