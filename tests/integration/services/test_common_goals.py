"""The sums of the goals: right on random data, computed once for all pods, and never by a scrape."""

import asyncio
import datetime as dt
import random
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

import pytest
import sqlalchemy as sa
from prometheus_client import CollectorRegistry, generate_latest

from serin_services import tables
from serin_services.collector import GoalCollector
from serin_services.database import Database
from serin_services.goals import Exposures, Goal, GoalPlan, Window, began, compute
from serin_services.settings import DatabaseSettings, ServiceSettings
from serin_services.statements import count_statements

metadata = sa.MetaData()
visits = sa.Table(
    "visit",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("user_id", sa.String(64), nullable=False),
    sa.Column("variant", sa.String(63), nullable=False),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("stars", sa.Integer),
)
snapshots = tables.goal_snapshots(metadata, "shop")
NOW = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)


def plan(window: Window) -> GoalPlan:
    """Say what is summed: the stars that users gave in the window."""
    table = visits.c
    within = (table.at >= window.since, table.at < window.until)
    return GoalPlan(
        Exposures(
            served=sa.select(table.user_id, table.variant, table.at),
            first_seen=sa.select(table.user_id, sa.func.min(table.at).label("first_at")).group_by(table.user_id),
        ),
        (Goal("satisfaction", sa.select(table.user_id, table.stars.label("value")).where(*within)),),
    )


def rows(seed: int, count: int = 600) -> list[dict[str, Any]]:
    """Draw visits of 60 users over 30 days, most of them with one variant, a third without stars."""
    draw = random.Random(seed)
    made = []
    for number in range(count):
        user = draw.randrange(60)
        usual = "canary" if user % 3 == 0 else "control"
        variant = draw.choice(("canary", "control")) if user < 10 else usual
        at = NOW - dt.timedelta(minutes=1 + draw.randrange(30 * 1440 if user % 2 else 5 * 1440))
        stars = None if draw.random() < 0.33 else draw.randint(1, 5)
        made.append({"id": number, "user_id": f"u-{user:02d}", "variant": variant, "at": at, "stars": stars})
    return made


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Give an open database of each kind."""
    found = Database(DatabaseSettings(url=database_url), metadata, "test")
    await found.open()
    await found.wait_until_ready()
    yield found
    await found.close()


async def fill(database: Database, made: list[dict[str, Any]]) -> None:
    """Store visits."""
    async with database.transaction() as connection:
        await connection.execute(visits.insert(), made)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_the_sums_are_those_of_a_plain_loop(database: Database, seed: int) -> None:
    """Count, sum and sum of squares by variant and segment, mixed users and the day's users, as counted by hand."""
    made = rows(seed)
    await fill(database, made)
    window = Window(NOW - dt.timedelta(days=10), NOW)
    async with database.read() as connection:
        figures = await compute(connection, plan(window), window)

    of_user: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in sorted(made, key=lambda row: (row["at"], row["variant"])):
        of_user[row["user_id"]].append(row)
    expected: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0, 0.0, 0.0])
    mixed = 0
    for history in of_user.values():
        recent = [row for row in history if row["at"] >= window.since]
        if not recent:
            continue
        mixed += len({row["variant"] for row in recent}) > 1
        stars = [row["stars"] for row in recent if row["stars"] is not None]
        if stars:
            segment = "new" if history[0]["at"] >= NOW - dt.timedelta(days=7) else "existing"
            mean = sum(stars) / len(stars)
            group = expected[recent[0]["variant"], segment]
            group[0] += 1
            group[1] += mean
            group[2] += mean**2
    found = {(sums.variant, sums.segment): [sums.users, sums.total, sums.squares] for sums in figures.sums}
    assert set(found) == set(expected)
    assert len(found) == 4
    for group, values in expected.items():
        assert found[group] == pytest.approx(values)
    assert figures.mixed_users == mixed > 0

    today = [row for row in made if row["at"] >= NOW - dt.timedelta(days=1)]
    by_canary = {row["user_id"] for row in today if row["variant"] == "canary"}
    everybody = {row["user_id"] for row in today}
    assert figures.active_users is not None
    assert sum(figures.active_users.values()) == len(everybody)
    assert figures.adoption_ratio == pytest.approx(len(by_canary) / len(everybody))


