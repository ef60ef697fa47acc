"""Reads and writes of requests. Each read is one round trip to each table, for one user or for a hundred."""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from serin_recommendation.data import PERSONAS, UNKNOWN, strength_of
from serin_recommendation.engines.base import Profile
from serin_recommendation.store.tables import CatalogueItem, Feedback, Interaction, User
from serin_services.database import Database

NEW_USER: Final = dt.timedelta(days=7)
"""A user who was first seen later than this ago is in the segment `new`."""
Event = Literal["shown", "clicked", "completed", "rating"]


@dataclass(frozen=True, slots=True)
class Trend:
    """An item that is watched much.

    Attributes:
        score: Sum over interactions: 1 for one that was completed, 0.5 for another.
        interactions: Number of interactions in the window.
    """

    item_id: str
    title: str
    genres: tuple[str, ...]
    score: float
    interactions: int


@dataclass(frozen=True, slots=True)
class Told:
    """One event of a user's feedback."""

    item_id: str
    event: Event
    rating: float | None


@dataclass(frozen=True, slots=True)
class FeedbackOf:
    """The feedback of one request, and where it came in.

    Attributes:
        bucket: xxh64(user id) % 100.
        variant: Variant of this pod.
    """

    user_id: str
    recommendation_id: str | None
    events: Sequence[Told]
    variant: str
    bucket: int
    at: dt.datetime


