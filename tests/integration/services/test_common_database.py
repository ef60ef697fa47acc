"""The database layer on real servers: reads, writes, limits, and what is left after an outage."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import sqlalchemy as sa
from prometheus_client import CollectorRegistry
from sqlalchemy.exc import IntegrityError

from serin_services.database import Database, DatabaseBusyError, DatabaseLostError
from serin_services.settings import DatabaseSettings
from serin_services.statements import count_statements

metadata = sa.MetaData()
notes = sa.Table("note", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("text", sa.Text))


async def opened(url: str, registry: CollectorRegistry | None = None, **settings: Any) -> Database:
    """Open a database and wait until its table is there."""
    database = Database(DatabaseSettings(url=url, **settings), metadata, "test", registry)
    await database.open()
    await asyncio.wait_for(database.wait_until_ready(), 20)
    return database


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Give an open database of each kind."""
    found = await opened(database_url)
    yield found
    await found.close()


async def count(database: Database) -> int:
    """Return the number of notes."""
    async with database.read() as connection:
        return (await connection.execute(sa.select(sa.func.count()).select_from(notes))).scalar_one()


async def test_a_transaction_is_kept_whole_or_not_at_all(database: Database) -> None:
    """What a block wrote is there after it; what a failing block wrote is not."""
    async with database.transaction() as connection:
        await connection.execute(notes.insert(), [{"id": 1, "text": "a"}, {"id": 2, "text": "b"}])

    async def failing() -> None:
        async with database.transaction() as connection:
            await connection.execute(notes.insert(), {"id": 3, "text": "c"})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await failing()
    assert await count(database) == 2


async def test_a_mistake_of_the_program_is_no_outage(database: Database) -> None:
    """A constraint that is violated is an IntegrityError for the caller, and the connection can be used again."""

    async def wrong() -> None:
        async with database.transaction() as connection:
            await connection.execute(notes.insert(), [{"id": 1, "text": "a"}])
            await connection.execute(notes.insert(), [{"id": 1, "text": "a"}])

    for _ in range(10):
        with pytest.raises(IntegrityError):
            await wrong()
    assert await count(database) == 0


async def test_a_look_up_is_one_round_trip(database: Database) -> None:
    """A read sends its SELECT and nothing else; writers are not locked out by it."""
    with count_statements(database.engine) as statements:
        async with database.read() as reading:
            await reading.execute(sa.select(notes))
            async with database.transaction() as writing:
                await writing.execute(notes.insert(), {"id": 1, "text": "a"})
            assert len((await reading.execute(sa.select(notes))).all()) == 1
    assert statements.by_table() == {"note": 3}
    assert statements.total == 3


async def test_writers_wait_for_each_other(database: Database) -> None:
    """Twenty transactions that read and then write one row at the same time lose no change."""
    async with database.transaction() as connection:
        await connection.execute(notes.insert(), {"id": 1, "text": "0"})

    async def add() -> None:
        async with database.transaction() as connection:
            found = await connection.execute(sa.select(notes.c.text).where(notes.c.id == 1).with_for_update())
            await connection.execute(notes.update().values(text=str(int(found.scalar_one()) + 1)))

    await asyncio.gather(*(add() for _ in range(20)))
    async with database.read() as connection:
        assert (await connection.execute(sa.select(notes.c.text))).scalar_one() == "20"


async def test_an_exhausted_pool_is_busy_and_not_lost(database_url: str) -> None:
    """Beyond its connections a process waits for a short time, says so, counts it, and serves again afterwards."""
    registry = CollectorRegistry()
    database = await opened(database_url, registry, pool_size=1, pool_overflow=1, pool_timeout=0.2)
    async with database.read(), database.read():
        start = time.monotonic()
        with pytest.raises(DatabaseBusyError) as refused:
            async with database.read():
                pass
        assert 0.15 < time.monotonic() - start < 10
        assert registry.get_sample_value("serin_database_connections", {"state": "used"}) == 2
    assert (refused.value.status, refused.value.retry_after) == (503, 1)
    assert registry.get_sample_value("serin_database_errors_total", {"kind": "busy"}) == 1
    assert await count(database) == 0
    await database.close()


async def test_a_slow_statement_is_ended_by_the_server(postgres_url: str) -> None:
    """A statement beyond its limit is a 503, and its connection serves the next request."""
    database = await opened(postgres_url, pool_size=1, pool_overflow=0, statement_timeout=1)
    for _ in range(3):
        start = time.monotonic()
        with pytest.raises(DatabaseLostError):
            async with database.transaction() as connection:
                await connection.execute(sa.text("SELECT pg_sleep(5)"))
        assert time.monotonic() - start < 4
    assert await count(database) == 0
    await database.close()


async def test_a_request_that_is_cut_off_gives_its_connection_back(database: Database) -> None:
    """Deadlines that end requests in the middle of their statements don't drain the pool."""

    async def work() -> None:
        async with database.transaction() as connection:
            await connection.execute(notes.insert(), {"id": 1, "text": "a"})
            await asyncio.sleep(5)

    for _ in range(12):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(work(), 0.05)
    assert await count(database) == 0


async def test_an_outage_ends_by_itself(postgres: Any) -> None:
    """Connections that died with the server are replaced: the first request after it works, on each of them."""
    registry = CollectorRegistry()
    database = await opened(postgres.url, registry, pool_size=3, pool_overflow=0)

    async def hold() -> None:
        async with database.read() as connection:
            await connection.execute(sa.text("SELECT pg_sleep(0.1)"))

    await asyncio.gather(*(hold() for _ in range(3)))
    assert registry.get_sample_value("serin_database_connections", {"state": "idle"}) == 3
    await asyncio.to_thread(postgres.stop)
    for _ in range(5):
        with pytest.raises(DatabaseLostError):
            await count(database)
    await asyncio.to_thread(postgres.start)
    await asyncio.gather(*(hold() for _ in range(3)))
    assert await count(database) == 0
    assert registry.get_sample_value("serin_database_errors_total", {"kind": "lost"}) == 5
    await database.close()


async def test_a_restart_between_two_requests_fails_none(postgres: Any) -> None:
    """A server that was restarted while nobody asked costs no request."""
    database = await opened(postgres.url, pool_size=3, pool_overflow=0)
    assert await count(database) == 0
    await asyncio.to_thread(postgres.stop)
    await asyncio.to_thread(postgres.start)
    assert await count(database) == 0
    await database.close()
