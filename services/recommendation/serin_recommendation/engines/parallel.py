"""Runs the parts of an ensemble at the same time, each with a budget of its own.

A thread can't be stopped. So a part that hangs keeps its thread, and the request goes on without it; and when all
threads of a part hang, nobody waits for it any more until one comes back.

Not concurrent.futures: its threads must end before the process can, so that one hanging part would hold up every
shutdown, and each future wakes the event loop up. Here the threads are daemons, and an answer wakes it up once:
`python -m tests.bench.services.ranking_cost` shows what that costs.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, Final, Generic, Literal, TypeVar

import structlog

T = TypeVar("T")
Reason = Literal["late", "stuck", "failed"]
"""Why a part gave no answer: over its budget; all of its threads are over their budgets; an error."""
REASONS: Final[tuple[Reason, ...]] = ("late", "stuck", "failed")
THREADS: Final = 2
"""Of each part: one may hang, and the part still answers."""

log = structlog.get_logger("parts")


@dataclass(slots=True)
class Answers(Generic[T]):
    """What the parts gave, and why the others gave nothing."""

    given: dict[str, T] = field(default_factory=dict)
    missing: dict[str, Reason] = field(default_factory=dict)


class _Round:
    """One question to all parts, on the event loop's side.

    A worker stores its result and then compares; the loop lowers `wanted` and then compares. Whichever comes second
    sees both, so the end is never missed.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.results: dict[str, Any] = {}
        self.errors: dict[str, BaseException] = {}
        self.wanted = 0
        self.finished: asyncio.Future[None] = loop.create_future()

    def store(self, name: str, result: Any) -> None:
        """Keep a result; called in a worker."""
        self.results[name] = result
        if len(self.results) >= self.wanted and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.finish)

    def finish(self) -> None:
        """Wake up who waits, when everything is there."""
        if len(self.results) >= self.wanted and not self.finished.done():
            self.finished.set_result(None)


class _Job:
    """What one part has to do in one round."""

    __slots__ = ("abandoned", "call", "done", "name", "round")

    def __init__(self, name: str, call: Callable[[], Any], belongs_to: _Round) -> None:
        self.name = name
        self.call = call
        self.round = belongs_to
        self.done = False
        self.abandoned = False

    def run(self) -> Any:
        """Do it; an error is a result too."""
        try:
            return self.call()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the thread goes on
            self.round.errors[self.name] = error
            return None


class _Lane:
    """The threads of one part, started with its first job."""

    def __init__(self, name: str, threads: int) -> None:
        self._name = name
        self._size = threads
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._overdue = 0
        self._threads: list[threading.Thread] = []

    @property
    def stuck(self) -> bool:
        """Whether as many jobs as there are threads are over their budgets and have not ended."""
        return self._overdue >= self._size

    def put(self, job: _Job) -> None:
        """Have a job done."""
        if not self._threads:
            names = [f"part-{self._name}-{number}" for number in range(self._size)]
            self._threads = [threading.Thread(target=self._work, name=name, daemon=True) for name in names]
            for thread in self._threads:
                thread.start()
        self._jobs.put(job)

    def abandon(self, job: _Job) -> bool:
        """Wait for a job no more; return whether it had not ended."""
        with self._lock:
            if job.done or job.abandoned:
                return False
            job.abandoned = True
            self._overdue += 1
            return True

    def close(self) -> None:
        """End the threads; one that hangs ends with the process."""
        for _ in self._threads:
            self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            result = None if job.abandoned else job.run()
            with self._lock:
                job.done = True
                self._overdue -= job.abandoned
            if not job.abandoned:
                job.round.store(job.name, result)
            del job, result  # A queue that is empty for long must not keep the last question alive.


class Parallel:
    """A few threads for each part.

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
        answers: Answers[T] = Answers()
        mine = _Round(asyncio.get_running_loop())
        jobs = [_Job(name, call, mine) for name, call in work.items() if not self._lanes[name].stuck]
        mine.wanted = len(jobs)
        limits = {self._budgets[job.name] for job in jobs}
        timers = [mine.loop.call_later(limit * times, self._expire, limit, jobs) for limit in limits]
        try:
            for job in jobs:
                self._lanes[job.name].put(job)
            if jobs:
                await mine.finished
        finally:
            for timer in timers:
                timer.cancel()
            # A request that is cut off by its deadline: nobody waits for its parts either.
            for job in jobs:
                self._lanes[job.name].abandon(job)
        asked = {job.name: job for job in jobs}
        for name in work:
            if name not in asked:
                answers.missing[name] = "stuck"
            elif asked[name].abandoned or name not in mine.results:
                answers.missing[name] = "late"
            elif name in mine.errors:
                log.error("a part of the ensemble failed", part=name, exc_info=mine.errors[name])
                answers.missing[name] = "failed"
            else:
                answers.given[name] = mine.results[name]
        return answers

    def close(self) -> None:
        """End all threads that are idle."""
        for lane in self._lanes.values():
            lane.close()

    def _expire(self, budget: float, jobs: list[_Job]) -> None:
        for job in jobs:
            if self._budgets[job.name] == budget and self._lanes[job.name].abandon(job):
                job.round.wanted -= 1
                job.round.finish()
