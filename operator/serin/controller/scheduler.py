"""Whose turn it is: heaps of due times, one reconcile per key at a time, a bound on how many run at once.

A timer per experiment would cost a task each and start them all at the same moment after a restart. Turns mostly wait
for Prometheus. Who has something to do in the cluster does not wait for those: a rollback least of all.
"""

import asyncio
import heapq
import math
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from serin.controller.store import Key
from serin.kube.errors import KubeError

_FIRST_BACKOFF: Final = 1.0
_LONGEST_BACKOFF: Final = 60.0
_AT_ONCE: Final = 256
"""Turns that may run at once, each with what it has read of its experiment. Most wait for an answer of Prometheus that
they share. Threads bound the calls to the API server."""
_SHARE: Final = 4
"""Or so many of all: of thousands there must be more than share one answer, for others to ask while that is read."""
_SOONEST: Final = 0.05
_JITTER: Final = 0.1
_AGAIN: Final = 0.3
"""Seconds until the next turn when something changed during this one."""

Reconcile = Callable[[Key], Awaitable[float | None]]
"""Answers with the seconds until the next turn, or None when the key is gone."""

_log = structlog.get_logger("serin.scheduler")


def backoff(failures: int) -> float:
    """Seconds until the next turn after so many failures in a row: doubled each time, up to a minute."""
    return min(_LONGEST_BACKOFF, _FIRST_BACKOFF * 2.0 ** min(failures - 1, 10))


def jittered(seconds: float) -> float:
    """Up to a tenth more, so that those who failed or waited together do not come back together."""
    return seconds * (1 + _JITTER * random.random())  # noqa: S311 - spreads load, keeps no secret


class Scheduler:
    """Runs `reconcile` for each key when it is due.

    Args:
        reconcile: one turn.
        concurrency: turns that may run at once, at least.
        urgent: whether a key's turn must not wait for room.
    """

    def __init__(
        self, reconcile: Reconcile, concurrency: int = _AT_ONCE, urgent: Callable[[Key], bool] = lambda _: False
    ) -> None:
        self._reconcile = reconcile
        self._urgent = urgent
        self._most = concurrency
        self._heap: list[tuple[float, Key]] = []
        self._first: list[tuple[float, Key]] = []
        """The same of those that are urgent."""
        self._due: dict[Key, float] = {}
        self._running: set[Key] = set()
        self._again: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._closing = False
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.alive_at = time.monotonic()

    def wake(self, key: Key, after: float = 0.0, *, urgent: bool = False) -> None:
        """Makes `key` due in `after` seconds at the latest; `urgent`: also when there is no room."""
        if key in self._running:
            # It may have read what it looks at before this came; when it ends, it says when it wants to be next.
            self._again.add(key)
            return
        known = self._due.get(key, math.inf)
        due = min(time.monotonic() + after, known)
        urgent = urgent or self._urgent(key)
        if urgent or due < known:
            self._due[key] = due
            heapq.heappush(self._first if urgent else self._heap, (due, key))
            self._changed.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self.alive_at = time.monotonic()
            wait = self._start_due()
            self._changed.clear()
            try:
                async with asyncio.timeout(min(wait, 5.0)):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def drain(self, seconds: float) -> bool:
        """Starts nothing any more, and waits at most `seconds` for the turns under way; True when all have ended."""
        self._closing = True
        if not self._tasks:
            return True
        _, left = await asyncio.wait(self._tasks, timeout=seconds)
        return not left

    def _start_due(self) -> float:
        """Starts what is due and has room; the seconds until something else is due. A turn that ends makes room."""
        now, wait = time.monotonic(), math.inf
        room = max(self._most, (len(self._due) + len(self._running)) // _SHARE)
        for heap in (self._first, self._heap):
            while heap and not self._closing:
                due, key = heap[0]
                if self._due.get(key) == due:
                    if due > now:
                        wait = min(wait, due - now)
                        break
                    if heap is self._heap and len(self._running) >= room:
                        break
                    del self._due[key]
                    self._start(key)
                heapq.heappop(heap)
        return wait

    def _start(self, key: Key) -> None:
        self._running.add(key)
        task = asyncio.create_task(self._turn(key))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _turn(self, key: Key) -> None:
        soonest, after = _SOONEST, None
        # Whatever woke it until here is seen by this turn.
        self._again.discard(key)
        try:
            if not self._closing:
                after = await self._reconcile(key)
            self._failures.pop(key, None)
        except Exception as error:  # noqa: BLE001 - one experiment's fault must not stop the others
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            after = jittered(backoff(failures))
            # Its own writes wake it too: without a pause, a look that fails after a write would never rest.
            soonest = _FIRST_BACKOFF
            known = {"namespace": key.namespace, "experiment": key.name, "retry_in": round(after, 1)}
            if isinstance(error, KubeError):  # an outage of the API server is no fault of this program
                _log.warning("look failed", error=str(error), **known)
            else:
                _log.exception("look failed", **known)
        finally:
            self._running.discard(key)
            self._changed.set()
        if key in self._again:
            self._again.discard(key)
            after = _AGAIN if after is None else min(after, _AGAIN)
        if after is not None:
            self.wake(key, max(after, soonest))
