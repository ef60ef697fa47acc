"""The recommendation service's rows on both databases: schema, round trips, feedback, trends, figures of the goals."""

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import sqlalchemy as sa
from fastapi import FastAPI

from serin_recommendation.cli import main as command
from serin_recommendation.main import create_app
from serin_recommendation.settings import RecommendationSettings
from serin_recommendation.store import bulk
from serin_recommendation.store.goals import plan
from serin_recommendation.store.repository import Repository
from serin_recommendation.store.served import ServedLog, ServedRow, day_of
from serin_recommendation.store.tables import MIGRATIONS, Base, Feedback, Interaction, Recommendation, User
from serin_recommendation.synthetic import now_synthetic, synthetic
from serin_services.database import Database, patient_transaction
from serin_services.goals import Window, compute
from serin_services.metrics import CollectorRegistry
from serin_services.settings import DatabaseSettings, ServiceSettings
from serin_services.statements import count_statements

NOW = dt.datetime(2026, 3, 20, 12, tzinfo=dt.UTC)
API = "/api/v2/recommend"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Open a database with the schema and nothing else."""
    opened = Database(DatabaseSettings(url=database_url), MIGRATIONS, "test")
    await opened.open()
    await opened.wait_until_ready()
    yield opened
    await opened.close()


@pytest.fixture
async def seeded(database: Database) -> Database:
    """Fill the database with the synthetic data."""
    async with database.transaction() as connection:
        await bulk.write(connection, now_synthetic())
    return database


def serve(url: str, models: Path, **settings: Any) -> AbstractAsyncContextManager[tuple[FastAPI, httpx.AsyncClient]]:
    """Serve the application on a database."""

    @contextlib.asynccontextmanager
    async def served() -> AsyncIterator[tuple[FastAPI, httpx.AsyncClient]]:
        # Budgets that a busy machine keeps: what is compared here are whole answers.
        own = RecommendationSettings(
            model_dir=models, seed="never", budget_collaborative=10.0, budget_content=10.0, budget_persona=10.0
        )
        app = create_app(ServiceSettings(**settings), DatabaseSettings(url=url), own)
        async with app.router.lifespan_context(app):
            await app.state.database.wait_until_ready()
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
                yield app, client

    return served()


async def test_the_scripts_make_the_schema_and_undo_it(database_url: str) -> None:
    """Up, all the way down and up again; what the scripts make is what the code works with."""
    settings = DatabaseSettings(url=database_url)
    assert MIGRATIONS.script_head() == MIGRATIONS.head
    async with patient_transaction(settings, "test") as connection:
        await MIGRATIONS.upgrade(connection)
        assert await MIGRATIONS.differences(connection, Base.metadata) == []
        await MIGRATIONS.downgrade(connection, "base")
        left = await connection.run_sync(lambda sync: sa.inspect(sync).get_table_names())
        assert set(left) == {MIGRATIONS.version_table}
        await MIGRATIONS.upgrade(connection)
        assert await MIGRATIONS.differences(connection, Base.metadata) == []


async def test_a_data_set_comes_back_as_it_was_written(database: Database) -> None:
    """Seeding and reading for training are inverse; a second seeding of the same ids keeps the first."""
    data = synthetic(users=120, items=200)
    async with database.transaction() as connection:
        assert await bulk.is_empty(connection)
        await bulk.write(connection, data)
        assert not await bulk.is_empty(connection)
        found = await bulk.read(connection)
    assert found.items == data.items
    assert found.user_ids == data.user_ids
    assert np.array_equal(found.personas, data.personas)
    assert np.array_equal(found.users, data.users)
    assert np.array_equal(found.chosen, data.chosen)
    assert np.array_equal(found.completed, data.completed)
    assert np.array_equal(found.ratings, data.ratings, equal_nan=True)
    assert found.times == pytest.approx(data.times, abs=1e-3)


async def test_what_a_user_did_twice_with_an_item_is_one_interaction(database: Database) -> None:
    """The log has a row for each event; training and profiles see one: completed if ever, with the last rating."""
    rows = [("u", "a", 0, False, None), ("u", "a", 1, True, 2.0), ("u", "a", 2, False, 5.0), ("u", "b", 1, False, None)]
    async with database.transaction() as connection:
        await bulk.write(connection, synthetic(users=1, items=160))
        await connection.execute(sa.delete(Interaction))
        await connection.execute(
            sa.insert(Interaction),
            [
                {
                    "user_id": "u-0000",
                    "item_id": f"item-000{'ab'.index(item)}",
                    "occurred_at": NOW + dt.timedelta(hours=hour),
                    "completed": completed,
                    "rating": rating,
                }
                for _, item, hour, completed, rating in rows
            ],
        )
        data = await bulk.read(connection)
    assert data.chosen.tolist() == [0, 1]
    assert data.completed.tolist() == [True, False]
    assert data.ratings[0] == 5.0
    profile = (await Repository(database).profiles(["u-0000"]))["u-0000"]
    assert profile.item_ids == ("item-0000", "item-0001")
    assert profile.strength == pytest.approx([1.5, 0.5])


async def test_a_hundred_users_cost_one_round_trip_a_table(seeded: Database, database_url: str, models: Path) -> None:
    """A batch of 100 users sends one statement to each table that it reads, as one of one does; the next sends none."""
    users = [f"u-{number:04d}" for number in range(97)] + ["new-1", "new-2", "new-3"]
    async with serve(database_url, models, engine="phase4") as (app, client):
        await app.state.runtime.background.close()  # its statements would be counted too
        with count_statements(app.state.database.engine) as statements:
            first = await client.post(f"{API}/batch", json={"user_ids": users, "limit": 5})
        with count_statements(app.state.database.engine) as again:
            second = await client.post(f"{API}/batch", json={"user_ids": users, "limit": 5})
        with count_statements(app.state.database.engine) as single:
            await client.post(f"{API}/batch", json={"user_ids": ["u-0500"], "limit": 5})
    assert statements.by_table() == {"users": 1, "interactions": 1}
    assert statements.total == single.total == 2
    assert again.total == 0
    answer = first.json()
    assert [result["user_id"] for result in answer["results"]] == users
    assert [result["cold_start"] for result in answer["results"]] == [False] * 97 + [True] * 3
    assert all(len(result["items"]) == 5 for result in answer["results"])
    assert second.json() == answer
    assert seeded.ready


async def test_the_index_serves_the_look_up_of_a_user(postgres_url: str) -> None:
    """PostgreSQL finds a user's interactions by interaction_user_id, for one user and for a hundred."""
    settings = DatabaseSettings(url=postgres_url)
    async with patient_transaction(settings, "test") as connection:
        await MIGRATIONS.upgrade(connection)
        await bulk.write(connection, now_synthetic())
    async with patient_transaction(settings, "test") as connection:
        await connection.execute(sa.text("ANALYZE interactions"))
        for users in (["u-0042"], [f"u-{number:04d}" for number in range(20)]):
            among = ", ".join(f"'{user}'" for user in users)
            rows = await connection.execute(
                sa.text(f"EXPLAIN SELECT item_id FROM interactions WHERE user_id IN ({among})")  # noqa: S608
            )
            assert "interaction_user_id" in "\n".join(row[0] for row in rows)


