"""Collects what is to be decided at the same moment: looks of a slot get their counts from one answer of Prometheus."""

import asyncio
import time
from typing import Final

from serin.api.spec import InvalidSpecError, Spec
from serin.api.status import Status
from serin.controller.instruments import METRICS
from serin.engine.decision import Decision
from serin.engine.observation import Observation
from serin.engine.tested import Fed
from serin.engine.together import Question, decide_all

AT_ONCE: Final = 50
"""Decisions in one pass: more gain nothing, and the event loop has other things to do."""
_BETWEEN: Final = 50
"""Turns of the event loop between two passes. Kopf needs one or two for each object of a list: with one for each pass,
which takes a tenth of a second, a list of thousands takes longer than the API server knows how to go on with it."""


async def between() -> None:
    """Lets everybody else do what they have to, after a pass."""
    for _ in range(_BETWEEN):
        await asyncio.sleep(0)


class Together:
    """Decides for everybody who asks in the same pass of the event loop."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Question, asyncio.Future[Decision]]] = []
        self._passes: asyncio.Task[None] | None = None

    async def decide(
        self, spec: Spec | InvalidSpecError, status: Status, observation: Observation, now: float, fed: Fed | None
    ) -> Decision:
        """As `serin.engine.decide.decide`; `fed` is its first look, if that was fed beforehand."""
        answer: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
        self._waiting.append((Question(spec, status, observation, now, fed), answer))
        if self._passes is None or self._passes.done():
            self._passes = asyncio.create_task(self._work())
        return await answer

    async def _work(self) -> None:
        """Passes, until nobody waits."""
        self._decide()
        while self._waiting:
            await between()
            self._decide()

    def _decide(self) -> None:
        waiting, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
        begun = time.monotonic()
        found = decide_all([question for question, _ in waiting])
        METRICS.took("decide", (time.monotonic() - begun) / len(waiting), len(waiting))
        for (_, answer), decision in zip(waiting, found, strict=True):
            if answer.cancelled():
                continue
            if isinstance(decision, Exception):
                answer.set_exception(decision)
            else:
                answer.set_result(decision)
