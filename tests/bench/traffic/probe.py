"""An open-loop load that keeps, for each request, when it was due, who answered and whether all was well.

The load of `tests.load` sums up; here the moment of each answer is what is measured.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import aiohttp

PATH = "/api/v2/recommend/personalized"
VARIANT = "x-serin-variant"
_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Answer:
    """One request.

    Attributes:
        due: `time.monotonic()` at which it was to be sent; it counts from then.
        variant: Who answered, or an empty text.
        trouble: What went wrong, or an empty text: a status of 500 or more, or the name of an exception.
    """

    due: float
    variant: str
    trouble: str


@dataclass(slots=True)
class Probe:
    """Sends until it is stopped.

    Args:
        url: Base address.
        rate: Requests a second, at equal gaps.
        keep: Whether connections are kept, as a browser does; a NodePort chooses a pod for each connection.
        user: Header `x-user-id` of every request; empty: none.
    """

    url: str
    rate: float
    keep: bool = True
    user: str = ""
    answers: list[Answer] = field(default_factory=list)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _task: "asyncio.Task[None] | None" = None

    async def __aenter__(self) -> Self:
        """Begin."""
        self._task = asyncio.create_task(self._send_all())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop, and wait for what is under way."""
        self._stop.set()
        assert self._task is not None
        await self._task

    @property
    def lost(self) -> Counter[str]:
        """Requests that nobody answered well, by what went wrong."""
        return Counter(each.trouble for each in self.answers if each.trouble)

    def sentence(self) -> str:
        """Return what was lost and when, for whoever has to find out why."""
        first = self.answers[0].due if self.answers else 0.0
        when = ", ".join(f"{each.trouble} after {each.due - first:.2f} s" for each in self.answers if each.trouble)
        return f"{self.lost.total()} of {len(self.answers):,} requests lost: {when}"

    def since(self, moment: float) -> list[Answer]:
        """Return what was due after a moment and has ended, in the order in which it was due."""
        return sorted((each for each in self.answers if each.due >= moment), key=lambda each: each.due)

    async def _send_all(self) -> None:
        connector = aiohttp.TCPConnector(limit=0, force_close=not self.keep)
        async with aiohttp.ClientSession(connector=connector) as session:
            begun, number, under_way = time.monotonic(), 0, set()
            while not self._stop.is_set():
                due = begun + number / self.rate
                number += 1
                if (pause := due - time.monotonic()) > 0:
                    await asyncio.sleep(pause)
                task = asyncio.create_task(self._send(session, due))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            if under_way:
                await asyncio.wait(under_way)

    async def _send(self, session: aiohttp.ClientSession, due: float) -> None:
        variant, trouble = await ask(session, self.url, self.user)
        self.answers.append(Answer(due, variant, trouble))


async def ask(session: aiohttp.ClientSession, url: str, user: str) -> tuple[str, str]:
    """Return (variant, trouble) of one request.

    It is a GET of an endpoint that takes POST: every pod answers it at once with 405 and its variant, so what is
    measured is the way to a pod and not the work of an engine.
    """
    headers = {"x-user-id": user} if user else {}
    try:
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT)
        async with session.get(url + PATH, headers=headers, timeout=timeout) as answer:
            await answer.read()
            variant = answer.headers.get(VARIANT, "")
            bad = answer.status >= 500 or not variant
            # Which of the two answered tells a pod's fault from the gateway's.
            return variant, f"http {answer.status} by {variant or 'the gateway'}" if bad else ""
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        return "", type(error).__name__


async def variants(url: str, users: Sequence[str], *, at_once: int = 20) -> list[str]:
    """Return who answers each user.

    Raises:
        RuntimeError: a request failed.
    """
    async with aiohttp.ClientSession() as session:
        # Their time runs from when they are sent, not from when they begin to wait for a free connection.
        free = asyncio.Semaphore(at_once)

        async def one(user: str) -> tuple[str, str]:
            async with free:
                return await ask(session, url, user)

        answers = await asyncio.gather(*(one(user) for user in users))
    if troubles := Counter(trouble for _, trouble in answers if trouble):
        raise RuntimeError(f"requests failed: {dict(troubles)}")
    return [variant for variant, _ in answers]
