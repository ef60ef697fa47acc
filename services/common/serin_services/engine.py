"""SQLAlchemy's engine for either database: time limits, and what each driver needs to behave like the other.

Everything that may wait has a limit here. Without them one lost packet holds a connection, a pool of held connections
holds every request, and the process hangs instead of answering 503.
"""

from typing import Any, Final

from sqlalchemy import event, make_url
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from serin_services.settings import DatabaseSettings

READ_ONLY: Final[dict[str, Any]] = {"isolation_level": "AUTOCOMMIT"}
"""Execution options of a connection that only reads: no BEGIN, no ROLLBACK, no write lock of SQLite."""

_IN_MEMORY = ":memory:"
_CLIENT_SLACK_SECONDS = 1.0
"""The server ends a statement first, which leaves the connection in order; the client only when the server is gone."""
_IDLE_SECONDS = 15
"""A process that died without a word must not keep its locks longer than this."""


def make_engine(settings: DatabaseSettings, name: str, *, patient: bool = False) -> AsyncEngine:
    """Return the engine of a database.

    Args:
        settings: Where it is, and its limits.
        name: Shown by the server beside each connection.
        patient: For migrations: statements and locks may take as long as they need, and nothing is pooled.
    """
    url = make_url(settings.url)
    # hide_parameters: an error of the driver must not carry a message's text into the log.
    options: dict[str, Any] = {"hide_parameters": True}
    if patient:
        options["poolclass"] = NullPool
    elif url.database and url.database != _IN_MEMORY:
        options |= {
            "pool_size": settings.pool_size,
            "max_overflow": settings.pool_overflow,
            "pool_timeout": settings.pool_timeout,
            # The connection that was used last is warm; the others may age until the server closes them.
            "pool_use_lifo": True,
        }
    if url.get_backend_name() == "sqlite":
        engine = create_async_engine(url, connect_args={"timeout": settings.statement_timeout}, **options)
        _let_sqlite_write(engine)
        return engine
    limits = {
        "statement_timeout": str(int(settings.statement_timeout * 1000)),
        "lock_timeout": str(int(settings.statement_timeout * 1000)),
        "idle_in_transaction_session_timeout": str(_IDLE_SECONDS * 1000),
    }
    engine = create_async_engine(
        url,
        connect_args={
            "timeout": settings.connect_timeout,
            "command_timeout": None if patient else settings.statement_timeout + _CLIENT_SLACK_SECONDS,
            "server_settings": {"application_name": name, "jit": "off", **({} if patient else limits)},
        },
        **options,
    )
    _replace_closed(engine)
    return engine


def _replace_closed(engine: AsyncEngine) -> None:
    """Give no connection out that the server has closed.

    SQLAlchemy's pre-ping asks the server each time, which with asyncpg is three round trips. The driver's event loop
    has noticed a closed socket already.
    """

    @event.listens_for(engine.sync_engine, "checkout")
    def _on_checkout(connection: Any, _record: object, _proxy: object) -> None:
        if connection.driver_connection.is_closed():
            raise DisconnectionError("the server has closed this connection")


def _let_sqlite_write(engine: AsyncEngine) -> None:
    """Let several processes write one file: take the write lock first, and wait for it.

    Python's driver begins a transaction at the first write; by then another process may have written, and SQLite
    refuses at once instead of waiting.
    """

    @event.listens_for(engine.sync_engine, "connect")
    def _on_connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _on_begin(connection: Any) -> None:
        if connection.get_execution_options().get("isolation_level") != READ_ONLY["isolation_level"]:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