async def told(url: str, models: Path, body: dict[str, Any], key: str | None = None) -> httpx.Response:
    """Give feedback to a pod of its own."""
    async with serve(url, models) as (_, client):
        headers = {"idempotency-key": key} if key else {}
        return await client.post(f"{API}/feedback", json=body, headers=headers)


async def count(database: Database, table: type[Base]) -> int:
    """Return the number of rows."""
    async with database.read() as connection:
        return int((await connection.execute(sa.select(sa.func.count()).select_from(table))).scalar_one())


async def test_feedback_delivered_often_is_written_once(seeded: Database, database_url: str, models: Path) -> None:
    """With one key, at the same time and one after another, on two pods: one set of rows, one answer."""
    before = await count(seeded, Interaction)
    events = [{"item_id": "item-0001", "event": "shown"}, {"item_id": "item-0001", "event": "completed"}]
    body = {"user_id": "u-0001", "recommendation_id": "a" * 32, "events": events}
    async with serve(database_url, models) as (_, one), serve(database_url, models) as (_, other):
        at_once = await asyncio.gather(
            *(
                pod.post(f"{API}/feedback", json=body, headers={"idempotency-key": "k"})
                for pod in (one, other, one, other)
            )
        )
    later = await told(database_url, models, body, "k")
    assert [response.status_code for response in (*at_once, later)] == [200] * 5
    assert {response.text for response in (*at_once, later)} == {'{"user_id":"u-0001","recorded":2,"repeated":0}'}
    assert later.headers["idempotency-replayed"] == "true"
    assert await count(seeded, Feedback) == 2
    assert await count(seeded, Interaction) == before + 1
    conflict = await told(database_url, models, {**body, "user_id": "u-0001", "events": events[:1]}, "k")
    assert conflict.status_code == 422


