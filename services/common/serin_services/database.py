"""The database of a service: PostgreSQL in a cluster, SQLite on a laptop, through SQLAlchemy's async engine.

State is here and never in a process, so that any pod of either variant can serve the next request, and a rollback in
the middle of something loses nothing. A database that can't be reached is a 503 with Retry-After, never a hang.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import structlog
from prometheus_client import CollectorRegistry
from sqlalchemy import MetaData, text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, NotSupportedError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from serin_services.engine import READ_ONLY, make_engine
from serin_services.migrations import Migrations, SchemaBehindError, lock_schema
from serin_services.pool import PoolMetrics
from serin_services.problems import RETRY_AFTER_SECONDS, ProblemError
from serin_services.settings import DatabaseSettings

_LONGEST_PAUSE_SECONDS = 3.0
_STALE_PLAN = "InvalidCachedStatementError"
"""asyncpg's name for "a migration changed a table under a prepared statement": the next attempt works."""

log = structlog.get_logger("database")


class DatabaseUnavailableError(ProblemError):
    """The database gave no answer; the same request may work in a moment."""

    def __init__(self, detail: str = "The database can't be reached at present.") -> None:
        super().__init__(503, detail, retry_after=RETRY_AFTER_SECONDS)


class DatabaseLostError(DatabaseUnavailableError):
    """The server is away, or the connection to it broke. What was being written may or may not be committed."""


class DatabaseBusyError(DatabaseUnavailableError):
    """No connection of the pool became free in time: nothing was sent to the server."""

    def __init__(self) -> None:
        super().__init__("All connections to the database are busy: try again in a moment.")


class Database:
    """A bounded pool of connections, and the schema of one service.

    Args:
        settings: Where the database is, and how many connections one process may hold.
        schema: What must be there before the process is ready: migrations that were applied, or tables to make.
        name: Shown by the server beside each connection.
        registry: Gets the series of the pool.
    """

    def __init__(
        self,
        settings: DatabaseSettings,
        schema: MetaData | Migrations,
        name: str,
        registry: CollectorRegistry | None = None,
    ) -> None:
        self._settings = settings
        self._schema = schema
        self._name = name
        self._engine = make_engine(settings, name)
        self._reader = self._engine.execution_options(**READ_ONLY)
        self._opening: asyncio.Task[None] | None = None
        self._metrics = PoolMetrics(self._engine, registry) if registry is not None else None
        self.ready = False

    @property
    def kind(self) -> str:
        """`postgresql` or `sqlite`."""
        return self._engine.dialect.name

    @property
    def engine(self) -> AsyncEngine:
        """The engine below, for tests and benches; requests use `transaction` and `read`."""
        return self._engine

    async def open(self) -> None:
        """Start to connect, and return at once.

        The process then lives without being ready: a database that starts later than its clients is no reason for
        restarts.
        """
        self._opening = asyncio.create_task(self._open())

    async def _open(self) -> None:
        attempts = AsyncRetrying(
            retry=retry_if_exception_type((OSError, DBAPIError, SchemaBehindError)),
            wait=wait_random_exponential(multiplier=0.25, max=_LONGEST_PAUSE_SECONDS),
            before_sleep=_say_not_yet,
        )
        await attempts(self._prepare)
        self.ready = True
        log.info("the database is ready", database=self.kind)

    async def _prepare(self) -> None:
        if isinstance(self._schema, Migrations):
            async with self._reader.connect() as connection:
                if await self._schema.fits(connection):
                    return
            if self._settings.migrate == "wait":
                raise SchemaBehindError(self._schema.name)
        async with patient_transaction(self._settings, self._name) as connection:
            # Many pods start together; two that create one table at the same time both fail.
            await lock_schema(connection)
            if isinstance(self._schema, MetaData):
                await connection.run_sync(self._schema.create_all)
            elif not await self._schema.fits(connection):
                await self._schema.upgrade(connection)

    async def wait_until_ready(self) -> None:
        """Wait until the schema is there."""
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
            DatabaseLostError: The server can't be reached or does not answer.
            DatabaseBusyError: No connection became free in time.
        """
        async with self._errors(), self._engine.begin() as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Give a connection that only reads: each SELECT is one round trip, and sees what is committed then.

        A transaction costs two round trips more, which a look-up does not need.

        Raises:
            DatabaseLostError: The server can't be reached or does not answer.
            DatabaseBusyError: No connection became free in time.
        """
        async with self._errors(), self._reader.connect() as connection:
            yield connection

    def autocommit(self) -> contextlib.AbstractAsyncContextManager[AsyncConnection]:
        """Give a connection like `read`'s for a write of one statement, which then costs one round trip."""
        return self.read()

    @contextlib.asynccontextmanager
    async def _errors(self) -> AsyncIterator[None]:
        if not self.ready:
            raise DatabaseLostError
        try:
            yield
        except PoolTimeoutError as error:
            self._note("busy", error)
            raise DatabaseBusyError from error
        except (IntegrityError, ProgrammingError, DataError):
            raise  # These are mistakes of this program, not of the server.
        except NotSupportedError as error:
            if _STALE_PLAN not in str(error.orig):
                raise
            self._note("lost", error)
            raise DatabaseLostError from error
        except (OSError, DBAPIError) as error:
            self._note("lost", error)
            raise DatabaseLostError from error

    def _note(self, kind: str, error: Exception) -> None:
        log.warning("the database gave no answer", kind=kind, error=type(error).__name__)
        if self._metrics is not None:
            self._metrics.errors.labels(kind).inc()

    async def ping(self) -> float:
        """Return the seconds that the smallest question takes.

        Raises:
            DatabaseUnavailableError: There was no answer.
        """
        start = time.perf_counter()
        async with self.read() as connection:
            await connection.execute(text("SELECT 1"))
        return time.perf_counter() - start


@contextlib.asynccontextmanager
async def patient_transaction(settings: DatabaseSettings, name: str) -> AsyncIterator[AsyncConnection]:
    """Give a connection of its own in a transaction without time limits, as a migration needs it."""
    engine = make_engine(settings, name, patient=True)
    try:
        async with engine.begin() as connection:
            yield connection
    finally:
        await engine.dispose()


def _say_not_yet(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    behind = isinstance(error, SchemaBehindError)
    log.warning(
        "the database is not ready yet: trying again",
        reason=str(error) if behind else "it can't be reached",
        error=type(error).__name__,
        attempt=state.attempt_number,
        pause_seconds=round(state.upcoming_sleep, 1),
    )
