"""Tables that each service has one of, beside its own: answers kept for retries, and the last sums of the goals.

Each service gets its own, by a prefix, since two services may share a database but never a table.
"""

import sqlalchemy as sa


def idempotency(metadata: sa.MetaData, service: str) -> sa.Table:
    """Return the table of answers that were given under an idempotency key."""
    name = f"{service}_idempotency"
    return sa.Table(
        name,
        metadata,
        sa.Column("scope", sa.String(160), primary_key=True),
        sa.Column("key", sa.String(128), primary_key=True),
        sa.Column("fingerprint", sa.String(32), nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Index(f"{name}_created_at", "created_at"),
    )


def goal_snapshots(metadata: sa.MetaData, service: str) -> sa.Table:
    """Return the table with the last sums; it has one row."""
    return sa.Table(
        f"{service}_goal_snapshot",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sums", sa.Text, nullable=False),
    )


def create_shared_1(service: str) -> None:
    """Make both tables, inside a migration script. Never change it: a later form gets a number of its own."""
    from alembic import op  # noqa: PLC0415 - exists while Alembic runs

    op.create_table(
        f"{service}_idempotency",
        sa.Column("scope", sa.String(160), nullable=False),
        sa.Column("key", sa.String(128), nullable=False),
        sa.Column("fingerprint", sa.String(32), nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("scope", "key"),
    )
    op.create_index(f"{service}_idempotency_created_at", f"{service}_idempotency", ["created_at"])
    op.create_table(
        f"{service}_goal_snapshot",
        sa.Column("id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sums", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )


def drop_shared_1(service: str) -> None:
    """Undo `create_shared_1`."""
    from alembic import op  # noqa: PLC0415 - exists while Alembic runs

    op.drop_table(f"{service}_goal_snapshot")
    op.drop_index(f"{service}_idempotency_created_at", table_name=f"{service}_idempotency")
    op.drop_table(f"{service}_idempotency")
