"""Feedback, ends, who served, and what the goals and the retries need.

Every new column has a default or may be null: pods of the release before go on writing while both run.
"""

import sqlalchemy as sa
from alembic import op

from serin_services import tables

revision = "0002"
down_revision = "0001"

_SESSION = "conversation_session"
_TURN = "conversation_turn"


def upgrade() -> None:
    """Add what is new."""
    op.add_column(_SESSION, sa.Column("language", sa.String(2), nullable=False, server_default="en"))
    op.add_column(_SESSION, sa.Column("variant", sa.String(63), nullable=False, server_default=""))
    op.add_column(_SESSION, sa.Column("bucket", sa.SmallInteger))
    op.add_column(_SESSION, sa.Column("ended_at", sa.DateTime(timezone=True)))
    op.add_column(_SESSION, sa.Column("completed", sa.Boolean))
    op.drop_index("session_user_id", table_name=_SESSION)
    op.create_index("session_user_id", _SESSION, ["user_id", "started_at"])
    op.create_index("session_started_at", _SESSION, ["started_at"])
    op.add_column(_TURN, sa.Column("bucket", sa.SmallInteger))
    op.add_column(_TURN, sa.Column("items", sa.Text, nullable=False, server_default=""))
    op.create_index("turn_said_at", _TURN, ["said_at"])
    op.create_table(
        "conversation_feedback",
        sa.Column("session_id", sa.String(36), nullable=False),
        sa.Column("turn", sa.Integer, nullable=False),
        sa.Column("rating", sa.Float, nullable=False),
        sa.Column("helpful", sa.Boolean),
        sa.Column("comment", sa.Text, nullable=False),
        sa.Column("variant", sa.String(63), nullable=False),
        sa.Column("given_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("session_id", "turn"),
        sa.ForeignKeyConstraint(["session_id"], ["conversation_session.id"], ondelete="CASCADE"),
    )
    op.create_index("feedback_given_at", "conversation_feedback", ["given_at"])
    tables.create_shared_1("conversation")


def downgrade() -> None:
    """Drop it; conversations and their turns stay."""
    tables.drop_shared_1("conversation")
    op.drop_index("feedback_given_at", table_name="conversation_feedback")
    op.drop_table("conversation_feedback")
    op.drop_index("turn_said_at", table_name=_TURN)
    op.drop_column(_TURN, "items")
    op.drop_column(_TURN, "bucket")
    op.drop_index("session_started_at", table_name=_SESSION)
    op.drop_index("session_user_id", table_name=_SESSION)
    op.create_index("session_user_id", _SESSION, ["user_id"])
    for column in ("completed", "ended_at", "bucket", "variant", "language"):
        op.drop_column(_SESSION, column)
