"""Sessions and turns in the database.

Both engines write every turn, so either can go on with a conversation: what the memory of Phase 4 does not hold yet,
because Phase 3 served those turns, is read back from the turns.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import (
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    insert,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from serin_conversation.engines import Answer
from serin_conversation.memory import Memory

metadata = MetaData()

sessions = Table(
    "conversation_session",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("user_id", String(64), nullable=False),
    Column("turns", Integer, nullable=False, default=0),
    Column("memory", Text, nullable=False, default=""),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("last_at", DateTime(timezone=True), nullable=False),
    Index("session_user_id", "user_id"),
)

turns = Table(
    "conversation_turn",
    metadata,
    Column("session_id", String(36), ForeignKey("conversation_session.id", ondelete="CASCADE"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("message", Text, nullable=False),
    Column("reply", Text, nullable=False),
    Column("intent", String(16), nullable=False),
    Column("engine", String(16), nullable=False),
    Column("variant", String(63), nullable=False),
    Column("said_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("session_id", "number"),
)

MOST_TURNS_TO_CATCH_UP = 50
"""Older turns than these are left out of a memory that was not kept; their sentences would not survive anyway."""


@dataclass(frozen=True, slots=True)
class Session:
    """One conversation as stored."""

    session_id: str
    turns: int
    memory: Memory


async def start(connection: AsyncConnection, user_id: str) -> str:
    """Store a new conversation and return its id."""
    session_id = str(uuid.uuid4())
    now = datetime.now(UTC)
    row = {"id": session_id, "user_id": user_id, "turns": 0, "memory": "", "started_at": now, "last_at": now}
    await connection.execute(insert(sessions), row)
    return session_id


async def load(connection: AsyncConnection, session_id: str) -> Session | None:
    """Read a conversation and lock it until the end of the transaction; None when there is none.

    The lock makes two messages that arrive together two turns, one after the other.
    """
    question = select(sessions.c.turns, sessions.c.memory).where(sessions.c.id == session_id).with_for_update()
    row = (await connection.execute(question)).one_or_none()
    return Session(session_id, row.turns, Memory.decode(row.memory)) if row is not None else None


async def messages_after(connection: AsyncConnection, session: Session) -> tuple[int, Sequence[str]]:
    """Read the messages that the memory of a conversation does not hold.

    Returns:
        The turn before the first of them, and the messages, oldest first.
    """
    first = max(session.memory.through, session.turns - MOST_TURNS_TO_CATCH_UP)
    question = (
        select(turns.c.message)
        .where(turns.c.session_id == session.session_id, turns.c.number > first)
        .order_by(turns.c.number)
    )
    return first, (await connection.execute(question)).scalars().all()


async def append(
    connection: AsyncConnection, session: Session, *, message: str, answer: Answer, engine: str, variant: str
) -> int:
    """Store one turn and return its number."""
    number = session.turns + 1
    now = datetime.now(UTC)
    await connection.execute(
        insert(turns),
        {
            "session_id": session.session_id,
            "number": number,
            "message": message,
            "reply": answer.reply,
            "intent": answer.intent,
            "engine": engine,
            "variant": variant,
            "said_at": now,
        },
    )
    changed: dict[str, object] = {"turns": number, "last_at": now}
    if answer.memory is not None:
        changed["memory"] = answer.memory.encode()
    await connection.execute(update(sessions).where(sessions.c.id == session.session_id).values(**changed))
    return number
