"""How a service protects itself: readiness, shedding, deadlines, drains, and what it writes down."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from contextlib import redirect_stdout
from typing import Any

import pytest
import structlog
from sqlalchemy import MetaData

from serin_recommendation.engines import Query, Ranking
from serin_recommendation.routes import get_engine
from serin_services import logs
from serin_services.database import Database
from serin_services.settings import DatabaseSettings

PATH = "/api/v2/recommend/personalized"
BODY = {"user_id": "u-0001", "limit": 3}


class Slow:
    """An engine that waits until it is let go."""

    name = version = "slow"
    model_age = 0.0

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def recommend(self, query: Query) -> Ranking:
        """Answer with nothing, when allowed."""
        del query
        await self.go.wait()
        return Ranking(())


async def test_a_full_process_sheds(recommendation: Any) -> None:
    """Beyond the limit a request gets 503 with Retry-After at once; the others are served, and so are probes."""
    async with recommendation(max_inflight=2) as client:
        slow = Slow()
        client._transport.app.dependency_overrides[get_engine] = lambda: slow
        held = [asyncio.create_task(client.post(PATH, json=BODY)) for _ in range(2)]
        await asyncio.sleep(0.05)
        shed = await client.post(PATH, json=BODY)
        assert (await client.get("/readyz")).status_code == 200
        slow.go.set()
        served = [(await task).status_code for task in held]
        after = await client.post(PATH, json=BODY)
    assert (shed.status_code, shed.headers["retry-after"]) == (503, "1")
    assert shed.headers["content-type"] == "application/problem+json"
    assert served == [200, 200]
    assert after.status_code == 200


async def test_a_timeout_is_a_504(recommendation: Any) -> None:
    """An answer that takes too long ends as a problem document, and its slot is free again."""
    async with recommendation(timeout=0.05, max_inflight=1) as client:
        client._transport.app.dependency_overrides[get_engine] = Slow
        answers = [await client.post(PATH, json=BODY) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [504, 504]
    assert answers[0].json()["detail"] == "No answer within 0.05 s."


@pytest.mark.parametrize("announced", [True, False])
async def test_a_large_body_is_refused(recommendation: Any, *, announced: bool) -> None:
    """Whether or not its length is announced, a body beyond the limit is a 413 problem document."""
    content = b'{"user_id": "' + b"x" * 70000 + b'"}'

    async def chunks() -> Any:
        yield content[:40000]
        yield content[40000:]

    async with recommendation() as client:
        response = await client.post(
            PATH, content=content if announced else chunks(), headers={"content-type": "application/json"}
        )
    assert response.status_code == 413
    assert response.headers["content-type"] == "application/problem+json"


async def test_a_draining_process_serves_and_sends_clients_away(recommendation: Any) -> None:
    """While it drains readiness is off, requests still work, and answers ask to close the connection."""
    async with recommendation() as client:
        before = await client.post(PATH, json=BODY)
        client._transport.app.state.runtime.lifecycle.drain()
        ready, during = await client.get("/readyz"), await client.post(PATH, json=BODY)
        alive = await client.get("/livez")
    assert "connection" not in before.headers
    assert (ready.status_code, ready.json()["missing"]) == (503, ["draining"])
    assert (during.status_code, during.headers["connection"]) == (200, "close")
    assert alive.status_code == 200


async def test_readiness_waits_for_the_database(conversation: Any) -> None:
    """A pod whose database was never reached is alive, not ready, and answers 503 with Retry-After."""
    async with conversation() as client:
        runtime = client._transport.app.state.runtime
        runtime.database.ready = False
        ready, alive = await client.get("/readyz"), await client.get("/livez")
        asked = await client.post("/api/v2/conversations/start", json={"user_id": "u-1"})
        health = (await client.get("/api/v2/health")).json()
    assert (ready.status_code, ready.json()["missing"]) == (503, ["database"])
    assert alive.status_code == 200
    assert (asked.status_code, asked.headers["retry-after"]) == (503, "1")
    assert (health["status"], health["database"]["reachable"]) == ("degraded", False)


async def test_a_database_that_comes_late_is_waited_for(tmp_path: Any) -> None:
    """Opening goes on until the database is there; meanwhile nobody is blocked."""
    folder = tmp_path / "later"
    database = Database(DatabaseSettings(url=f"sqlite+aiosqlite:///{folder / 'serin.db'}"), MetaData(), "test")
    await database.open()
    await asyncio.sleep(0.1)
    assert not database.ready
    folder.mkdir()
    await asyncio.wait_for(database.wait_until_ready(), 10)
    assert database.ready
    assert await database.ping() < 1
    await database.close()


async def test_health_tells_what_runs(conversation: Any) -> None:
    """Health names engine, variant, version and the database's state."""
    async with conversation(engine="phase4", variant="canary", version="2.0.1") as client:
        health = (await client.get("/api/v2/health")).json()
    assert (health["status"], health["variant"], health["version"]) == ("ok", "canary", "2.0.1")
    assert health["engine"]["name"] == "phase4"
    assert (health["database"]["kind"], health["database"]["reachable"]) == ("sqlite", True)


async def test_answers_name_variant_engine_and_request(recommendation: Any) -> None:
    """A load generator and a person can tell who answered; a good request id is kept, a bad one replaced."""
    async with recommendation(engine="phase4", variant="canary") as client:
        kept = await client.post(PATH, json=BODY, headers={"x-request-id": "abc-123"})
        replaced = await client.post(PATH, json=BODY, headers={"x-request-id": 'x" evil'})
    assert (kept.headers["x-serin-variant"], kept.headers["x-serin-engine"]) == ("canary", "phase4")
    assert kept.headers["x-request-id"] == "abc-123"
    assert len(replaced.headers["x-request-id"]) == 32


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """Give what the configured logs write, and put everything back."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    output = io.StringIO()
    with redirect_stdout(output):
        logs.configure("debug")
        yield output
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


async def test_logs_hold_no_user_id_and_no_message(conversation: Any, written: io.StringIO) -> None:
    """Lines are JSON with request id and user hash; neither ids nor texts are in them, not even after an error."""
    async with conversation(engine="phase4", log_level="debug") as client:
        headers = {"x-user-id": "u-7351", "x-request-id": "request-1"}
        started = await client.post("/api/v2/conversations/start", json={"user_id": "u-7351"}, headers=headers)
        path = f"{started.headers['location']}/messages"
        await client.post(path, json={"text": "my diagnosis is secret"}, headers=headers)
        await client.post(path, json={"text": "my diagnosis is secret", "x": 1}, headers=headers)
        client._transport.app.state.engine = None
        broken = await client.post(path, json={"text": "my diagnosis is secret"}, headers=headers)
    assert broken.status_code == 500
    text = written.getvalue()
    lines = [json.loads(line) for line in text.splitlines()]
    asked = [line for line in lines if line["event"] == "request" and line.get("request_id") == "request-1"]
    assert len(asked) == 4
    assert len({line["user"] for line in asked}) == 1
    assert "unexpected error" in {line["event"] for line in lines}
    for secret in ("u-7351", "diagnosis"):
        assert secret not in text
