"""What is asked of the database and written to it, for one conversation at a time.

Both engines write every turn, so either can go on with a conversation: what the memory of Phase 4 does not hold yet,
because Phase 3 served those turns, is read back from the turns.
"""

import datetime as dt
import json
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from sqlalchemy import Select, insert, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from serin_conversation.engines import Answer, Item
from serin_conversation.lexicon import Language
from serin_conversation.memory import Memory
from serin_conversation.schema import feedback, sessions, turns
from serin_services.assignment import Served

MOST_TURNS_TO_CATCH_UP: Final = 50
"""Older turns than these are left out of a memory that was not kept; their sentences would not survive anyway."""


@dataclass(frozen=True, slots=True)
class Session:
    """One conversation as stored; moments are in UTC."""

    session_id: str
    user_id: str
    language: Language
    turns: int
    memory: Memory
    started_at: dt.datetime
    last_at: dt.datetime
    ended_at: dt.datetime | None
    completed: bool | None

    @property
    def duration(self) -> float:
        """Seconds from its start to its end, or to what was said last."""
        return ((self.ended_at or self.last_at) - self.started_at).total_seconds()


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """One turn as stored."""

    number: int
    message: str
    reply: str
    intent: str
    items: tuple[Item, ...]
    engine: str
    variant: str
    said_at: dt.datetime


async def start(connection: AsyncConnection, user_id: str, language: Language, served: Served) -> str:
    """Store a new conversation and return its id."""
    session_id = str(uuid.uuid4())
    now = _now()
    await connection.execute(
        insert(sessions),
        {
            "id": session_id,
            "user_id": user_id,
            "turns": 0,
            "memory": "",
            "started_at": now,
            "last_at": now,
            "language": language,
            "variant": served.variant,
            "bucket": served.bucket,
        },
    )
    return session_id


async def load(connection: AsyncConnection, session_id: str, *, lock: bool = False) -> Session | None:
    """Read a conversation; None when there is none.

    Args:
        connection: Where to read.
        session_id: The conversation.
        lock: Let nobody else write to it until the end of the transaction.
    """
    question: Select[Any] = select(sessions).where(sessions.c.id == session_id)
    row = (await connection.execute(question.with_for_update() if lock else question)).one_or_none()
    if row is None:
        return None
    return Session(
        session_id=session_id,
        user_id=row.user_id,
        language="ko" if row.language == "ko" else "en",
        turns=row.turns,
        memory=Memory.decode(row.memory),
        started_at=_utc(row.started_at),
        last_at=_utc(row.last_at),
        ended_at=None if row.ended_at is None else _utc(row.ended_at),
        completed=row.completed,
    )


async def messages_after(connection: AsyncConnection, session: Session) -> tuple[int, Sequence[str]]:
    """Read the messages that the memory of a conversation does not hold.

    Returns:
        The turn before the first of them, and the messages, oldest first.
    """
    first = max(session.memory.through, session.turns - MOST_TURNS_TO_CATCH_UP)
    question = (
        select(turns.c.message)
        .where(turns.c.session_id == session.session_id, turns.c.number > first, turns.c.number <= session.turns)
        .order_by(turns.c.number)
    )
    return first, (await connection.execute(question)).scalars().all()


async def append(
    connection: AsyncConnection, session: Session, *, message: str, answer: Answer, engine: str, served: Served
) -> int | None:
    """Store the next turn of a conversation, if nobody has written one or ended it since it was read.

    Returns:
        The turn's number; None when the conversation is another by now, and nothing was written.
    """
    number = session.turns + 1
    now = _now()
    changed: dict[str, object] = {"turns": number, "last_at": now}
    if answer.memory is not None:
        changed["memory"] = answer.memory.encode()
    turn = {
        "session_id": session.session_id,
        "number": number,
        "message": message,
        "reply": answer.reply,
        "intent": answer.intent,
        "engine": engine,
        "variant": served.variant,
        "bucket": served.bucket,
        "said_at": now,
        "items": json.dumps([asdict(item) for item in answer.items], ensure_ascii=False) if answer.items else "",
    }
    moved = (
        update(sessions)
        .where(sessions.c.id == session.session_id, sessions.c.turns == session.turns, sessions.c.ended_at.is_(None))
        .values(**changed)
    )
    if connection.dialect.name == "postgresql":
        # Both in one statement: one round trip, and a transaction of its own where there is no other.
        source = moved.returning(sessions.c.id).cte("moved")
        values = [literal(value, turns.c[name].type) for name, value in turn.items() if name != "session_id"]
        done = await connection.execute(insert(turns).from_select(list(turn), select(source.c.id, *values)))
        return number if done.rowcount == 1 else None
    if (await connection.execute(moved)).rowcount != 1:
        return None
    await connection.execute(insert(turns), turn)
    return number


async def history(connection: AsyncConnection, session_id: str, *, after: int, limit: int) -> list[StoredTurn]:
    """Read turns of a conversation, oldest first.

    Args:
        connection: Where to read.
        session_id: The conversation.
        after: Number of the turn before the first one.
        limit: Turns at most.
    """
    question = (
        select(turns)
        .where(turns.c.session_id == session_id, turns.c.number > after)
        .order_by(turns.c.number)
        .limit(limit)
    )
    return [
        StoredTurn(
            number=row.number,
            message=row.message,
            reply=row.reply,
            intent=row.intent,
            items=_items(row.items),
            engine=row.engine,
            variant=row.variant,
            said_at=_utc(row.said_at),
        )
        for row in await connection.execute(question)
    ]


async def end(connection: AsyncConnection, session: Session, *, completed: bool) -> dt.datetime:
    """End a conversation that is locked, and return when."""
    now = _now()
    values = {"ended_at": now, "completed": completed}
    await connection.execute(update(sessions).where(sessions.c.id == session.session_id).values(**values))
    return now


async def judge(
    connection: AsyncConnection,
    session_id: str,
    *,
    turn: int,
    rating: int,
    helpful: bool | None,
    comment: str,
    variant: str,
) -> None:
    """Store what a user thinks of a turn, or of a whole conversation; the last word counts."""
    said = {
        "rating": float(rating),
        "helpful": helpful,
        "comment": comment,
        "variant": variant,
        "given_at": _now(),
    }
    make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    row = make(feedback).values(session_id=session_id, turn=turn, **said)
    await connection.execute(row.on_conflict_do_update(index_elements=["session_id", "turn"], set_=said))


async def variant_of(connection: AsyncConnection, session_id: str, turn: int) -> str | None:
    """Return the variant that served a turn; None when there is no such turn."""
    question = select(turns.c.variant).where(turns.c.session_id == session_id, turns.c.number == turn)
    return (await connection.execute(question)).scalar_one_or_none()


def _items(text: str) -> tuple[Item, ...]:
    return tuple(Item(**{**raw, "genres": tuple(raw["genres"])}) for raw in json.loads(text)) if text else ()


def _utc(moment: dt.datetime) -> dt.datetime:
    # SQLite forgets the time zone; everything is stored in UTC.
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