async def test_the_comparison_begins_with_the_later_variant(database: Database) -> None:
    """Before the canary served, everybody was control's: that time is left out. With one variant nothing is."""
    window = Window(NOW - dt.timedelta(days=14), NOW)
    base = {"stars": None, "user_id": "u-1"}
    await fill(database, [{"id": 1, "variant": "control", "at": NOW - dt.timedelta(days=9), **base}])
    async with database.read() as connection:
        assert await began(connection, plan(window).exposures, window) == window.since
    await fill(
        database,
        [
            {"id": 2, "variant": "canary", "at": NOW - dt.timedelta(days=3), **base},
            {"id": 3, "variant": "canary", "at": NOW - dt.timedelta(days=1), **base},
        ],
    )
    async with database.read() as connection:
        assert await began(connection, plan(window).exposures, window) == NOW - dt.timedelta(days=3)


def collector(database: Database, registry: CollectorRegistry, clock: Any = lambda: NOW) -> GoalCollector:
    """Make the collector of one pod."""
    settings = ServiceSettings(goals_since=NOW - dt.timedelta(days=10))
    return GoalCollector("shop", database, snapshots, plan, settings, registry=registry, clock=clock)


async def test_a_scrape_reads_memory_alone(database: Database) -> None:
    """However often it is scraped, the database is asked by the refresh only; before the first there is no figure."""
    await fill(database, rows(1))
    registry = CollectorRegistry()
    goals = collector(database, registry)
    assert b"serin_goal_users{" not in generate_latest(registry)
    await goals.refresh()
    with count_statements(database.engine) as statements:
        for _ in range(100):
            text = generate_latest(registry).decode()
    assert statements.total == 0
    for name in ("users", "sum", "sum_of_squares"):
        for variant in ("control", "canary"):
            labels = f'goal="satisfaction",segment="existing",service="shop",variant="{variant}"'
            assert f"serin_goal_{name}{{{labels}}}" in text
    assert 'serin_active_users{service="shop",variant="control",window="1d"}' in text
    assert registry.get_sample_value("serin_goals_age_seconds", {"service": "shop"}) == 0


async def test_one_pod_computes_for_all(database: Database) -> None:
    """Ten pods that refresh in the same minute: one computes, all export the same; a minute later it begins anew."""
    await fill(database, rows(1))
    now = NOW
    registries = [CollectorRegistry() for _ in range(10)]
    pods = [collector(database, registry, lambda: now) for registry in registries]
    with count_statements(database.engine) as statements:
        await asyncio.gather(*(pod.refresh() for pod in pods[:5]))
        for pod in pods:
            await pod.refresh()
    assert statements.by_table()["served_users"] == 3
    assert len({generate_latest(registry) for registry in registries}) == 1
    now = NOW + dt.timedelta(seconds=61)
    with count_statements(database.engine) as statements:
        for pod in pods:
            await pod.refresh()
    assert statements.by_table()["served_users"] == 3


async def test_an_outage_keeps_the_last_figures(postgres: Any) -> None:
    """While the database is away the figures stay, and their age tells how old they are."""
    now = NOW
    database = Database(DatabaseSettings(url=postgres.url), metadata, "test")
    await database.open()
    await database.wait_until_ready()
    await fill(database, rows(1))
    registry = CollectorRegistry()
    goals = collector(database, registry, lambda: now)
    await goals.refresh()
    labels = {"service": "shop", "goal": "satisfaction", "variant": "control", "segment": "existing"}
    before = registry.get_sample_value("serin_goal_sum", labels)
    await asyncio.to_thread(postgres.stop)
    now = NOW + dt.timedelta(seconds=300)
    with pytest.raises(Exception, match="database"):
        await goals.refresh()
    assert registry.get_sample_value("serin_goal_sum", labels) == before
    assert registry.get_sample_value("serin_goals_age_seconds", {"service": "shop"}) == 300
    await database.close()
