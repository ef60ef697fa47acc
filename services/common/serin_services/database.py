"""The database of a service: PostgreSQL in a cluster, SQLite on a laptop, through SQLAlchemy's async engine.

State is here and never in a process, so that any pod of either variant can serve the next request, and a rollback in
the middle of something loses nothing. A database that can't be reached is a 503 with Retry-After, never a hang.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import structlog
from sqlalchemy import MetaData, event, make_url, text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, NotSupportedError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from serin_services.problems import RETRY_AFTER_SECONDS, ProblemError
from serin_services.settings import DatabaseSettings

_SCHEMA_LOCK = 0x5E1_2117
"""Key of the advisory lock under which tables are made; any constant that nobody else uses."""
_CONNECT_SECONDS = 3.0
_STATEMENT_SECONDS = 5.0
_LONGEST_PAUSE_SECONDS = 3.0

log = structlog.get_logger("database")


class DatabaseUnavailableError(ProblemError):
    """The database gave no answer; the same request may work in a moment."""

    def __init__(self) -> None:
        super().__init__(503, "The database can't be reached at present.", retry_after=RETRY_AFTER_SECONDS)


class Database:
    """A bounded pool of connections, and the tables of one service.

    Args:
        settings: Where the database is, and how many connections one process may hold.
        metadata: Tables that must exist before the process is ready.
        name: Shown by the server beside each connection.
    """

    def __init__(self, settings: DatabaseSettings, metadata: MetaData, name: str) -> None:
        self._metadata = metadata
        self._engine = _make_engine(settings, name)
        self._opening: asyncio.Task[None] | None = None
        self.ready = False

    @property
    def kind(self) -> str:
        """`postgresql` or `sqlite`."""
        return self._engine.dialect.name

    async def open(self) -> None:
        """Start to connect, and return at once.

        The process then lives without being ready: a database that starts later than its clients is no reason for
        restarts.
        """
        self._opening = asyncio.create_task(self._open())

    async def _open(self) -> None:
        attempts = AsyncRetrying(
            retry=retry_if_exception_type((OSError, DBAPIError)),
            wait=wait_random_exponential(multiplier=0.25, max=_LONGEST_PAUSE_SECONDS),
            before_sleep=_say_not_yet,
        )
        await attempts(self._make_tables)
        self.ready = True
        log.info("the database is ready", database=self.kind)

    async def _make_tables(self) -> None:
        async with self._engine.begin() as connection:
            if self.kind == "postgresql":
                # Many pods start together; two that create one table at the same time both fail.
                await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SCHEMA_LOCK})
            await connection.run_sync(self._metadata.create_all)

    async def wait_until_ready(self) -> None:
        """Wait until the tables exist."""
        if self._opening is not None:
            await self._opening

    async def close(self) -> None:
        """Stop connecting, and close all connections."""
        if self._opening is not None:
            self._opening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._opening
        self.ready = False
        await self._engine.dispose()

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Give a connection inside a transaction: committed at the end, rolled back on an error.

        Raises:
            DatabaseUnavailableError: The server can't be reached, or no connection is free in time.
        """
        if not self.ready:
            raise DatabaseUnavailableError
        try:
            async with self._engine.begin() as connection:
                yield connection
        except (IntegrityError, ProgrammingError, DataError, NotSupportedError):
            raise  # These are mistakes of this program, not of the server.
        except (OSError, DBAPIError, PoolTimeoutError) as error:
            log.warning("the database gave no answer", error=type(error).__name__)
            raise DatabaseUnavailableError from error

    async def ping(self) -> float:
        """Return the seconds that the smallest question takes.

        Raises:
            DatabaseUnavailableError: There was no answer.
        """
        start = time.perf_counter()
        async with self.transaction() as connection:
            await connection.execute(text("SELECT 1"))
        return time.perf_counter() - start


def _make_engine(settings: DatabaseSettings, name: str) -> AsyncEngine:
    url = make_url(settings.url)
    # hide_parameters: an error of the driver must not carry a message's text into the log.
    if url.get_backend_name() == "sqlite":
        engine = create_async_engine(url, hide_parameters=True, connect_args={"timeout": _STATEMENT_SECONDS})
        _let_sqlite_write(engine)
        return engine
    return create_async_engine(
        url,
        hide_parameters=True,
        pool_size=settings.pool_size,
        max_overflow=settings.pool_overflow,
        pool_timeout=settings.pool_timeout,
        # A restart of the server leaves dead connections behind; asking first turns them into new ones.
        pool_pre_ping=True,
        connect_args={
            "timeout": _CONNECT_SECONDS,
            "command_timeout": _STATEMENT_SECONDS,
            "server_settings": {"application_name": name, "jit": "off"},
        },
    )


def _let_sqlite_write(engine: AsyncEngine) -> None:
    """Let several processes write one file: take the write lock first, and wait for it.

    Python's driver begins a transaction at the first write; by then another process may have written, and SQLite
    refuses at once instead of waiting.
    """

    @event.listens_for(engine.sync_engine, "connect")
    def _on_connect(connection: object, _record: object) -> None:
        connection.isolation_level = None  # type: ignore[attr-defined]
        cursor = connection.cursor()  # type: ignore[attr-defined]
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _on_begin(connection: object) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # type: ignore[attr-defined]


def _say_not_yet(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.warning(
        "the database can't be reached yet: trying again",
        error=type(error).__name__,
        attempt=state.attempt_number,
        pause_seconds=round(state.upcoming_sleep, 1),
    )
