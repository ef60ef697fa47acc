"""The conversation service as its image runs it: what it logs, what it does when others are slow, down or locked."""

import asyncio
import time
from typing import Any

import aiohttp
import pytest
import sqlalchemy as sa

from serin_conversation.schema import metadata, sessions
from serin_services.database import Database
from serin_services.settings import DatabaseSettings

PRIVATE_TEXT = "Recommend me a comedy, my friend Wilhelmina-Quetzal is coming"
PRIVATE_USER = "user-Xerxes-4711"

PATIENT = {"recommendation_timeout": "5s", "recommendation_budget": "9s"}


async def begin(http: aiohttp.ClientSession, url: str, user_id: str = "u-0042") -> str:
    """Begin a conversation and return its address."""
    async with http.post(f"{url}/api/v2/conversations/start", json={"user_id": user_id}) as response:
        assert response.status == 201, await response.text()
        return f"{url}{response.headers['location']}"


async def say(http: aiohttp.ClientSession, path: str, text: str) -> dict[str, Any]:
    """Say something and return the answer."""
    async with http.post(f"{path}/messages", json={"text": text}) as response:
        assert response.status == 200, await response.text()
        answer: dict[str, Any] = await response.json()
        return answer


async def test_neither_texts_nor_users_are_ever_logged(
    start: Any, postgres: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    """At the most talkative level, with bad bodies, an outage, and no recommendations: only the hash."""
    process, url = start(
        "conversation",
        database_url=postgres.url,
        engine="phase4",
        log_level="debug",
        recommendation_url="http://127.0.0.1:9",
    )
    headers = {"x-user-id": PRIVATE_USER}
    async with aiohttp.ClientSession(headers=headers) as http:
        path = await begin(http, url, PRIVATE_USER)
        assert (await say(http, path, PRIVATE_TEXT))["missing_parts"] == ["recommendation"]
        for body in ({"text": PRIVATE_TEXT, PRIVATE_USER: 1}, {"text": PRIVATE_TEXT * 99}, {"text": [PRIVATE_TEXT]}):
            async with http.post(f"{path}/messages", json=body) as response:
                assert response.status == 422
                assert PRIVATE_TEXT not in await response.text()
        async with http.post(f"{path}/feedback", json={"rating": 1, "comment": PRIVATE_TEXT}) as response:
            assert response.status == 200
        postgres.stop()
        async with http.post(f"{path}/messages", json={"text": PRIVATE_TEXT}) as response:
            assert response.status == 503
    process.terminate()
    written = "".join(capfd.readouterr())
    assert '"user":' in written, "requests carry the user's hash"
    assert "Wilhelmina" not in written
    assert PRIVATE_USER not in written


async def test_recommendations_come_from_the_real_service(start: Any) -> None:
    """Phase 4 offers what the recommendation service ranks for this user, and goes on when that is stopped."""
    # Two rankings are the same only if no part of either is late.
    budgets = {f"budget_{part}": "10s" for part in ("collaborative", "content", "persona")}
    other, other_url = start("recommendation", engine="phase4", **budgets)
    _, url = start("conversation", engine="phase4", recommendation_url=other_url, **PATIENT)
    async with aiohttp.ClientSession() as http:
        path = await begin(http, url)
        answer = await say(http, path, "Recommend me a comedy")
        ranking = {"user_id": "u-0042", "limit": 50}
        async with http.post(f"{other_url}/api/v2/recommend/personalized", json=ranking) as response:
            ranked = (await response.json())["items"]
        fitting = [item["item_id"] for item in ranked if "comedy" in item["genres"]]
        assert [item["item_id"] for item in answer["items"]] == fitting[:3]
        assert len(fitting) >= 3
        assert answer["missing_parts"] == []
        feedback = {
            "user_id": "u-0042",
            "recommendation_id": answer["items"][0]["recommendation_id"],
            "events": [{"item_id": fitting[0], "event": "clicked"}],
        }
        async with http.post(f"{other_url}/api/v2/recommend/feedback", json=feedback) as response:
            assert response.status == 200, "what a chat offers can be judged like any ranking"
        other.kill()
        other.wait()
        again = await begin(http, url, "u-0043")
        lost = await say(http, again, "Recommend me a thriller")
        assert (lost["items"], lost["missing_parts"]) == ([], ["recommendation"])
        assert lost["slots"] == {"genre": "thriller"}
        async with http.get(f"{path}?limit=1") as response:
            [turn] = (await response.json())["history"]
        assert turn["items"] == answer["items"], "what was offered is in the history"


async def test_a_slow_recommendation_service_costs_its_budget_and_not_the_answer(start: Any) -> None:
    """Half a minute of somebody else's latency is at most the budget here; after three times nobody waits for it."""
    _, other_url = start("recommendation", engine="phase3", fault_latency="30s")
    _, url = start("conversation", engine="phase4", recommendation_url=other_url)
    async with aiohttp.ClientSession() as http:
        began = time.perf_counter()
        for user in range(6):
            answer = await say(http, await begin(http, url, f"u-{user:04d}"), "Recommend me a comedy")
            assert answer["missing_parts"] == ["recommendation"]
        seconds = time.perf_counter() - began
        async with http.get(f"{url}/metrics") as response:
            scraped = await response.text()
    assert seconds < 15, "three times the budget of 0.6 s, and six answers"
    assert 'serin_recommendation_calls_total{result="unavailable"} 3.0' in scraped
    assert 'serin_recommendation_calls_total{result="skipped"} 3.0' in scraped


async def test_a_locked_conversation_is_a_504_and_nothing_is_written(start: Any, postgres_url: str) -> None:
    """Whoever waits longer than the timeout gets an answer, and the message is in no history."""
    _, url = start("conversation", engine="phase4", database_url=postgres_url, timeout="3s")
    database = Database(DatabaseSettings(url=postgres_url), metadata, "test")
    async with aiohttp.ClientSession() as http:
        path = await begin(http, url)
        async with database.engine.begin() as connection:
            await connection.execute(sa.select(sessions.c.id).with_for_update())
            async with http.post(f"{path}/messages", json={"text": "hello"}) as response:
                assert response.status == 504
                assert response.content_type == "application/problem+json"
        answers = await asyncio.gather(*(say(http, path, f"number {n}") for n in range(3)))
        assert sorted(answer["turn"] for answer in answers) == [1, 2, 3]
    await database.close()