class Repository:
    """The rows of this service.

    Args:
        database: Where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def profiles(self, user_ids: Sequence[str]) -> dict[str, Profile]:
        """Return the profile of each user; that of somebody unknown is empty.

        Raises:
            DatabaseUnavailableError: The database gave no answer.
        """
        wanted = sorted(set(user_ids))
        who = sa.select(User.user_id, User.persona).where(_among(User.user_id, wanted))
        what = (
            sa.select(Interaction.user_id, Interaction.item_id, Interaction.completed, Interaction.rating)
            .where(_among(Interaction.user_id, wanted))
            .order_by(Interaction.id)
        )
        async with self._database.read() as connection:
            users = (await connection.execute(who)).all()
            rows = (await connection.execute(what)).all()
        personas = {user_id: _persona(persona) for user_id, persona in users}
        seen: dict[str, dict[str, tuple[bool, float | None]]] = {user_id: {} for user_id in wanted}
        for user_id, item_id, completed, rating in rows:
            # More than one row for an item: a later rating replaces an earlier one, an end stays an end.
            before = seen[user_id].get(item_id, (False, None))
            seen[user_id][item_id] = (completed or before[0], before[1] if rating is None else rating)
        return {user_id: _profile(user_id, personas, seen[user_id]) for user_id in wanted}

    async def trending(self, segment: str, since: dt.datetime, now: dt.datetime, limit: int) -> list[Trend]:
        """Return the items that a segment watched most.

        Args:
            segment: `all`, `new`, `existing`, or a persona.
            since: Begin of the window.
            now: Decides who is new.
            limit: Items at most.

        Raises:
            DatabaseUnavailableError: The database gave no answer.
        """
        score = sa.func.sum(sa.case((Interaction.completed, 1.0), else_=0.5)).label("score")
        counted = sa.select(Interaction.item_id, score, sa.func.count().label("interactions")).where(
            Interaction.occurred_at >= since
        )
        if segment in PERSONAS:
            counted = counted.join(User, User.user_id == Interaction.user_id).where(User.persona == segment)
        elif segment != "all":
            fresh = User.first_seen_at >= now - NEW_USER
            counted = counted.join(User, User.user_id == Interaction.user_id)
            counted = counted.where(fresh if segment == "new" else ~fresh)
        top = (
            counted.group_by(Interaction.item_id)
            .order_by(sa.desc("score"), Interaction.item_id)
            .limit(limit)
            .subquery()
        )
        question = (
            sa.select(top.c.item_id, CatalogueItem.title, CatalogueItem.genres, top.c.score, top.c.interactions)
            .join(CatalogueItem, CatalogueItem.item_id == top.c.item_id)
            .order_by(top.c.score.desc(), top.c.item_id)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(question)).all()
        return [
            Trend(row.item_id, row.title, genres_of(row.genres), float(row.score), row.interactions) for row in rows
        ]


async def unknown_items(connection: AsyncConnection, item_ids: Iterable[str]) -> list[str]:
    """Return those ids that no item has."""
    wanted = sorted(set(item_ids))
    found = await connection.execute(sa.select(CatalogueItem.item_id).where(_among(CatalogueItem.item_id, wanted)))
    return sorted(set(wanted) - set(found.scalars()))


async def write_feedback(connection: AsyncConnection, given: FeedbackOf) -> int:
    """Write feedback, and what follows from it for the user's history.

    An event that is there already, of the same answer and item, is written once; a rating replaces the earlier one.

    Returns:
        Number of events that changed something.
    """
    common = {
        "user_id": given.user_id,
        "recommendation_id": given.recommendation_id,
        "variant": given.variant,
        "bucket": given.bucket,
        "occurred_at": given.at,
    }
    events = {(told.item_id, told.event): told for told in given.events}
    plain = [
        {**common, "item_id": told.item_id, "event": told.event, "rating": None}
        for told in events.values()
        if told.event != "rating"
    ]
    rated = [
        {**common, "item_id": told.item_id, "event": told.event, "rating": told.rating}
        for told in events.values()
        if told.event == "rating"
    ]
    changed: list[tuple[str, str]] = []
    if plain:
        once = inserted(connection, Feedback).values(plain).on_conflict_do_nothing()
        rows = await connection.execute(once.returning(Feedback.item_id, Feedback.event))
        changed += [(row.item_id, row.event) for row in rows]
    if rated:
        insert = inserted(connection, Feedback).values(rated)
        again = insert.on_conflict_do_update(
            index_elements=["user_id", "recommendation_id", "item_id", "event"],
            set_={"rating": insert.excluded.rating, "occurred_at": insert.excluded.occurred_at},
            where=Feedback.rating != insert.excluded.rating,
        )
        rows = await connection.execute(again.returning(Feedback.item_id, Feedback.event))
        changed += [(row.item_id, row.event) for row in rows]
    history = [
        {
            "user_id": given.user_id,
            "item_id": item_id,
            "occurred_at": given.at,
            "completed": event == "completed",
            "rating": events[item_id, event].rating,  # type: ignore[index]
        }
        for item_id, event in sorted(changed)
        if event != "shown"
    ]
    if history:
        await connection.execute(sa.insert(Interaction), history)
    await note_users(connection, [given.user_id], given.at)
    return len(changed)


async def note_users(connection: AsyncConnection, user_ids: Iterable[str], at: dt.datetime) -> None:
    """Write down that these users were seen, unless they are known."""
    rows = [{"user_id": user_id, "persona": None, "first_seen_at": at} for user_id in sorted(set(user_ids))]
    await connection.execute(inserted(connection, User).values(rows).on_conflict_do_nothing())


def inserted(connection: AsyncConnection, table: type[Any]) -> Any:
    """Return an INSERT of this database's own dialect: ON CONFLICT is not in SQLAlchemy's common one."""
    return (postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert)(table)


def genres_of(text: str) -> tuple[str, ...]:
    """Return genres from their column."""
    return tuple(text.split("|")) if text else ()


def _among(column: Any, values: Sequence[str]) -> Any:
    # One parameter for each value, and the plainest form for the commonest question.
    return column == values[0] if len(values) == 1 else column.in_(values)


def _persona(name: str | None) -> int:
    return PERSONAS.index(name) if name in PERSONAS else UNKNOWN


def _profile(user_id: str, personas: dict[str, int], seen: dict[str, tuple[bool, float | None]]) -> Profile:
    labels = list(seen.values())
    return Profile(
        user_id,
        personas.get(user_id, UNKNOWN),
        tuple(seen),
        strength_of([completed for completed, _ in labels], [float("nan") if r is None else r for _, r in labels]),
        known=user_id in personas,
    )
