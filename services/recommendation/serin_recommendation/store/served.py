"""Notes what was served to whom, beside the requests: a write for each would double what a request costs.

Rows wait in memory for at most a second and go in one statement to each table. They are what the A/B figures are made
from, not what a user is promised: when the database is away the oldest are dropped and counted.
"""

import asyncio
import datetime as dt
from collections import deque
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
import structlog
from prometheus_client import CollectorRegistry, Counter

from serin_recommendation.store.repository import inserted, note_users
from serin_recommendation.store.tables import IDEMPOTENCY, Recommendation
from serin_services.database import Database, DatabaseUnavailableError
from serin_services.idempotency import purge

FLUSH_SECONDS: Final = 1.0
PURGE_SECONDS: Final = 3600.0
_MOST_WAITING: Final = 10_000
_AT_A_TIME: Final = 500
"""Rows of one statement: PostgreSQL takes 32,767 parameters, and a long statement holds a connection."""
_EPOCH: Final = dt.date(1970, 1, 1)

log = structlog.get_logger("served")


@dataclass(frozen=True, slots=True)
class ServedRow:
    """One answer."""

    recommendation_id: str
    user_id: str
    variant: str
    bucket: int
    engine: str
    cold_start: bool
    new_user: bool
    at: dt.datetime


class ServedLog:
    """The answers that were not written yet.

    Exports `serin_served_rows_total{result}` (written, dropped).

    Args:
        database: Where they go.
        keep: Seconds after which a row is removed.
        registry: Where the series go.
    """

    def __init__(self, database: Database, keep: float, registry: CollectorRegistry) -> None:
        self._database = database
        self._keep = keep
        self._waiting: deque[ServedRow] = deque()
        self._writing = asyncio.Lock()
        self._rows = Counter("serin_served_rows_total", "Notes of answers.", ("result",), registry=registry)
        for result in ("written", "dropped"):
            self._rows.labels(result)

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, row: ServedRow) -> None:
        """Note an answer; the oldest note makes room when too many wait."""
        if len(self._waiting) >= _MOST_WAITING:
            self._waiting.popleft()
            self._rows.labels("dropped").inc()
        self._waiting.append(row)

    async def flush(self) -> None:
        """Write everything that waits; on an error it waits on.

        Raises:
            DatabaseUnavailableError: The database gave no answer.
        """
        async with self._writing:
            while self._waiting and self._database.ready:
                rows = [self._waiting[place] for place in range(min(_AT_A_TIME, len(self._waiting)))]
                await self._write(rows)
                # Rows that came in meanwhile are behind these; some of these may have been dropped meanwhile.
                written = set(map(id, rows))
                while self._waiting and id(self._waiting[0]) in written:
                    self._waiting.popleft()
                self._rows.labels("written").inc(len(rows))

    async def close(self) -> None:
        """Write what still waits, if the database takes it."""
        try:
            await self.flush()
        except DatabaseUnavailableError:
            log.warning("notes of answers were lost", rows=len(self._waiting))

    async def purge(self) -> None:
        """Remove what is too old to be counted, and answers that were kept for retries."""
        horizon = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=self._keep)
        async with self._database.transaction() as connection:
            await connection.execute(sa.delete(Recommendation).where(Recommendation.served_at < horizon))
            await purge(connection, IDEMPOTENCY)

    async def _write(self, rows: list[ServedRow]) -> None:
        values = [
            {
                "recommendation_id": row.recommendation_id,
                "user_id": row.user_id,
                "variant": row.variant,
                "bucket": row.bucket,
                "engine": row.engine,
                "cold_start": row.cold_start,
                "served_at": row.at,
                "day": day_of(row.at),
            }
            for row in rows
        ]
        async with self._database.transaction() as connection:
            newcomers = {row.user_id for row in rows if row.new_user}
            if newcomers:
                await note_users(connection, newcomers, rows[0].at)
            # After an error nobody knows whether a write was committed; the same rows twice are the same rows.
            await connection.execute(inserted(connection, Recommendation).values(values).on_conflict_do_nothing())


def day_of(at: dt.datetime) -> int:
    """Return the number of days since 1970, UTC."""
    return (at.astimezone(dt.UTC).date() - _EPOCH).days
