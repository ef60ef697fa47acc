"""Runs the parts of an ensemble at the same time, each with a budget of its own.

A thread can't be stopped. So a part that hangs keeps its thread, and the request goes on without it; and when all
threads of a part hang, nobody waits for it any more until one comes back.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, Generic, Literal, TypeVar

import structlog

T = TypeVar("T")
Reason = Literal["late", "stuck", "failed"]
"""Why a part gave no answer: over its budget; all of its threads are over their budgets; an error."""
REASONS: Final[tuple[Reason, ...]] = ("late", "stuck", "failed")
THREADS: Final = 2
"""Of each part: one may hang, and the part still answers."""

log = structlog.get_logger("parts")


class _Lane:
    """The threads of one part."""

    def __init__(self, name: str, threads: int) -> None:
        self.name = name
        self._threads = threads
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=f"part-{name}")
        self._overdue: set[Future[object]] = set()

    @property
    def stuck(self) -> bool:
        """Whether all threads are busy with what nobody waits for any more."""
        return len(self._overdue) >= self._threads

    def submit(self, work: Callable[[], T]) -> "Future[T]":
        return self._executor.submit(work)

    def give_up(self, future: "Future[object]", loop: asyncio.AbstractEventLoop) -> None:
        """Note that a thread is late; it is free again when its work ends."""
        if future.cancel() or future.done():
            return
        self._overdue.add(future)

        def ended(done: "Future[object]") -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._overdue.discard, done)

        future.add_done_callback(ended)

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)


@dataclass(slots=True)
class Answers(Generic[T]):
    """What the parts gave, and why the others gave nothing."""

    given: dict[str, T] = field(default_factory=dict)
    missing: dict[str, Reason] = field(default_factory=dict)


class Parallel:
    """A pool of threads for each part.

    Args:
        budgets: Seconds that each part may take for one question, by its name.
        threads: Threads of each part.
    """

    def __init__(self, budgets: Mapping[str, float], threads: int = THREADS) -> None:
        self._budgets = dict(budgets)
        self._lanes = {name: _Lane(name, threads) for name in budgets}

    async def ask(self, work: Mapping[str, Callable[[], T]], *, times: float = 1.0) -> Answers[T]:
        """Do the work of all parts at the same time; wait for each as long as its budget allows.

        Args:
            work: What to do in a thread, by the part's name.
            times: Multiple of the budgets, for work on many questions at once.
        """
        loop = asyncio.get_running_loop()
        answers: Answers[T] = Answers()
        futures: dict[str, Future[T]] = {}
        for name, call in work.items():
            if self._lanes[name].stuck:
                answers.missing[name] = "stuck"
            else:
                futures[name] = self._lanes[name].submit(call)
        await _wait(futures, {name: self._budgets[name] * times for name in futures}, loop)
        for name, future in futures.items():
            if not future.done():
                self._lanes[name].give_up(future, loop)  # type: ignore[arg-type]
                answers.missing[name] = "late"
            elif (error := future.exception()) is not None:
                log.error("a part of the ensemble failed", part=name, exc_info=error)
                answers.missing[name] = "failed"
            else:
                answers.given[name] = future.result()
        return answers

    def close(self) -> None:
        """End all threads that are idle; what hangs ends with the process."""
        for lane in self._lanes.values():
            lane.close()


async def _wait(
    futures: Mapping[str, "Future[T]"], budgets: Mapping[str, float], loop: asyncio.AbstractEventLoop
) -> None:
    """Return when each future is done or over its budget. One wake-up for all of them, where gather makes many."""
    if not futures:
        return
    finished = loop.create_future()
    waited_for = set(futures)

    def leave(name: str) -> None:
        waited_for.discard(name)
        if not waited_for and not finished.done():
            finished.set_result(None)

    timers = [loop.call_later(budgets[name], leave, name) for name in futures]
    for name, future in futures.items():
        future.add_done_callback(lambda _done, name=name: _tell(loop, leave, name))  # type: ignore[misc]
    try:
        await finished
    finally:
        for timer in timers:
            timer.cancel()


def _tell(loop: asyncio.AbstractEventLoop, leave: Callable[[str], None], name: str) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(leave, name)
