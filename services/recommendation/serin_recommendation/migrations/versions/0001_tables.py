"""Users, items, interactions, what was served, and feedback."""

import sqlalchemy as sa
from alembic import op

from serin_services.tables import create_shared_1, drop_shared_1

revision = "0001"
down_revision = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make all tables."""
    op.create_table(
        "users",
        sa.Column("user_id", sa.String(64), primary_key=True),
        sa.Column("persona", sa.String(20)),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "items",
        sa.Column("item_id", sa.String(64), primary_key=True),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("genres", sa.String(200), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
    )
    op.create_table(
        "interactions",
        sa.Column("id", _BIG, primary_key=True, autoincrement=True),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("item_id", sa.String(64), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("daypart", sa.SmallInteger),
        sa.Column("completed", sa.Boolean, nullable=False),
        sa.Column("rating", sa.Float),
    )
    op.create_index("interaction_user_id", "interactions", ["user_id"])
    op.create_index("interaction_occurred_at", "interactions", ["occurred_at"])
    op.create_table(
        "recommendations",
        sa.Column("recommendation_id", sa.String(32), primary_key=True),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("variant", sa.String(63), nullable=False),
        sa.Column("bucket", sa.SmallInteger, nullable=False),
        sa.Column("engine", sa.String(80), nullable=False),
        sa.Column("cold_start", sa.Boolean, nullable=False),
        sa.Column("served_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("day", sa.Integer, nullable=False),
    )
    op.create_index("recommendation_user_id", "recommendations", ["user_id"])
    op.create_index("recommendation_served_at", "recommendations", ["served_at"])
    op.create_table(
        "recommendation_feedback",
        sa.Column("id", _BIG, primary_key=True, autoincrement=True),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("recommendation_id", sa.String(32)),
        sa.Column("item_id", sa.String(64), nullable=False),
        sa.Column("event", sa.String(9), nullable=False),
        sa.Column("rating", sa.Float),
        sa.Column("variant", sa.String(63), nullable=False),
        sa.Column("bucket", sa.SmallInteger, nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("user_id", "recommendation_id", "item_id", "event", name="recommendation_feedback_event"),
    )
    op.create_index("recommendation_feedback_occurred_at", "recommendation_feedback", ["occurred_at"])
    create_shared_1("recommendation")


def downgrade() -> None:
    """Remove all tables."""
    drop_shared_1("recommendation")
    for table in ("recommendation_feedback", "recommendations", "interactions", "items", "users"):
        op.drop_table(table)
