"""Conversations on PostgreSQL and SQLite: any pod, either variant, in any order; nothing lost, nothing twice."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from serin_conversation.main import ConversationSettings, create_app
from serin_conversation.memory import MEMORY_BYTES, Memory
from serin_conversation.schema import MIGRATIONS, metadata, sessions, turns
from serin_conversation.synthetic import make_conversations
from serin_services.database import Database
from serin_services.settings import DatabaseSettings
from serin_services.statements import count_statements

Pod = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]
START = "/api/v2/conversations/start"


@pytest.fixture
def pod(database_url: str) -> Pod:
    """Run one process's application on the test's database; several share it."""

    @contextlib.asynccontextmanager
    async def run(engine: str, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
        variant = "control" if engine == "phase3" else "canary"
        chosen = ConversationSettings(engine=engine, variant=variant, **settings)
        app = create_app(chosen, DatabaseSettings(url=database_url))
        async with app.router.lifespan_context(app):
            await app.state.database.wait_until_ready()
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
                client.app = app  # type: ignore[attr-defined]
                yield client

    return run


async def begin(client: httpx.AsyncClient, user_id: str = "u-0042") -> str:
    """Begin a conversation and return its path."""
    response = await client.post(START, json={"user_id": user_id})
    assert response.status_code == 201, response.text
    return str(response.headers["location"])


async def say(client: httpx.AsyncClient, path: str, text: str, **headers: str) -> dict[str, Any]:
    """Say something and return the answer."""
    response = await client.post(f"{path}/messages", json={"text": text}, headers=headers)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


@pytest.mark.parametrize("pattern", ["3334", "4443", "34343434", "44333344", "4333333333334"])
async def test_a_switch_between_two_turns_loses_nothing(pod: Pod, pattern: str) -> None:
    """Promotion, rollback and both at once: Phase 4 always knows what a Phase 4 alone would have known."""
    [conversation] = make_conversations(1, turns=len(pattern) + 8, facts=1)
    messages = conversation.messages[: len(pattern)]
    async with pod("phase3") as control, pod("phase4") as canary:
        path = await begin(control)
        for number, (which, message) in enumerate(zip(pattern, messages, strict=True), start=1):
            answer = await say(control if which == "3" else canary, path, message)
            assert answer["turn"] == number
            if which == "4":
                alone = Memory().catch_up(messages[:number])
                assert answer["slots"] == alone.slots
                assert answer["memory"]["summary"] == list(alone.summary)
        shown = (await canary.get(path)).json()
    assert [turn["message"] for turn in shown["history"]] == list(messages)
    assert [turn["engine"] for turn in shown["history"]] == [f"phase{which}" for which in pattern]


async def test_what_one_release_ended_is_ended_for_the_other(pod: Pod) -> None:
    """Control ends what the canary served, and the canary refuses the next message."""
    async with pod("phase3") as control, pod("phase4") as canary:
        path = await begin(canary)
        await say(canary, path, "Recommend me a comedy")
        assert (await control.post(f"{path}/end")).json()["turns"] == 1
        assert (await canary.post(f"{path}/messages", json={"text": "hello"})).status_code == 409


async def test_messages_that_arrive_together_are_all_turns(pod: Pod, database_url: str) -> None:
    """Twelve messages at once, two pods of both variants: twelve turns, each with its own message, all remembered."""
    texts = [f"Point {n}: I like number {n}" for n in range(12)]
    async with pod("phase3") as control, pod("phase4") as canary:
        path = await begin(control)
        answers = await asyncio.gather(
            *(say((control, canary)[n % 2], path, text) for n, text in enumerate(texts)),
        )
        last = await say(canary, path, "What did we talk about?")
        shown = (await canary.get(path)).json()
    assert sorted(answer["turn"] for answer in answers) == list(range(1, 13))
    assert sorted(turn["message"] for turn in shown["history"][:12]) == sorted(texts)
    for answer, text in zip(answers, texts, strict=True):
        assert shown["history"][answer["turn"] - 1]["message"] == text
    assert last["turn"] == 13
    engine = Database(DatabaseSettings(url=database_url), metadata, "test").engine
    async with engine.connect() as connection:
        stored = Memory.decode((await connection.execute(sa.select(sessions.c.memory))).scalar_one())
    await engine.dispose()
    assert stored == Memory().catch_up(turn["message"] for turn in shown["history"])


async def test_a_message_that_is_delivered_many_times_is_one_turn(pod: Pod) -> None:
    """Ten deliveries with one key, at once, over two pods: one turn, one answer."""
    async with pod("phase4") as one, pod("phase4") as other:
        path = await begin(one)
        answers = await asyncio.gather(
            *(say((one, other)[n % 2], path, "Recommend me a comedy", **{"idempotency-key": "k"}) for n in range(10))
        )
        shown = (await one.get(path)).json()
    assert all(answer == answers[0] for answer in answers)
    assert shown["turns"] == len(shown["history"]) == 1


async def test_an_end_and_messages_at_once_never_mix(pod: Pod) -> None:
    """Whoever is first: each message is a turn before the end or a 409, and the end knows the number of turns."""
    async with pod("phase4") as one, pod("phase3") as other:
        path = await begin(one)
        said = [(one, other)[n % 2].post(f"{path}/messages", json={"text": f"comedy {n}"}) for n in range(8)]
        *answers, ended = await asyncio.gather(*said, other.post(f"{path}/end"))
        shown = (await one.get(path)).json()
    assert {answer.status_code for answer in answers} <= {200, 409}
    taken = sum(answer.status_code == 200 for answer in answers)
    assert taken == shown["turns"] == ended.json()["turns"] == len(shown["history"])


async def test_a_message_costs_few_round_trips(pod: Pod) -> None:
    """However long the conversation is: a look at the session, a write of session and turn; on PostgreSQL in one."""
    async with pod("phase4") as client:
        await client.app.state.runtime.background.close()  # type: ignore[attr-defined] # its statements count too
        path = await begin(client)
        for number in range(8):
            await say(client, path, f"message number {number}")
        database = client.app.state.database  # type: ignore[attr-defined]
        with count_statements(database.engine) as statements:
            await say(client, path, "Something shorter please")
    touched = statements.by_table()
    assert (touched["conversation_session"], touched["conversation_turn"]) == (2, 1)
    assert statements.total == (2 if database.kind == "postgresql" else 3)


async def test_stored_memories_stay_below_a_kilobyte(pod: Pod, database_url: str) -> None:
    """Of a whole conversation in each language, as the database has them; a turn also costs one row of the history."""
    async with pod("phase4") as client:
        for conversation in make_conversations(4):
            path = await begin(client)
            for message in conversation.messages:
                answer = await say(client, path, message)
            assert answer["memory"]["size_bytes"] <= MEMORY_BYTES
    engine = Database(DatabaseSettings(url=database_url), metadata, "test").engine
    async with engine.connect() as connection:
        memories = (await connection.execute(sa.select(sessions.c.memory))).scalars().all()
        told = (await connection.execute(sa.select(sa.func.count()).select_from(turns))).scalar_one()
    await engine.dispose()
    assert len(memories) == 4
    assert all(len(memory.encode()) <= MEMORY_BYTES for memory in memories)
    assert told == 80


async def test_a_damaged_memory_is_made_again_from_the_turns(pod: Pod, database_url: str) -> None:
    """What the memory column holds is a cache of the turns: losing it loses nothing."""
    async with pod("phase4") as client:
        path = await begin(client)
        await say(client, path, "Recommend me a comedy for my kids")
        engine = Database(DatabaseSettings(url=database_url), metadata, "test").engine
        async with engine.begin() as connection:
            await connection.execute(sa.update(sessions).values(memory='{"v":2,"n":1,"w":'))
        await engine.dispose()
        answer = await say(client, path, "something shorter")
    assert answer["slots"] == {"genre": "comedy", "company": "family", "length": "short"}


async def test_the_tables_are_what_the_code_works_with(database_url: str) -> None:
    """The scripts lead to the tables of the code, up, down to nothing, and up again."""
    database = Database(DatabaseSettings(url=database_url), MIGRATIONS, "test")
    await database.open()
    await database.wait_until_ready()
    try:
        assert MIGRATIONS.script_head() == MIGRATIONS.head
        async with database.transaction() as connection:
            assert await MIGRATIONS.current(connection) == MIGRATIONS.head
            assert await MIGRATIONS.differences(connection, metadata) == []
        async with database.transaction() as connection:
            await MIGRATIONS.downgrade(connection, "base")
        async with database.transaction() as connection:
            tables = await connection.run_sync(lambda sync: sa.inspect(sync).get_table_names())
            assert tables == ["alembic_version_conversation"]
            await MIGRATIONS.upgrade(connection, "head")
            assert await MIGRATIONS.differences(connection, metadata) == []
    finally:
        await database.close()


async def test_a_database_of_the_release_before_is_taken_over(pod: Pod, database_url: str) -> None:
    """Tables made without migrations, with a conversation in them: it goes on, and the old release could too."""
    old = sa.MetaData()
    sa.Table(
        "conversation_session",
        old,
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("turns", sa.Integer, nullable=False),
        sa.Column("memory", sa.Text, nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Index("session_user_id", "user_id"),
    )
    sa.Table(
        "conversation_turn",
        old,
        sa.Column("session_id", sa.String(36), sa.ForeignKey("conversation_session.id", ondelete="CASCADE")),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("reply", sa.Text, nullable=False),
        sa.Column("intent", sa.String(16), nullable=False),
        sa.Column("engine", sa.String(16), nullable=False),
        sa.Column("variant", sa.String(63), nullable=False),
        sa.Column("said_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("session_id", "number"),
    )
    session_id = "3791d44d-dda5-4162-a375-c1324e87df81"
    insert_session = sa.text(
        "INSERT INTO conversation_session (id, user_id, turns, memory, started_at, last_at) "
        "VALUES (:id, 'u-1', 1, :memory, CURRENT_TIMESTAMP, CURRENT_TIMESTAMP)"
    )
    insert_turn = sa.text(
        "INSERT INTO conversation_turn (session_id, number, message, reply, intent, engine, variant, said_at) "
        "VALUES (:id, :number, 'Recommend me a comedy', 'ok', 'recommend', 'phase4', 'canary', CURRENT_TIMESTAMP)"
    )
    memory = '{"n":1,"w":[["Recommend me a comedy","recommend"]],"s":[],"k":{"genre":"comedy"}}'
    engine = Database(DatabaseSettings(url=database_url), metadata, "test").engine
    async with engine.begin() as connection:
        await connection.run_sync(old.create_all)
        await connection.execute(insert_session, {"id": session_id, "memory": memory})
        await connection.execute(insert_turn, {"id": session_id, "number": 1})
    async with pod("phase4") as client:
        answer = await say(client, f"/api/v2/conversations/{session_id}", "something shorter")
        assert answer["turn"] == 2
        assert answer["slots"] == {"genre": "comedy", "length": "short"}
        # After a rollback the release before writes without knowing of the new columns.
        other = "3791d44d-dda5-4162-a375-c1324e87df82"
        async with engine.begin() as connection:
            await connection.execute(insert_session, {"id": other, "memory": ""})
            await connection.execute(insert_turn, {"id": other, "number": 1})
        assert (await say(client, f"/api/v2/conversations/{other}", "something shorter"))["turn"] == 2
    await engine.dispose()
