"""Asks Prometheus shortly before the looks of a slot are due, so that hundreds of them need not wait for its answer."""

import asyncio
import time
from dataclasses import dataclass, field

from serin.controller.looks import due_query, next_end
from serin.controller.measured import Measured, Slot
from serin.metrics.source import MetricsSource


@dataclass(slots=True)
class Ahead:
    """One question for each slot and look. A failure is nobody's: whoever looks then asks again.

    Args:
        source: measures, and keeps the answers for those who look.
        measured: who is measured by what.
    """

    source: MetricsSource
    measured: Measured
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
        everyone = tuple(self.measured.who(slot, ends_at, slot.interval))
        asked = (self.source.look(each, everyone, ends_at, slot.interval) for each in everyone)
        await asyncio.gather(*asked)
