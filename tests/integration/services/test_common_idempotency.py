"""One Idempotency-Key is one write, on real databases and when deliveries arrive together."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection

from serin_services import tables
from serin_services.database import Database
from serin_services.idempotency import Once, once, purge
from serin_services.problems import ProblemError
from serin_services.settings import DatabaseSettings

metadata = sa.MetaData()
ratings = sa.Table("rating", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("stars", sa.Integer))
kept = tables.idempotency(metadata, "shop")


class Rating(BaseModel):
    """A request."""

    stars: int


class Thanks(BaseModel):
    """Its answer."""

    rating_id: int
    text: str


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Give an open database of each kind."""
    found = Database(DatabaseSettings(url=database_url, pool_size=8), metadata, "test")
    await found.open()
    await found.wait_until_ready()
    yield found
    await found.close()


async def rate(
    database: Database,
    key: str | None,
    stars: int = 5,
    *,
    scope: str = "u-1",
    pause: float = 0.0,
    fail: bool = False,
    begun: asyncio.Event | None = None,
) -> Once[Thanks]:
    """Write a rating as an endpoint does."""

    async def write(connection: AsyncConnection) -> Thanks:
        made = await connection.execute(ratings.insert().values(stars=stars).returning(ratings.c.id))
        if begun is not None:
            begun.set()
        await asyncio.sleep(pause)
        if fail:
            raise ProblemError(404, "no such thing")
        return Thanks(rating_id=made.scalar_one(), text="thanks — 고마워요")

    async with database.transaction() as connection:
        return await once(
            connection,
            kept,
            key=key,
            scope=scope,
            body=Rating(stars=stars),
            answer=Thanks,
            work=lambda: write(connection),
        )


async def written(database: Database) -> int:
    """Return the number of ratings."""
    async with database.read() as connection:
        return (await connection.execute(sa.select(sa.func.count()).select_from(ratings))).scalar_one()


async def test_a_repeated_request_writes_once(database: Database) -> None:
    """The second delivery gets the first one's answer, word for word."""
    first, second = await rate(database, "k1"), await rate(database, "k1")
    assert (first.replayed, second.replayed) == (False, True)
    assert first.value == second.value
    assert await written(database) == 1


async def test_deliveries_that_arrive_together_write_once(database: Database) -> None:
    """Eight at the same moment: one writes, seven wait for it and get its answer."""
    answers = await asyncio.gather(*(rate(database, "k1", pause=0.1) for _ in range(8)))
    assert sorted(answer.replayed for answer in answers) == [False] + [True] * 7
    assert len({answer.value.rating_id for answer in answers}) == 1
    assert await written(database) == 1


async def test_another_body_under_the_same_key_is_refused(database: Database) -> None:
    """The client mixed two requests up: 422, and nothing is written."""
    await rate(database, "k1", stars=5)
    with pytest.raises(ProblemError) as refused:
        await rate(database, "k1", stars=1)
    assert refused.value.status == 422
    assert await written(database) == 1


async def test_a_key_belongs_to_its_scope(database: Database) -> None:
    """Two users may choose the same key; each gets an answer of their own."""
    first, second = await rate(database, "k1", scope="u-1"), await rate(database, "k1", scope="u-2")
    assert first.value.rating_id != second.value.rating_id
    assert await written(database) == 2


async def test_what_failed_may_be_tried_again(database: Database) -> None:
    """A request that ended with a problem has kept nothing: the same key works afterwards."""
    with pytest.raises(ProblemError):
        await rate(database, "k1", fail=True)
    assert not (await rate(database, "k1")).replayed
    assert await written(database) == 1


async def test_the_second_delivery_takes_over_when_the_first_fails(database: Database) -> None:
    """A delivery that waited for one that then failed writes itself."""
    begun = asyncio.Event()
    failing = asyncio.create_task(rate(database, "k1", pause=0.2, fail=True, begun=begun))
    await asyncio.wait_for(begun.wait(), 20)
    waiting = await rate(database, "k1")
    with pytest.raises(ProblemError):
        await failing
    assert not waiting.replayed
    assert await written(database) == 1


async def test_without_a_key_every_request_writes(database: Database) -> None:
    """Whoever gives no key wants no protection."""
    for _ in range(2):
        assert not (await rate(database, None)).replayed
    assert await written(database) == 2


async def test_old_answers_are_forgotten(database: Database) -> None:
    """Beyond their time answers go, and the key is free again; younger ones stay."""
    await rate(database, "k1")
    async with database.transaction() as connection:
        assert await purge(connection, kept, keep=3600.0) == 0
        assert await purge(connection, kept, keep=-1.0) == 1
    assert not (await rate(database, "k1")).replayed
