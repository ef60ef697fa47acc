"""Work that goes on beside the requests: cleaning caches, old rows, sums for the A/B goals.

One owner for such tasks, so that an error in one of them is counted and tried again instead of ending it unseen, and
none outlives the process's shutdown.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable

import structlog
from prometheus_client import CollectorRegistry, Counter

Work = Callable[[], Awaitable[None]]

log = structlog.get_logger("background")


class Background:
    """Periodic tasks of one process.

    Args:
        registry: Gets `serin_background_errors_total{task}`.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._errors = Counter(
            "serin_background_errors_total", "Periodic tasks that failed once.", ("task",), registry=registry
        )
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def every(self, seconds: float, work: Work, *, name: str, first: float | None = None) -> None:
        """Do `work` again and again; call it while the event loop runs.

        Args:
            seconds: Pause between two runs. Each differs by up to a tenth: pods that start together don't stay in step.
            work: What to do; an error is logged and counted, and the next run comes as usual.
            name: Label of its errors.
            first: Pause before the first run; a random part of `seconds` when not given.
        """
        if name in self._tasks:
            raise ValueError(f"there is a periodic task {name!r} already")
        self._errors.labels(name)
        pause = seconds * random.random() if first is None else first  # noqa: S311 - no secret
        self._tasks[name] = asyncio.create_task(self._repeat(seconds, work, name, pause), name=name)

    async def _repeat(self, seconds: float, work: Work, name: str, pause: float) -> None:
        while True:
            await asyncio.sleep(pause)
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - whatever it is, the next run may work
                self._errors.labels(name).inc()
                log.warning("a periodic task failed", task=name, error=type(error).__name__, reason=str(error)[:200])
            pause = seconds * random.uniform(0.9, 1.1)  # noqa: S311 - no secret

    async def close(self) -> None:
        """Cancel all tasks and wait for their end."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