async def test_the_same_event_without_a_key_is_known_too(seeded: Database, database_url: str, models: Path) -> None:
    """An event of one answer and item is one event; another rating replaces the first; another answer is another."""
    body = {
        "user_id": "u-0002",
        "recommendation_id": "b" * 32,
        "events": [
            {"item_id": "item-0003", "event": "clicked"},
            {"item_id": "item-0003", "event": "rating", "rating": 2},
        ],
    }
    assert (await told(database_url, models, body)).json()["recorded"] == 2
    assert (await told(database_url, models, body)).json() == {"user_id": "u-0002", "recorded": 0, "repeated": 2}
    body["events"][1]["rating"] = 5  # type: ignore[index]
    assert (await told(database_url, models, body)).json()["recorded"] == 1
    assert (await told(database_url, models, {**body, "recommendation_id": "c" * 32})).json()["recorded"] == 2
    async with seeded.read() as connection:
        ratings = await connection.execute(
            sa.select(Feedback.rating).where(Feedback.event == "rating").order_by(Feedback.recommendation_id)
        )
        assert list(ratings.scalars()) == [5.0, 5.0]


async def test_feedback_on_an_unknown_item_writes_nothing(seeded: Database, database_url: str, models: Path) -> None:
    """404 names the event and not what was sent, nothing of the request is kept, and the key stays free."""
    events = [{"item_id": "item-0001", "event": "shown"}, {"item_id": "no-such-item", "event": "shown"}]
    response = await told(database_url, models, {"user_id": "u-0001", "events": events}, "k")
    assert response.status_code == 404
    assert response.json()["detail"] == "There is no such item: events 1."
    assert await count(seeded, Feedback) == 0
    assert (await told(database_url, models, {"user_id": "u-0001", "events": events[:1]}, "k")).status_code == 200


async def test_feedback_changes_the_next_ranking(seeded: Database, database_url: str, models: Path) -> None:
    """What a user has watched is not recommended again, from the next request on, and a stranger becomes known."""
    async with serve(database_url, models, engine="phase4") as (_, client):
        question = {"user_id": "stranger", "limit": 3}
        first = (await client.post(f"{API}/personalized", json=question)).json()
        top = first["items"][0]["item_id"]
        body = {
            "user_id": "stranger",
            "recommendation_id": first["recommendation_id"],
            "events": [{"item_id": top, "event": "completed"}],
        }
        assert (await client.post(f"{API}/feedback", json=body)).status_code == 200
        second = (await client.post(f"{API}/personalized", json=question)).json()
    assert (first["cold_start"], second["cold_start"]) == (True, False)
    assert top not in {item["item_id"] for item in second["items"]}
    assert seeded.ready


