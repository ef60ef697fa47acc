"""Conversations on a real PostgreSQL: several pods, both variants, and an outage."""

import asyncio
from typing import Any

import aiohttp

from tests.integration.services.draining import PATIENT
from tests.load import Plan, Target, run


async def test_any_pod_of_any_variant_serves_the_next_turn(start: Any, postgres: Any) -> None:
    """Four processes that start together on an empty database, two of each engine, share every conversation."""
    urls = []
    processes = [
        start("conversation", wait=False, database_url=postgres.url, engine=engine, variant=variant, **PATIENT)
        for engine, variant in (("phase3", "control"), ("phase4", "canary")) * 2
    ]
    for _, url in processes:
        await wait_for(url, ready=True)
        urls.append(url)
    plan = Plan((Target("conversation", tuple(urls), 60.0),), duration=3.0, turns=6)
    report = await run(plan)
    assert report.own_failures == 0, report.sentence()
    assert {variant for _, variant, _ in report.rows()} == {"control", "canary"}


async def test_an_outage_is_a_503_and_ends_by_itself(start: Any, postgres: Any) -> None:
    """While PostgreSQL is away answers are 503 with Retry-After; afterwards the same process serves on."""
    _, url = start("conversation", database_url=postgres.url, engine="phase4")
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{url}/api/v2/conversations/start", json={"user_id": "u-1"}) as response:
            path = f"{url}{response.headers['location']}/messages"
        async with session.post(path, json={"text": "recommend me a comedy"}) as response:
            assert response.status == 200
        postgres.stop()
        for _ in range(3):
            async with session.post(path, json={"text": "a short one"}) as response:
                assert (response.status, response.headers["retry-after"]) == (503, "1")
                assert response.content_type == "application/problem+json"
        async with session.get(f"{url}/readyz") as response:
            assert response.status == 200, "an outage must not take every pod out of its Service"
        postgres.start()
        async with session.post(path, json={"text": "a short one"}) as response:
            assert response.status == 200
            answer = await response.json()
    assert answer["turn"] == 2
    assert answer["slots"] == {"genre": "comedy", "length": "short"}


async def test_a_service_waits_for_its_database(start: Any, postgres: Any) -> None:
    """A pod that starts before PostgreSQL lives, is not ready, and becomes ready without a restart."""
    postgres.stop()
    process, url = start("conversation", wait=False, database_url=postgres.url)
    await wait_for(url, ready=False)
    postgres.start()
    await wait_for(url, ready=True)
    assert process.poll() is None


async def wait_for(url: str, *, ready: bool) -> None:
    """Wait until a process says that it is ready, or that it is not."""
    async with aiohttp.ClientSession() as session:
        for _ in range(1200):
            try:
                async with session.get(f"{url}/readyz") as response:
                    if (response.status == 200) == ready:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.1)
    raise AssertionError(f"{url} did not become {'ready' if ready else 'unready'}")
