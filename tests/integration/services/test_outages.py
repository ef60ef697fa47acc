"""Faults under load, with real processes on a real PostgreSQL: what clients see, and what is left afterwards."""

import asyncio
import contextlib
import subprocess
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import asyncpg
import pytest

from tests.integration.services.draining import stopped_under_load
from tests.integration.services.writers import Ledger, history, talk
from tests.load import Plan, Target, run

WRITERS = 6
ENGINES = ("phase3", "phase4")


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """Give a client."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15)) as client:
        yield client


@contextlib.asynccontextmanager
async def writing(session: aiohttp.ClientSession, urls: list[str]) -> AsyncIterator[Ledger]:
    """Let clients write as long as the block runs, and let each finish its last message."""
    ledger, stop = Ledger(), asyncio.Event()
    clients = [asyncio.create_task(talk(session, urls, ledger, stop)) for _ in range(WRITERS)]
    try:
        yield ledger
        stop.set()
        await asyncio.wait_for(asyncio.gather(*clients), 60)
    finally:
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)


async def until(ledger: Ledger, total: int) -> None:
    """Wait until so many messages are acknowledged."""
    async with asyncio.timeout(60):
        while ledger.total < total:  # noqa: ASYNC110 - the ledger is plain data
            await asyncio.sleep(0.05)


async def assert_nothing_lost(session: aiohttp.ClientSession, url: str, ledger: Ledger) -> None:
    """Compare what is stored with what was acknowledged: each message once, in order."""
    for conversation, said in ledger.acknowledged.items():
        assert await history(session, url, conversation) == said


async def test_postgresql_stops_under_load_and_comes_back(
    start: Any, postgres: Any, session: aiohttp.ClientSession
) -> None:
    """While it is away answers are 503 with Retry-After; then the same processes serve on, nothing lost or double."""
    processes = [start("conversation", database_url=postgres.url, engine=engine) for engine in ENGINES]
    urls = [url for _, url in processes]
    async with writing(session, urls) as ledger:
        for _ in range(2):
            await until(ledger, ledger.total + 60)
            await asyncio.to_thread(postgres.stop)
            before = ledger.statuses[503]
            await asyncio.sleep(1.5)
            assert ledger.statuses[503] - before >= WRITERS
            await asyncio.to_thread(postgres.start)
            await until(ledger, ledger.total + 60)
    assert set(ledger.statuses) == {200, 503}
    assert ledger.wrong == []
    assert all(process.poll() is None for process, _ in processes)
    await assert_nothing_lost(session, urls[0], ledger)


async def test_rankings_survive_an_outage_of_the_database(
    start: Any, postgres: Any, session: aiohttp.ClientSession
) -> None:
    """Without its database the recommendation service answers within its time: a ranking, or a 503 with Retry-After."""
    process, url = start("recommendation", database_url=postgres.url, engine="phase4")

    async def ask(user: str) -> tuple[int, float]:
        begin = time.monotonic()
        async with session.post(f"{url}/api/v2/recommend/personalized", json={"user_id": user}) as response:
            assert response.status == 200 or "retry-after" in response.headers
            return response.status, time.monotonic() - begin

    assert (await ask("u-0001"))[0] == 200
    await asyncio.to_thread(postgres.stop)
    during = await asyncio.gather(*(ask(f"u-{number:04d}") for number in range(20)))
    assert {status for status, _ in during} <= {200, 503}
    assert max(seconds for _, seconds in during) < 5.0
    await asyncio.to_thread(postgres.start)
    assert {status for status, _ in [await ask(f"u-{number:04d}") for number in range(10)]} == {200}
    assert process.poll() is None


async def test_an_exhausted_pool_refuses_and_recovers(
    start: Any, postgres: Any, session: aiohttp.ClientSession
) -> None:
    """While somebody holds a lock, all connections wait: more requests get their 503 soon; later all are served."""
    settings = {"database_pool_size": "2", "database_pool_overflow": "0", "database_pool_timeout": "300ms"}
    _, url = start("conversation", database_url=postgres.url, **settings)
    path = f"{url}/api/v2/conversations/start"

    async def ask() -> tuple[int, float, Any]:
        begin = time.monotonic()
        async with session.post(path, json={"user_id": "u-1"}) as response:
            return response.status, time.monotonic() - begin, response.headers.get("retry-after")

    blocker = await asyncpg.connect(postgres.url.replace("+asyncpg", ""))
    transaction = blocker.transaction()
    await transaction.start()
    await blocker.execute("LOCK TABLE conversation_session IN ACCESS EXCLUSIVE MODE")
    waiting = [asyncio.create_task(ask()) for _ in range(2)]
    await asyncio.sleep(0.3)
    refused = await asyncio.gather(*(ask() for _ in range(10)))
    await transaction.rollback()
    await blocker.close()
    assert [(status, retry) for status, _, retry in refused] == [(503, "1")] * 10
    assert max(seconds for _, seconds, _ in refused) < 2.0
    assert [(await task)[0] for task in waiting] == [201, 201]
    assert [(await ask())[0] for _ in range(5)] == [201] * 5


@pytest.mark.parametrize("connections", ["fresh", "keep"])
@pytest.mark.parametrize("service", ["recommendation", "conversation"])
async def test_sigterm_under_load_fails_nothing(start: Any, postgres: Any, service: Any, connections: Any) -> None:
    """One of two pods is told to stop: what still reaches it is served, and it ends with code 0."""
    settings = {"database_url": postgres.url, "engine": "phase4"}
    # On a busy machine requests pile up; to refuse them for that is right, and not what this test is about.
    settings |= {"max_inflight": "1000", "database_pool_timeout": "8s"}
    _, second = start(service, **settings)

    def begun(drain: str) -> tuple[subprocess.Popen[bytes], Plan]:
        ending, first = start(service, **settings, drain=drain)
        return ending, Plan((Target(service, (first, second), 40.0),), duration=2.0, connections=connections)

    report = await stopped_under_load(begun)
    after = await run(Plan((Target(service, (second,), 40.0),), duration=0.5, connections=connections))
    assert report.own_failures == after.own_failures == 0, report.sentence() + after.sentence()
    assert report.sent[service] > 50


async def test_a_killed_pod_loses_no_acknowledged_message(
    start: Any, postgres: Any, session: aiohttp.ClientSession
) -> None:
    """A process is killed in the middle of its writes: clients go on with the other one, nothing lost or double."""
    processes = [start("conversation", database_url=postgres.url, engine=engine) for engine in ENGINES]
    urls = [url for _, url in processes]
    async with writing(session, urls) as ledger:
        await until(ledger, 60)
        processes[1][0].kill()
        urls.pop()
        await until(ledger, ledger.total + 60)
    await assert_nothing_lost(session, urls[0], ledger)


async def deliver(session: aiohttp.ClientSession, urls: list[str], path: str, body: Any, key: str) -> list[Any]:
    """Deliver one request eight times at once, to all processes, and return status, replay and body of each answer."""

    async def one(number: int) -> tuple[int, bool, Any]:
        url = urls[number % len(urls)] + path
        async with session.post(url, json=body, headers={"idempotency-key": key}) as response:
            return response.status, "idempotency-replayed" in response.headers, await response.json()

    return await asyncio.gather(*(one(number) for number in range(8)))


async def test_duplicate_deliveries_of_a_message_write_once(
    start: Any, postgres: Any, session: aiohttp.ClientSession
) -> None:
    """Eight deliveries to two pods at the same moment: one turn, and eight equal answers."""
    urls = [start("conversation", database_url=postgres.url, engine=engine)[1] for engine in ENGINES]
    started = await deliver(session, urls, "/api/v2/conversations/start", {"user_id": "u-1"}, uuid.uuid4().hex)
    assert Counter((status, replayed) for status, replayed, _ in started) == {(201, False): 1, (201, True): 7}
    [conversation] = {body["conversation_id"] for _, _, body in started}
    path = f"/api/v2/conversations/{conversation}/messages"
    for turn in (1, 2):
        said = await deliver(session, urls, path, {"text": f"a comedy, please ({turn})"}, uuid.uuid4().hex)
        assert Counter((status, replayed) for status, replayed, _ in said) == {(200, False): 1, (200, True): 7}
        assert {(body["turn"], body["reply"]) for _, _, body in said} == {(turn, said[0][2]["reply"])}
    assert len(await history(session, urls[0], conversation)) == 2


async def test_a_key_that_is_used_for_another_body_is_refused(
    start: Any, postgres: Any, session: aiohttp.ClientSession
) -> None:
    """The second request under one key is a 422 when it says something else, and writes nothing."""
    _, url = start("conversation", database_url=postgres.url)
    [_, (_, _, begun), *_] = await deliver(session, [url], "/api/v2/conversations/start", {"user_id": "u-1"}, "k")
    path = f"/api/v2/conversations/{begun['conversation_id']}/messages"
    for text, expected in (("a comedy", 200), ("a drama", 422), ("a comedy", 200)):
        async with session.post(f"{url}{path}", json={"text": text}, headers={"idempotency-key": "k"}) as response:
            assert response.status == expected
    assert await history(session, url, begun["conversation_id"]) == ["a comedy"]


async def test_duplicate_deliveries_of_feedback_write_once(
    start: Any, postgres: Any, session: aiohttp.ClientSession
) -> None:
    """Eight deliveries of one feedback to two pods at the same moment: recorded once, and eight equal answers."""
    settings = {"database_url": postgres.url, "seed": "always"}
    urls = [start("recommendation", engine=engine, **settings)[1] for engine in ENGINES]
    body = {"user_id": "u-0001", "events": [{"item_id": "item-0001", "event": "clicked"}]}
    answers = await deliver(session, urls, "/api/v2/recommend/feedback", body, uuid.uuid4().hex)
    assert Counter((status, replayed) for status, replayed, _ in answers) == {(200, False): 1, (200, True): 7}
    assert {answer["recorded"] for _, _, answer in answers} == {1}


@pytest.mark.parametrize("service", ["recommendation", "conversation"])
async def test_bodies_that_are_too_large_or_broken(start: Any, service: str, session: aiohttp.ClientSession) -> None:
    """Over a real connection, announced and not: 413 or 422 as problem documents, and the process serves on."""
    _, url = start(service)
    path, right, good = {
        "recommendation": ("/api/v2/recommend/personalized", {"user_id": "u-1"}, 200),
        "conversation": ("/api/v2/conversations/start", {"user_id": "u-1"}, 201),
    }[service]
    kind = {"content-type": "application/json"}

    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"user_id": "'
        for _ in range(100):
            yield b"x" * 1000

    bodies: list[tuple[Any, int]] = [
        (b'{"user_id": "' + b"x" * 70_000, 413),
        (chunks(), 413),
        (b"[" * 30_000, 422),
        (b"\xff\xfe\x00", 422),
        (b"", 422),
        (b'{"user_id": "u-1"', 422),
        (b'{"user_id": "\\ud800"}', 422),
    ]
    for body, expected in bodies:
        async with session.post(f"{url}{path}", data=body, headers=kind) as response:
            assert response.status == expected
            assert response.content_type == "application/problem+json"
            assert (await response.json())["status"] == expected
    # No HTTP at all: the connection ends, and only this one.
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
    await writer.drain()
    assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 400")
    writer.close()
    async with session.post(f"{url}{path}", json=right) as response:
        assert response.status == good
