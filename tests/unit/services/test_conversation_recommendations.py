"""Asking the recommendation service, whatever it does: over real HTTP, from a server that misbehaves on demand."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from prometheus_client import CollectorRegistry

from serin_conversation.recommendations import Breaker, Limits, Recommendations
from serin_services.caches import TtlCache

GOOD = {
    "items": [{"item_id": "item-0001", "title": "The Quiet Harbour", "genres": ["comedy"], "score": 0.5, "rank": 1}]
}
LIMITS = Limits(attempt=0.5, budget=2.0, failures=3, pause=300.0)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Other:
    """The other service, and who asks it."""

    def __init__(self) -> None:
        self.plan: list[Any] = []
        self.bodies: list[dict[str, Any]] = []
        self.registry = CollectorRegistry()
        self.cache: TtlCache[str, Any] = TtlCache(100, 60.0)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Do what is planned: a status, a pause in seconds, or a body; then answer well."""
        self.bodies.append(await request.json())
        step = self.plan.pop(0) if self.plan else None
        if isinstance(step, int):
            return web.json_response({"title": "no"}, status=step)
        if isinstance(step, float):
            await asyncio.sleep(step)
        return web.json_response(step if isinstance(step, dict) else GOOD)

    def calls(self, result: str) -> float | None:
        """Return how many questions ended so."""
        return self.registry.get_sample_value("serin_recommendation_calls_total", {"result": result})


@pytest_asyncio.fixture
async def other() -> AsyncIterator[Other]:
    """Run a server on a free port."""
    found = Other()
    app = web.Application()
    app.router.add_post("/api/v2/recommend/personalized", found.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    found.asker = Recommendations(f"http://127.0.0.1:{port}/", LIMITS, found.cache, found.registry)  # type: ignore[attr-defined]
    await found.asker.open()  # type: ignore[attr-defined]
    yield found
    await found.asker.close()  # type: ignore[attr-defined]
    await runner.cleanup()


async def test_items_are_asked_for_once_a_user(other: Any) -> None:
    """The answer is kept: the next turns of a conversation choose from it."""
    first = await other.asker.top("u-1")
    assert [(item.item_id, item.genres) for item in first] == [("item-0001", ("comedy",))]
    assert await other.asker.top("u-1") == first
    assert other.bodies == [{"user_id": "u-1", "limit": 50}]
    assert other.calls("answered") == 1


@pytest.mark.parametrize("plan", [[503], [500, 503], [429], [1.0]])
async def test_a_moment_of_trouble_is_tried_again(other: Any, plan: list[Any]) -> None:
    """Errors of the server, overload and a slow answer are transient: the question reads only, so it is asked again."""
    other.plan = list(plan)
    assert await other.asker.top("u-1") is not None
    assert len(other.bodies) == len(plan) + 1
    assert other.calls("answered") == 1


async def test_nobody_waits_longer_than_the_budget(other: Any) -> None:
    """A service that hangs costs the budget, however many attempts are left, and no error."""
    other.plan = [30.0] * 9
    begin = time.perf_counter()
    assert await other.asker.top("u-1") is None
    assert time.perf_counter() - begin < LIMITS.budget + 3.0
    assert other.calls("unavailable") == 1


@pytest.mark.parametrize("answer", [{"items": "none"}, {"items": [{"item_id": 3}]}, {}, 422, 404])
async def test_an_answer_that_makes_no_sense_is_not_asked_for_again(other: Any, answer: Any) -> None:
    """Another attempt would get the same."""
    other.plan = [answer]
    assert await other.asker.top("u-1") is None
    assert len(other.bodies) == 1
    assert other.calls("refused") == 1


async def test_after_three_failures_nobody_is_kept_waiting(other: Any) -> None:
    """The fourth question is answered at once, without asking."""
    other.plan = [503] * 100
    for user in range(3):
        assert await other.asker.top(f"u-{user}") is None
    asked = len(other.bodies)
    assert await other.asker.top("u-3") is None
    assert len(other.bodies) == asked
    assert other.calls("skipped") == 1


async def test_a_service_that_is_not_there_is_no_error() -> None:
    """Nobody listens on the address."""
    asker = Recommendations("http://127.0.0.1:9", LIMITS, TtlCache(1, 1.0), CollectorRegistry())
    await asker.open()
    try:
        assert await asker.top("u-1") is None
    finally:
        await asker.close()


def test_the_breaker_lets_one_question_through_after_its_pause() -> None:
    """Three failures close the way for the pause; then one finds out, and its answer opens it for all."""
    now = 100.0
    breaker = Breaker(Limits(failures=3, pause=5.0), clock=lambda: now)
    for _ in range(2):
        breaker.note(answered=False)
        assert breaker.allows()
    breaker.note(answered=False)
    assert not breaker.allows()
    now = 105.0
    assert [breaker.allows(), breaker.allows()] == [True, False]
    breaker.note(answered=False)
    now = 109.0
    assert not breaker.allows()
    now = 110.0
    assert breaker.allows()
    breaker.note(answered=True)
    assert [breaker.allows() for _ in range(3)] == [True] * 3
