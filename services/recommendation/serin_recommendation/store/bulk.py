"""Fills the tables from a data set, and makes a data set from the tables: seed, load and training."""

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from serin_recommendation.data import PERSONAS, UNKNOWN, Dataset, Doubles, Item
from serin_recommendation.store.repository import genres_of, inserted
from serin_recommendation.store.tables import CatalogueItem, Interaction, User

_ROWS: Final = 5000
"""Of one statement, and of one look at what is read."""
_PARAMETERS: Final = 30_000
"""Both drivers take a few more in one statement."""

Say = Callable[[str], None]


async def is_empty(connection: AsyncConnection) -> bool:
    """Return whether there is no item yet."""
    return (await connection.execute(sa.select(CatalogueItem.item_id).limit(1))).first() is None


async def write(connection: AsyncConnection, data: Dataset, say: Say = lambda _line: None) -> None:
    """Add a data set; items and users that are there already stay as they are.

    Args:
        connection: A transaction: all of it or nothing.
        data: What to write.
        say: Told how far it is.
    """
    items = [
        {
            "item_id": item.item_id,
            "title": item.title[:200],
            "genres": "|".join(item.genres)[:200],
            "text": item.text,
        }
        for item in data.items
    ]
    users = [
        {
            "user_id": user_id,
            "persona": PERSONAS[persona] if persona >= 0 else None,
            "first_seen_at": _time(first_seen),
        }
        for user_id, persona, first_seen in zip(data.user_ids, data.personas, data.first_seen, strict=True)
    ]
    for table, rows in ((CatalogueItem, items), (User, users)):
        for chunk in _chunks(rows, _PARAMETERS // 4):
            await connection.execute(inserted(connection, table).values(chunk).on_conflict_do_nothing())
    total = data.users.size
    for begin in range(0, total, _ROWS):
        await connection.execute(sa.insert(Interaction), _interactions(data, begin, min(begin + _ROWS, total)))
        if total > _ROWS:
            say(f"{min(begin + _ROWS, total):>10} of {total} interactions")


async def read(connection: AsyncConnection) -> Dataset:
    """Make a data set from everything that is in the tables.

    Raises:
        ValueError: There are no interactions.
    """
    items = tuple(
        Item(row.item_id, row.title, genres_of(row.genres), row.text)
        for row in await connection.execute(sa.select(CatalogueItem.__table__).order_by(CatalogueItem.item_id))
    )
    users = (await connection.execute(sa.select(User.__table__).order_by(User.user_id))).all()
    item_index = {item.item_id: index for index, item in enumerate(items)}
    user_index = {row.user_id: index for index, row in enumerate(users)}
    columns = (
        Interaction.user_id,
        Interaction.item_id,
        Interaction.daypart,
        Interaction.completed,
        Interaction.rating,
        Interaction.occurred_at,
    )
    order = sa.select(*columns).order_by(Interaction.occurred_at, Interaction.id)

    def numbers(rows: Sequence[Any]) -> Doubles:
        found = [
            (
                user_index[user_id],
                item_index[item_id],
                UNKNOWN if daypart is None else daypart,
                completed,
                np.nan if rating is None else rating,
                _utc(at).timestamp(),
            )
            for user_id, item_id, daypart, completed, rating, at in rows
            if user_id in user_index and item_id in item_index
        ]
        return np.asarray(found, np.float64).reshape(-1, len(columns))

    stream = await connection.stream(order.execution_options(yield_per=_ROWS))
    parts = [numbers(rows) async for rows in stream.partitions()]
    table = np.concatenate(parts) if parts else np.empty((0, len(columns)))
    if not table.size:
        raise ValueError("the database has no interactions: run the command seed or load first")
    return _dataset(items, users, table)


def _dataset(items: tuple[Item, ...], users: Any, table: Doubles) -> Dataset:
    """Merge what a user did with one item into one row, at the time of its first one."""
    pair = table[:, 0].astype(np.int64) * len(items) + table[:, 1].astype(np.int64)
    _, first, group = np.unique(pair, return_index=True, return_inverse=True)
    completed = np.zeros(first.size, np.bool_)
    np.logical_or.at(completed, group, table[:, 3].astype(np.bool_))
    ratings = np.full(first.size, np.nan)
    rated = ~np.isnan(table[:, 4])
    # Assigned in the order of time: the last one stays.
    ratings[group[rated]] = table[rated, 4]
    order = np.argsort(first, kind="stable")
    rows = table[first[order]]
    return Dataset(
        items=items,
        user_ids=tuple(row.user_id for row in users),
        personas=np.asarray(
            [PERSONAS.index(row.persona) if row.persona in PERSONAS else UNKNOWN for row in users], np.int32
        ),
        first_seen=np.asarray([_utc(row.first_seen_at).timestamp() for row in users]),
        users=rows[:, 0].astype(np.int32),
        chosen=rows[:, 1].astype(np.int32),
        dayparts=rows[:, 2].astype(np.int32),
        completed=completed[order],
        ratings=ratings[order].astype(np.float32),
        times=rows[:, 5],
    )


def _interactions(data: Dataset, begin: int, end: int) -> list[dict[str, Any]]:
    columns = zip(
        data.users[begin:end].tolist(),
        data.chosen[begin:end].tolist(),
        data.times[begin:end].tolist(),
        data.dayparts[begin:end].tolist(),
        data.completed[begin:end].tolist(),
        data.ratings[begin:end].tolist(),
        strict=True,
    )
    return [
        {
            "user_id": data.user_ids[user],
            "item_id": data.items[item].item_id,
            "occurred_at": _time(at),
            "daypart": None if daypart == UNKNOWN else daypart,
            "completed": completed,
            "rating": None if rating != rating else rating,  # noqa: PLR0124 - not a number
        }
        for user, item, at, daypart, completed, rating in columns
    ]


def _chunks(rows: list[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    for begin in range(0, len(rows), size):
        yield rows[begin : begin + size]


def _time(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(float(seconds), dt.UTC)


def _utc(at: dt.datetime) -> dt.datetime:
    # SQLite forgets the time zone; everything is stored in UTC.
    return at if at.tzinfo else at.replace(tzinfo=dt.UTC)