async def test_trends_follow_segment_and_window(database: Database) -> None:
    """Only the interactions of the window and of the segment's users count; an end counts twice a look."""
    people = {"old": 30, "new": 2, "night": 30}
    seen = [
        ("old", 0, 1, True),
        ("old", 1, 1, False),
        ("new", 1, 1, False),
        ("night", 2, 1, True),
        ("old", 2, 60, True),
    ]
    async with database.transaction() as connection:
        await bulk.write(connection, synthetic(users=1, items=160))
        for table in (Interaction, User):
            await connection.execute(sa.delete(table))
        await connection.execute(
            sa.insert(User),
            [
                {
                    "user_id": user,
                    "persona": "night-owl" if user == "night" else None,
                    "first_seen_at": NOW - dt.timedelta(days=days),
                }
                for user, days in people.items()
            ],
        )
        await connection.execute(
            sa.insert(Interaction),
            [
                {
                    "user_id": user,
                    "item_id": f"item-000{item}",
                    "occurred_at": NOW - dt.timedelta(hours=hours),
                    "completed": completed,
                }
                for user, item, hours, completed in seen
            ],
        )
    repository = Repository(database)

    async def trend(segment: str, hours: int) -> list[tuple[str, float, int]]:
        found = await repository.trending(segment, NOW - dt.timedelta(hours=hours), NOW, 10)
        return [(one.item_id[-1], one.score, one.interactions) for one in found]

    assert await trend("all", 24) == [("0", 1.0, 1), ("1", 1.0, 2), ("2", 1.0, 1)]
    assert await trend("all", 24 * 7) == [("2", 2.0, 2), ("0", 1.0, 1), ("1", 1.0, 2)]
    assert await trend("new", 24) == [("1", 0.5, 1)]
    assert await trend("existing", 24) == [("0", 1.0, 1), ("2", 1.0, 1), ("1", 0.5, 1)]
    assert await trend("night-owl", 24) == [("2", 1.0, 1)]
    assert await trend("romantic", 24) == []


async def test_what_was_served_is_noted_with_variant_and_bucket(
    seeded: Database, database_url: str, models: Path
) -> None:
    """Each answer becomes a row under its id, and somebody new is seen for the first time then."""
    async with serve(database_url, models, engine="phase4", variant="canary") as (_, client):
        for user in ("u-0001", "u-0001", "stranger"):
            answer = (await client.post(f"{API}/personalized", json={"user_id": user})).json()
    async with seeded.read() as connection:
        rows = (await connection.execute(sa.select(Recommendation.__table__))).all()
        first_seen = (
            await connection.execute(sa.select(User.first_seen_at).where(User.user_id == "stranger"))
        ).scalar_one()
    assert len(rows) == 3
    assert {row.variant for row in rows} == {"canary"}
    assert {row.engine for row in rows} == {answer["engine"]["version"]}
    stranger = next(row for row in rows if row.user_id == "stranger")
    assert stranger.recommendation_id == answer["recommendation_id"]
    assert stranger.cold_start
    assert 0 <= stranger.bucket < 100
    assert stranger.day == day_of(dt.datetime.now(dt.UTC))
    assert first_seen is not None


