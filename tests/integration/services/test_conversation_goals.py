"""The figures of the A/B goals, from real rows in both databases, against what a reader computes from the same rows."""

import datetime as dt
import random
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa

from serin_conversation.goals import ANOTHER_VISIT, IDLE, RETURN_WITHIN, plan
from serin_conversation.schema import MIGRATIONS, feedback, sessions, turns
from serin_conversation.seed import seed
from serin_services.database import Database
from serin_services.goals import Window, compute
from serin_services.settings import DatabaseSettings

NOW = dt.datetime(2026, 11, 24, 12, 0, tzinfo=dt.UTC)
WINDOW = Window(NOW - dt.timedelta(days=14), NOW)


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Open an empty database with all tables."""
    found = Database(DatabaseSettings(url=database_url), MIGRATIONS, "test")
    await found.open()
    await found.wait_until_ready()
    yield found
    await found.close()


async def rows_of(database: Database) -> list[dict[str, Any]]:
    """Write 300 random sessions of 60 users over 20 days and return them, each with its feedback."""
    draw = random.Random(7)
    rows = []
    for _ in range(300):
        started = NOW - dt.timedelta(seconds=draw.uniform(60, 20 * 86400))
        last = min(started + dt.timedelta(seconds=draw.uniform(0, 1800)), NOW)
        ended = draw.random() < 0.6
        user_id = f"u-{draw.randrange(60)}"
        rows.append(
            {
                "id": str(uuid.UUID(int=draw.getrandbits(128))),
                "user_id": user_id,
                "turns": draw.choice((0, 1, 3)),
                "memory": "",
                "started_at": started,
                "last_at": last,
                "language": "en",
                "variant": "canary" if int(user_id[2:]) < 30 else "control",
                "ended_at": last if ended else None,
                "completed": draw.random() < 0.7 if ended else None,
            }
        )
    judged = [
        {
            "session_id": row["id"],
            "turn": 0,
            "rating": float(draw.randint(1, 5)),
            "helpful": None,
            "comment": "",
            "variant": row["variant"],
            "given_at": row["last_at"],
        }
        for row in rows
        if draw.random() < 0.5
    ]
    async with database.transaction() as connection:
        await connection.execute(sa.insert(sessions), rows)
        await connection.execute(sa.insert(feedback), judged)
    ratings = {one["session_id"]: one["rating"] for one in judged}
    return [{**row, "rating": ratings.get(row["id"])} for row in rows]


def expected(rows: list[dict[str, Any]]) -> dict[str, dict[str, list[float]]]:
    """Compute each user's figure of each goal as the documentation says it; by goal and variant."""
    values: dict[tuple[str, str], list[float]] = defaultdict(list)
    variants = {row["user_id"]: row["variant"] for row in rows}
    inside = [row for row in rows if WINDOW.since <= row["started_at"] < NOW]
    for row in rows:
        if row["rating"] is not None and WINDOW.since <= row["last_at"] < NOW:
            values["satisfaction", row["user_id"]].append(row["rating"])
    for row in inside:
        if row["turns"] and (row["ended_at"] or row["last_at"] < NOW - IDLE):
            length = ((row["ended_at"] or row["last_at"]) - row["started_at"]).total_seconds()
            values["session_duration_seconds", row["user_id"]].append(length)
            values["completion", row["user_id"]].append(1.0 if row["completed"] else 0.0)
    for user_id in {row["user_id"] for row in inside}:
        first = min(row["started_at"] for row in inside if row["user_id"] == user_id)
        later = [row["started_at"] - first for row in rows if row["user_id"] == user_id]
        if first <= NOW - RETURN_WITHIN:
            values["return_7d", user_id].append(float(any(ANOTHER_VISIT <= gap <= RETURN_WITHIN for gap in later)))
    served = {row["user_id"] for row in inside}
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for (goal, user_id), figures in values.items():
        if user_id in served:
            found[goal][variants[user_id]].append(sum(figures) / len(figures))
    return found


async def test_the_sums_are_those_of_the_users_figures(database: Database) -> None:
    """Users, sum and sum of squares of all four goals are what the same rows give in plain Python."""
    rows = await rows_of(database)
    async with database.read() as connection:
        figures = await compute(connection, plan(WINDOW), WINDOW)
    wanted = expected(rows)
    assert set(wanted) == {"satisfaction", "session_duration_seconds", "completion", "return_7d"}
    for goal, variants in wanted.items():
        for variant, values in variants.items():
            groups = [one for one in figures.sums if (one.goal, one.variant) == (goal, variant)]
            assert sum(group.users for group in groups) == len(values) > 10, goal
            assert sum(group.total for group in groups) == pytest.approx(sum(values), rel=1e-5), goal
            squares = sum(value * value for value in values)
            assert sum(group.squares for group in groups) == pytest.approx(squares, rel=1e-5), goal
    assert 0.0 < sum(wanted["return_7d"]["canary"]) < len(wanted["return_7d"]["canary"])
    assert {group.segment for group in figures.sums} == {"new", "existing"}


async def test_what_is_not_over_is_in_no_sum(database: Database) -> None:
    """A conversation that goes on has no duration, and a user of yesterday has not failed to return."""
    row = {
        "id": str(uuid.uuid4()),
        "user_id": "u-1",
        "turns": 2,
        "memory": "",
        "started_at": NOW - dt.timedelta(minutes=20),
        "last_at": NOW - dt.timedelta(minutes=5),
        "variant": "canary",
    }
    async with database.transaction() as connection:
        await connection.execute(sa.insert(sessions), row)
    async with database.read() as connection:
        figures = await compute(connection, plan(WINDOW), WINDOW)
    assert figures.sums == ()
    assert figures.active_users == {"canary": 1}


async def test_a_user_whom_both_served_counts_for_the_first(database: Database) -> None:
    """Started by control, answered by the canary: the user is mixed, and control's."""
    session_id, began = str(uuid.uuid4()), NOW - dt.timedelta(hours=3)
    session = {
        "id": session_id,
        "user_id": "u-1",
        "turns": 1,
        "memory": "",
        "started_at": began,
        "last_at": began + dt.timedelta(minutes=1),
        "ended_at": began + dt.timedelta(minutes=2),
        "completed": True,
        "variant": "control",
    }
    turn = {
        "session_id": session_id,
        "number": 1,
        "message": "hello",
        "reply": "hello",
        "intent": "greet",
        "engine": "phase4",
        "variant": "canary",
        "said_at": began + dt.timedelta(minutes=1),
    }
    async with database.transaction() as connection:
        await connection.execute(sa.insert(sessions), session)
        await connection.execute(sa.insert(turns), turn)
    async with database.read() as connection:
        figures = await compute(connection, plan(WINDOW), WINDOW)
    assert figures.mixed_users == 1
    assert figures.adoption_ratio == 1.0
    assert {(group.goal, group.variant, round(group.total, 2)) for group in figures.sums} == {
        ("session_duration_seconds", "control", 120.0),
        ("completion", "control", 1.0),
    }


async def test_seeding_twice_writes_once(database: Database) -> None:
    """A second run finds everything; the figures of both variants are there."""
    assert await seed(database, 60, NOW) == 60
    assert await seed(database, 60, NOW) == 0
    async with database.read() as connection:
        figures = await compute(connection, plan(WINDOW), WINDOW)
        told = (await connection.execute(sa.select(sa.func.count()).select_from(turns))).scalar_one()
    assert told == 60 * 8
    assert {group.variant for group in figures.sums if group.goal == "satisfaction"} == {"control", "canary"}
