"""Exports the sums of the goals, without ever letting a scrape reach the database.

A scrape every few seconds from ten pods would otherwise ask ten times for the heaviest queries of the service. Here a
background task asks, once a minute; of all pods of a service one computes, and the others read what it stored. A scrape
reads memory. When the database is away the last good figures stay, and their age says so.
"""

import datetime as dt
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Final

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Table, delete, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from serin_services.database import Database
from serin_services.goals import Figures, GoalPlan, GoalSums, Window, began, compute
from serin_services.settings import ServiceSettings

Plan = Callable[[Window], GoalPlan]
"""Gives the selects of a service for a window."""

REFRESH_SECONDS: Final = 60.0
_LOCK: Final = 0x5E1_60A1
_ROW: Final = 1

log = structlog.get_logger("goals")


class GoalCollector(Collector):
    """The figures of one service.

    Exports `serin_goal_users`, `serin_goal_sum`, `serin_goal_sum_of_squares` (labels service, goal, variant, segment),
    `serin_goal_mixed_users{service}`, `serin_active_users{service,window,variant}`, `serin_adoption_ratio{service}` and
    `serin_goals_age_seconds{service}`.

    Args:
        service: Name of the service.
        database: Where its rows are.
        snapshots: Table of the last figures.
        plan: What they are computed from.
        settings: The window, or when the comparison began.
        registry: Where the series go.
        clock: The time, UTC; a test passes its own.
    """

    def __init__(
        self,
        service: str,
        database: Database,
        snapshots: Table,
        plan: Plan,
        settings: ServiceSettings,
        *,
        registry: CollectorRegistry,
        clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        self._service = service
        self._database = database
        self._snapshots = snapshots
        self._plan = plan
        self._settings = settings
        self._clock = clock
        self._figures: Figures | None = None
        self._taken_at: dt.datetime | None = None
        registry.register(self)

    async def refresh(self) -> None:
        """Take over the figures that a pod stored within the last minute, or compute them.

        Raises:
            DatabaseUnavailableError: The database gave no answer; the last figures stay.
        """
        if not self._database.ready:
            return
        now = self._clock()
        async with self._database.read() as connection:
            if await self._take_over(connection, now):
                return
        async with self._database.transaction() as connection:
            if connection.dialect.name == "postgresql":
                locked = await connection.execute(
                    text("SELECT pg_try_advisory_xact_lock(:key, hashtext(:service))"),
                    {"key": _LOCK, "service": self._service},
                )
                if not locked.scalar_one():
                    return  # Another pod is at it; its figures come with the next run.
            # Whoever had the lock may have been at it between the look above and this one.
            if await self._take_over(connection, now):
                return
            figures = await self._compute(connection, now)
            await self._store(connection, figures, now)
        self._figures, self._taken_at = figures, now

    async def _take_over(self, connection: AsyncConnection, now: dt.datetime) -> bool:
        table = self._snapshots
        row = (await connection.execute(select(table.c.taken_at, table.c.sums).where(table.c.id == _ROW))).one_or_none()
        if row is None:
            return False
        taken_at = row.taken_at if row.taken_at.tzinfo else row.taken_at.replace(tzinfo=dt.UTC)
        if not dt.timedelta() <= now - taken_at < dt.timedelta(seconds=REFRESH_SECONDS * 0.85):
            return False
        raw = json.loads(row.sums)
        raw["sums"] = tuple(GoalSums(**sums) for sums in raw["sums"])
        self._figures, self._taken_at = Figures(**raw), taken_at
        return True

    async def _compute(self, connection: AsyncConnection, now: dt.datetime) -> Figures:
        window = Window(now - dt.timedelta(seconds=self._settings.goals_window), now)
        since = self._settings.goals_since
        if since is None:
            since = await began(connection, self._plan(window).exposures, window)
        elif since.tzinfo is None:
            since = since.replace(tzinfo=dt.UTC)
        window = Window(since, now)
        return await compute(connection, self._plan(window), window)

    async def _store(self, connection: AsyncConnection, figures: Figures, now: dt.datetime) -> None:
        await connection.execute(delete(self._snapshots).where(self._snapshots.c.id == _ROW))
        row = {"id": _ROW, "taken_at": now, "sums": json.dumps(asdict(figures))}
        await connection.execute(insert(self._snapshots), row)

    def collect(self) -> Iterable[Metric]:
        """Yield the last figures; nothing before the first, since no figure is not the figure 0."""
        if self._figures is None or self._taken_at is None:
            return
        labels = ("service", "goal", "variant", "segment")
        users = GaugeMetricFamily("serin_goal_users", "Users with a figure.", labels=labels)
        total = GaugeMetricFamily("serin_goal_sum", "Sum of their figures.", labels=labels)
        squares = GaugeMetricFamily("serin_goal_sum_of_squares", "Sum of their figures' squares.", labels=labels)
        for sums in self._figures.sums:
            group = (self._service, sums.goal, sums.variant, sums.segment)
            users.add_metric(group, sums.users)
            total.add_metric(group, sums.total)
            squares.add_metric(group, sums.squares)
        yield from (users, total, squares)
        active = GaugeMetricFamily(
            "serin_active_users",
            "Users served in the window, by who served first.",
            labels=("service", "window", "variant"),
        )
        for variant, count in (self._figures.active_users or {}).items():
            active.add_metric((self._service, "1d", variant), count)
        yield active
        age = (self._clock() - self._taken_at).total_seconds()
        for name, text_, value in (
            ("serin_goal_mixed_users", "Users whom both variants served.", float(self._figures.mixed_users)),
            ("serin_adoption_ratio", "Share of the day's users whom the canary served.", self._figures.adoption_ratio),
            ("serin_goals_age_seconds", "Age of these figures.", age),
        ):
            gauge = GaugeMetricFamily(name, text_, labels=("service",))
            gauge.add_metric((self._service,), value)
            yield gauge
