"""What suits a user, asked of the recommendation service.

That service may be slow, overloaded or away, and the conversation goes on without it: each question has a budget,
repeats are few and random, and after some failures in a row nobody is kept waiting for a while. No connection of the
database is held meanwhile. (The breaker is a counter and a moment: a package for it would bring storages and listeners
that nothing here needs.)
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import aiohttp
import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram
from pydantic import BaseModel, ValidationError

from serin_conversation.engines import Item
from serin_services.caches import TtlCache
from serin_services.retry import retried

MOST_ITEMS: Final = 50
"""Enough to choose a genre from, and to go on for some turns without asking again."""
_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8)
_SERVER_ERROR: Final = 500
_TOO_MANY: Final = 429

log = structlog.get_logger("recommendations")

Items = tuple[Item, ...]


class _RankedItem(BaseModel):
    item_id: str
    title: str
    genres: tuple[str, ...]
    score: float


class _Ranking(BaseModel):
    """What is read of the other service's answer; it may say more."""

    items: list[_RankedItem]
    recommendation_id: str = ""


class UnavailableError(Exception):
    """The recommendation service gave no answer; another attempt may get one."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long somebody is kept waiting.

    Attributes:
        attempt: Seconds for one attempt.
        budget: Seconds for all attempts and pauses together.
        failures: Questions in a row without an answer, after which none is asked for a while.
        pause: Seconds of that while; then one question finds out.
    """

    attempt: float = 0.25
    budget: float = 0.6
    failures: int = 3
    pause: float = 5.0


class Breaker:
    """Stops asking somebody who does not answer.

    Args:
        limits: After how many failures, and for how long.
        clock: Monotonic seconds; a test passes its own.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._failed = 0
        self._closed_again_at = 0.0

    def allows(self) -> bool:
        """Say whether a question may be asked; during a pause none, after it one at a time."""
        if self._failed < self._limits.failures:
            return True
        if self._clock() < self._closed_again_at:
            return False
        self._closed_again_at = self._clock() + self._limits.pause
        return True

    def note(self, *, answered: bool) -> None:
        """Take note of how a question ended."""
        if answered:
            self._failed = 0
            return
        self._failed += 1
        if self._failed >= self._limits.failures:
            self._closed_again_at = self._clock() + self._limits.pause


class Recommendations:
    """Asks the recommendation service; one object a process.

    Exports `serin_recommendation_calls_total{result}` (answered, unavailable, refused, skipped) and
    `serin_recommendation_call_seconds`.

    Args:
        url: Address of the service.
        limits: How long somebody is kept waiting.
        cache: Keeps the items of a user for some turns.
        registry: Where the series go.
    """

    def __init__(self, url: str, limits: Limits, cache: TtlCache[str, Items], registry: CollectorRegistry) -> None:
        self._url = f"{url.rstrip('/')}/api/v2/recommend/personalized"
        self._limits = limits
        self._cache = cache
        self._breaker = Breaker(limits)
        self._calls = Counter(
            "serin_recommendation_calls_total", "Questions by how they ended.", ("result",), registry=registry
        )
        for result in ("answered", "unavailable", "refused", "skipped"):
            self._calls.labels(result)
        self._seconds = Histogram(
            "serin_recommendation_call_seconds", "Time of a question.", buckets=_BUCKETS, registry=registry
        )
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Make the pool of connections; inside the event loop."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=20, keepalive_timeout=30),
            timeout=aiohttp.ClientTimeout(total=self._limits.attempt),
        )

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def top(self, user_id: str) -> Items | None:
        """Return what suits a user, best first; None when the service gives no answer in time."""
        try:
            return await self._cache.get_or_load(user_id, lambda: self._ask(user_id))
        except UnavailableError:
            return None

    async def _ask(self, user_id: str) -> Items:
        if not self._breaker.allows():
            self._calls.labels("skipped").inc()
            raise UnavailableError("it did not answer before")
        with self._seconds.time():
            return await self._watched(partial(self._post, user_id))

    async def _watched(self, ask: Callable[[], Awaitable[Items]]) -> Items:
        """Ask within the budget, and tell the breaker and the series how it ended."""
        transient = (UnavailableError, aiohttp.ClientConnectionError, TimeoutError)
        try:
            items = await retried(ask, budget=self._limits.budget, attempts=3, transient=transient)
        except (UnavailableError, aiohttp.ClientError, TimeoutError) as error:
            self._breaker.note(answered=False)
            self._calls.labels("unavailable").inc()
            log.warning("no recommendations", error=type(error).__name__)
            raise UnavailableError("no answer within the budget") from error
        except ValidationError as error:
            # An answer that can't be read is no outage: asking again, or pausing, would not help.
            self._calls.labels("refused").inc()
            log.warning(
                "an answer that can't be read", fields=[".".join(map(str, e["loc"])) for e in error.errors()][:5]
            )
            raise UnavailableError("an answer that can't be read") from error
        self._breaker.note(answered=True)
        self._calls.labels("answered").inc()
        return items

    async def _post(self, user_id: str) -> Items:
        assert self._session is not None
        body: dict[str, Any] = {"user_id": user_id, "limit": MOST_ITEMS}
        # It reads only, so asking twice is as good as once; a sticky gateway chooses the variant by the header.
        async with self._session.post(self._url, json=body, headers={"x-user-id": user_id}) as response:
            if response.status >= _SERVER_ERROR or response.status == _TOO_MANY:
                raise UnavailableError(f"status {response.status}")
            ranking = _Ranking.model_validate_json(await response.read())
        return tuple(
            Item(item.item_id, item.title, item.genres, item.score, ranking.recommendation_id) for item in ranking.items
        )