async def test_goals_are_what_the_rows_say(database: Database) -> None:
    """Satisfaction, accuracy and return of a handful of users, counted by hand, by variant and segment."""
    start = NOW - dt.timedelta(days=12)
    served = [
        # user, variant, days after the start
        ("a", "control", 0.0), ("a", "control", 3.0),
        ("b", "canary", 0.0), ("b", "canary", 0.2),
        ("c", "canary", 1.0), ("c", "control", 9.5),
        ("d", "canary", 11.5), ("d", "canary", 11.9),
    ]  # fmt: skip
    events = [
        ("a", "1", "x", "shown", None), ("a", "1", "y", "shown", None), ("a", "1", "x", "clicked", None),
        ("a", "1", "x", "completed", None), ("a", "1", "x", "rating", 5.0), ("a", "1", "y", "rating", 2.0),
        ("b", "2", "x", "shown", None), ("b", None, "x", "rating", 4.0),
        ("d", "3", "x", "completed", None),
    ]  # fmt: skip
    async with database.transaction() as connection:
        await connection.execute(
            sa.insert(User),
            [
                {"user_id": user, "first_seen_at": NOW - dt.timedelta(days=days)}
                for user, days in (("a", 40), ("b", 12), ("c", 40), ("d", 0.5))
            ],
        )
        await connection.execute(
            sa.insert(Recommendation),
            [
                {
                    "recommendation_id": str(number),
                    "user_id": user,
                    "variant": variant,
                    "bucket": 0,
                    "engine": "e",
                    "cold_start": False,
                    "served_at": start + dt.timedelta(days=days),
                    "day": day_of(start + dt.timedelta(days=days)),
                }
                for number, (user, variant, days) in enumerate(served)
            ],
        )
        await connection.execute(
            sa.insert(Feedback),
            [
                {
                    "user_id": user,
                    "recommendation_id": answer,
                    "item_id": item,
                    "event": event,
                    "rating": rating,
                    "variant": "control",
                    "bucket": 0,
                    "occurred_at": NOW - dt.timedelta(hours=1),
                }
                for user, answer, item, event, rating in events
            ],
        )
        window = Window(start, NOW)
        figures = await compute(connection, plan(window), window)
    sums = {(one.goal, one.variant, one.segment): (one.users, one.total, one.squares) for one in figures.sums}
    assert sums == {
        ("satisfaction", "control", "existing"): (1, 3.5, 12.25),
        ("satisfaction", "canary", "existing"): (1, 4.0, 16.0),
        ("accuracy", "control", "existing"): (1, 0.5, 0.25),
        ("accuracy", "canary", "existing"): (1, 0.0, 0.0),
        ("accuracy", "canary", "new"): (1, 1.0, 1.0),
        # a came back on the third day; b on the first day only; c on the ninth, too late; d has time left.
        ("return_7d", "control", "existing"): (1, 1.0, 1.0),
        ("return_7d", "canary", "existing"): (2, 0.0, 0.0),
    }
    assert figures.mixed_users == 1
    assert figures.active_users == {"canary": 1}


async def test_notes_wait_for_a_database_that_is_away(database: Database) -> None:
    """A flush that fails keeps the rows, the next one writes each once, and a repeated one changes nothing."""
    log = ServedLog(database, 1e6, CollectorRegistry())
    rows = [
        ServedRow(f"{number:032d}", f"u{number % 7}", "control", 1, "e", False, True, NOW) for number in range(1200)
    ]
    for row in rows:
        log.add(row)
    database.ready = False
    await log.flush()
    assert len(log) == 1200
    database.ready = True
    await log.flush()
    assert len(log) == 0
    for row in rows[:10]:
        log.add(row)
    await log.flush()
    assert await count(database, Recommendation) == 1200
    assert await count(database, User) == 7
    await ServedLog(database, 1.0, CollectorRegistry()).purge()
    assert await count(database, Recommendation) == 0


def test_the_commands_seed_train_and_measure(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """seed, train and evaluate work on the database, one after another; a second seed leaves it alone."""
    monkeypatch.setenv("SERIN_DATABASE_URL", database_url)
    assert command(["train", "--model-dir", str(tmp_path / "models")]) == 1
    assert "run the command seed or load first" in capsys.readouterr().err
    assert command(["seed"]) == 0
    assert command(["seed"]) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert command(["train", "--model-dir", str(tmp_path / "models")]) == 0
    assert command(["evaluate", "--users", "200"]) == 0
    text = capsys.readouterr().out
    assert "wrote model" in text
    assert "phase4 - phase3" in text


def test_movielens_files_are_loaded(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Load adds a folder to the database; a wrong folder is a sentence and exit code 1."""
    monkeypatch.setenv("SERIN_DATABASE_URL", database_url)
    assert command(["load", str(tmp_path)]) == 1
    assert "movies.csv" in capsys.readouterr().err
    (tmp_path / "movies.csv").write_text("movieId,title,genres\n1,Heat,Action\n2,Up,Drama\n")
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n7,1,4.5,200\n7,2,0.5,100\n")
    assert command(["load", str(tmp_path)]) == 0
    assert "added 2 items, 1 users, 2 interactions" in capsys.readouterr().out
