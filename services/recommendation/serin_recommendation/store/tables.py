"""The schema. Names of indexes say what is looked up by them.

An id of a user or an item is the text that clients use: no request needs a look-up of a number first.
"""

import datetime as dt
from typing import Any, ClassVar, Final

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from serin_services.migrations import Migrations
from serin_services.tables import goal_snapshots, idempotency

SERVICE: Final = "recommendation"
MIGRATIONS: Final = Migrations(package="serin_recommendation", name=SERVICE, head="0001")

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""SQLite numbers rows by itself only in a column of its own type INTEGER."""


class Base(DeclarativeBase):
    """The metadata of this service's tables."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {dt.datetime: sa.DateTime(timezone=True)}


class User(Base):
    """Somebody who was seen.

    Attributes:
        persona: What they said of themselves, one of PERSONAS, or NULL.
        first_seen_at: When; the segment of the A/B goals follows from it.
    """

    __tablename__ = "users"

    user_id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    persona: Mapped[str | None] = mapped_column(sa.String(20))
    first_seen_at: Mapped[dt.datetime]


class CatalogueItem(Base):
    """Something that can be recommended.

    Attributes:
        genres: Separated by `|`.
        text: Words that describe it, for the content part.
    """

    __tablename__ = "items"

    item_id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    title: Mapped[str] = mapped_column(sa.String(200))
    genres: Mapped[str] = mapped_column(sa.String(200))
    text: Mapped[str] = mapped_column(sa.Text)


class Interaction(Base):
    """A user did something with an item: the log that engines learn from.

    Attributes:
        daypart: Index into DAYPARTS, or NULL.
        completed: Watched to the end.
        rating: 1 to 5 stars, or NULL.
    """

    __tablename__ = "interactions"
    __table_args__ = (
        sa.Index("interaction_user_id", "user_id"),
        sa.Index("interaction_occurred_at", "occurred_at"),
    )

    id: Mapped[int] = mapped_column(_BIG, primary_key=True, autoincrement=True)
    user_id: Mapped[str] = mapped_column(sa.String(64))
    item_id: Mapped[str] = mapped_column(sa.String(64))
    occurred_at: Mapped[dt.datetime]
    daypart: Mapped[int | None] = mapped_column(sa.SmallInteger)
    completed: Mapped[bool]
    rating: Mapped[float | None] = mapped_column(sa.Float)


class Recommendation(Base):
    """An answer that a user was given.

    Attributes:
        recommendation_id: Given to the client, who names it in feedback.
        variant: Variant of the pod that served it.
        bucket: xxh64(user id) % 100: where the gateway's hash puts this user.
        engine: Engine and model that answered.
        day: Days since 1970 of `served_at`, UTC: whether a user came back is counted in days.
    """

    __tablename__ = "recommendations"
    __table_args__ = (
        sa.Index("recommendation_user_id", "user_id"),
        sa.Index("recommendation_served_at", "served_at"),
    )

    recommendation_id: Mapped[str] = mapped_column(sa.String(32), primary_key=True)
    user_id: Mapped[str] = mapped_column(sa.String(64))
    variant: Mapped[str] = mapped_column(sa.String(63))
    bucket: Mapped[int] = mapped_column(sa.SmallInteger)
    engine: Mapped[str] = mapped_column(sa.String(80))
    cold_start: Mapped[bool]
    served_at: Mapped[dt.datetime]
    day: Mapped[int]


class Feedback(Base):
    """What a user did with an item that they were recommended.

    Attributes:
        recommendation_id: The answer that had the item; NULL when the client did not say.
        event: shown, clicked, completed or rating.
        rating: 1 to 5 stars with the event `rating`, else NULL.
        variant: Variant of the pod that took the feedback in. The variant that served is in `recommendations`.
    """

    __tablename__ = "recommendation_feedback"
    __table_args__ = (
        # The same event of the same answer is one event, however often it is delivered.
        sa.UniqueConstraint("user_id", "recommendation_id", "item_id", "event", name="recommendation_feedback_event"),
        sa.Index("recommendation_feedback_occurred_at", "occurred_at"),
    )

    id: Mapped[int] = mapped_column(_BIG, primary_key=True, autoincrement=True)
    user_id: Mapped[str] = mapped_column(sa.String(64))
    recommendation_id: Mapped[str | None] = mapped_column(sa.String(32))
    item_id: Mapped[str] = mapped_column(sa.String(64))
    event: Mapped[str] = mapped_column(sa.String(9))
    rating: Mapped[float | None] = mapped_column(sa.Float)
    variant: Mapped[str] = mapped_column(sa.String(63))
    bucket: Mapped[int] = mapped_column(sa.SmallInteger)
    occurred_at: Mapped[dt.datetime]


IDEMPOTENCY: Final = idempotency(Base.metadata, SERVICE)
SNAPSHOTS: Final = goal_snapshots(Base.metadata, SERVICE)
