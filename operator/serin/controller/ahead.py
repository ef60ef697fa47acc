"""Asks Prometheus shortly before the looks of a slot are due, so that hundreds of them need not wait for its answer.

The answer is fed to their tests at once. Nothing is decided by that: a look takes over what was worked out for exactly
its counts, and else works it out itself.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from itertools import chain

from serin.controller.looks import due_query, next_end
from serin.controller.measured import Measured, Slot
from serin.controller.store import Key
from serin.engine.observation import LookResult
from serin.metrics.source import MetricsSource


@dataclass(slots=True)
class Ahead:
    """One question for each slot and look. A failure is nobody's: whoever looks then asks again.

    Args:
        source: measures, and keeps the answers for those who look.
        measured: who is measured by what.
        feed: told the looks that were answered.
    """

    source: MetricsSource
    measured: Measured
    feed: Callable[[Mapping[Key, LookResult]], Awaitable[None]]
    _planned: dict[Slot, float] = field(default_factory=dict)
    """The end of the look that was last planned."""
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    def plan(self, slot: Slot, now: float) -> None:
        """Sees to it that the next look of a slot is asked for, once; `now` is Unix time.

        When the time for that has passed already, those who look ask for themselves.
        """
        ends_at, wait = next_end(now, *slot), due_query(now, *slot)
        if wait < 0 or self._planned.get(slot, 0.0) >= ends_at:
            return
        self._planned[slot] = ends_at
        task = asyncio.create_task(self._ask(slot, ends_at, time.monotonic() + wait))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask(self, slot: Slot, ends_at: float, at: float) -> None:
        await asyncio.sleep(at - time.monotonic())
        whose = dict(self.measured.users(slot, ends_at, slot.interval))
        everyone = tuple(chain.from_iterable(whose.values()))
        counts = await asyncio.gather(*(self.source.look(each, everyone, ends_at, slot.interval) for each in everyone))
        told = iter(counts)
        looks = {key: {each.service: next(told) for each in targets} for key, targets in whose.items()}
        await self.feed({key: LookResult(ends_at, slot.interval, services) for key, services in looks.items()})
