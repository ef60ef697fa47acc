"""The tables of the conversation service.

Sessions, turns and feedback are in the database and never in a process, so that any pod of either variant serves the
next turn. `variant` is the one that served; `bucket` is the user's by the gateway's hash, to see whether both agree.
"""

from typing import Final

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    Text,
)

from serin_services import tables
from serin_services.migrations import Migrations

SERVICE: Final = "conversation"
MIGRATIONS: Final = Migrations(package="serin_conversation", name=SERVICE, head="0002")

metadata = MetaData()

# What came with a later migration has a default of the server: the release before goes on writing after a rollback.
sessions = Table(
    "conversation_session",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("user_id", String(64), nullable=False),
    Column("turns", Integer, nullable=False, default=0),
    Column("memory", Text, nullable=False, default=""),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("last_at", DateTime(timezone=True), nullable=False),
    Column("language", String(2), nullable=False, server_default="en"),
    Column("variant", String(63), nullable=False, server_default=""),
    Column("bucket", SmallInteger),
    Column("ended_at", DateTime(timezone=True)),
    Column("completed", Boolean),
    # First the user, to find their sessions; then the start, which answers "did they come back" from the index alone.
    Index("session_user_id", "user_id", "started_at"),
    Index("session_started_at", "started_at"),
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
    Column("bucket", SmallInteger),
    Column("items", Text, nullable=False, server_default=""),
    PrimaryKeyConstraint("session_id", "number"),
    Index("turn_said_at", "said_at"),
)

WHOLE_CONVERSATION: Final = 0
"""Value of `feedback.turn` for what was said about all of a conversation."""

feedback = Table(
    "conversation_feedback",
    metadata,
    Column("session_id", String(36), ForeignKey("conversation_session.id", ondelete="CASCADE"), nullable=False),
    Column("turn", Integer, nullable=False),
    Column("rating", Float, nullable=False),
    Column("helpful", Boolean),
    Column("comment", Text, nullable=False),
    Column("variant", String(63), nullable=False),
    Column("given_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("session_id", "turn"),
    Index("feedback_given_at", "given_at"),
)

idempotency = tables.idempotency(metadata, SERVICE)
snapshots = tables.goal_snapshots(metadata, SERVICE)
