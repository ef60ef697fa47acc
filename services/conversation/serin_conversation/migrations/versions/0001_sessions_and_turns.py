"""Sessions and turns, as releases made them at start before there were migrations: their databases are taken over."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make both tables where they are missing."""
    op.create_table(
        "conversation_session",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("turns", sa.Integer, nullable=False),
        sa.Column("memory", sa.Text, nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        if_not_exists=True,
    )
    op.create_index("session_user_id", "conversation_session", ["user_id"], if_not_exists=True)
    op.create_table(
        "conversation_turn",
        sa.Column("session_id", sa.String(36), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("reply", sa.Text, nullable=False),
        sa.Column("intent", sa.String(16), nullable=False),
        sa.Column("engine", sa.String(16), nullable=False),
        sa.Column("variant", sa.String(63), nullable=False),
        sa.Column("said_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("session_id", "number"),
        sa.ForeignKeyConstraint(["session_id"], ["conversation_session.id"], ondelete="CASCADE"),
        if_not_exists=True,
    )


def downgrade() -> None:
    """Drop both tables, with every conversation."""
    op.drop_table("conversation_turn")
    op.drop_index("session_user_id", table_name="conversation_session")
    op.drop_table("conversation_session")
