"""Asks Prometheus shortly before the looks of a slot are due, so that hundreds of them need not wait for its answer.

The answer is fed to their tests at once. Nothing is decided by that: a look takes over what was worked out for exactly
its counts, and else works it out itself.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import chain

import structlog

from serin.controller.looks import ahead, due_query, next_end
from serin.controller.measured import Measured, Slot
from serin.controller.store import Key
from serin.controller.together import AT_ONCE, between
from serin.engine.observation import LookResult
from serin.metrics.source import MetricsSource

_log = structlog.get_logger("serin.ahead")


@dataclass(slots=True)
class Ahead:
    """One question for each slot and look. A failed measurement is nobody's: whoever looks then asks again.

    Args:
        source: measures, and keeps the answers for those who look.
        measured: who is measured by what.
        feed: told the looks that were answered.
    """

    source: MetricsSource
    measured: Measured
    feed: Callable[[Mapping[Key, LookResult]], None]
    _planned: dict[Slot, float] = field(default_factory=dict)
    """The end of the look that waits for its time."""
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    def plan(self, slot: Slot, now: float) -> None:
        """Sees to it that the next look of a slot is asked for, once; `now` is Unix time.

        When the time for that has passed already, those who look ask for themselves.
        """
        ends_at, wait = next_end(now, *slot), due_query(now, *slot)
        if wait < 0 or not ahead(slot.interval) or self._planned.get(slot) == ends_at:
            return
        self._planned[slot] = ends_at
        task = asyncio.create_task(self._ask(slot, ends_at, time.monotonic() + wait))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def close(self) -> None:
        """Asks no more."""
        for task in self._tasks:
            task.cancel()

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("asking ahead failed", exc_info=error)

    async def _ask(self, slot: Slot, ends_at: float, at: float) -> None:
        await asyncio.sleep(at - time.monotonic())
        if self._planned.get(slot) == ends_at:
            del self._planned[slot]
        whose, due = self.measured.next(slot, ends_at), at + ahead(slot.interval)
        everyone = tuple(chain.from_iterable(whose.values()))
        if not everyone:
            return
        # One Prometheus that is slow must not keep the others' answers.
        counts = await self.source.looks(everyone, ends_at, slot.interval, due - time.monotonic())
        answered = [
            (key, LookResult(ends_at, slot.interval, {each.service: counts[each] for each in targets}))
            for key, targets in whose.items()
            if all(each in counts for each in targets)
        ]
        for begin in range(0, len(answered), AT_ONCE):
            if time.monotonic() >= due:
                return  # they look already, and would work it out a second time
            self.feed(dict(answered[begin : begin + AT_ONCE]))
            await between()
