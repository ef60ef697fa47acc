"""What a batch of 100 users asks the database, and what each index is worth on a data set of realistic size.

The statements are those that the services really send, caught on their way and then explained by PostgreSQL: once as
they are, once inside a transaction that drops the index and is rolled back.
"""

import argparse
import asyncio
import contextlib
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import sqlalchemy as sa
from rich.console import Console
from rich.table import Table
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.ext.asyncio import AsyncEngine

from serin_conversation.schema import sessions
from serin_recommendation.main import create_app
from serin_recommendation.settings import RecommendationSettings
from serin_services import logs
from serin_services.settings import DatabaseSettings, ServiceSettings
from tests.bench.services.place import Place, made

_RUNS = 7
_BATCH = 100

# A user's rows lie all over the table, as they do when thousands come and go: in the order of time, not of users.
_FILL = (
    """
    INSERT INTO users (user_id, persona, first_seen_at)
      SELECT 'b-' || n, NULL, now() - random() * interval '300 days' FROM generate_series(1, {users}) n
    """,
    """
    INSERT INTO interactions (user_id, item_id, occurred_at, daypart, completed, rating)
      SELECT 'b-' || (1 + floor(random() * {users}))::int, 'item-' || lpad(floor(random() * 400)::int::text, 4, '0'),
             now() - (1 - n::float / {interactions}) * interval '300 days', floor(random() * 4)::int, random() < 0.7,
             1 + floor(random() * 5)::int
      FROM generate_series(1, {interactions}) n
    """,
    """
    INSERT INTO conversation_session (id, user_id, turns, memory, started_at, last_at, variant)
      SELECT gen_random_uuid()::text, 'b-' || (1 + floor(random() * {users}))::int, 5, repeat('m', 900),
             now() - (1 - n::float / {sessions}) * interval '14 days', now(), 'control'
      FROM generate_series(1, {sessions}) n
    """,
    "VACUUM ANALYZE",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this bench."""
    parser.add_argument("--users", type=int, default=20_000, help="users beside those of the synthetic set")
    parser.add_argument("--interactions", type=int, default=1_000_000, help="rows of the table of interactions")
    parser.add_argument("--sessions", type=int, default=100_000, help="rows of the table of conversations")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers here")


@dataclass(frozen=True, slots=True)
class Sent:
    """A statement as it was sent."""

    text: str
    parameters: Sequence[Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """How PostgreSQL ran a statement.

    Attributes:
        scan: How it found the rows of the table.
        milliseconds: Median time on the server.
        buffers: Pages of 8 KiB that it looked at.
    """

    scan: str
    milliseconds: float
    buffers: int


@dataclass(frozen=True, slots=True)
class Compared:
    """A statement with and without its index."""

    name: str
    index: str
    on: Plan
    off: Plan


def main(options: argparse.Namespace, console: Console) -> int:
    """Run the bench; exit code 1 when a batch asks a table more than once, or an index is not used."""
    logs.configure("error")
    with made() as place:
        return asyncio.run(_run(place, options, console))


async def _run(place: Place, options: argparse.Namespace, console: Console) -> int:
    raw = await asyncpg.connect(place.url.replace("+asyncpg", ""))
    with console.status(f"making {options.interactions:,} interactions of {options.users:,} users"):
        for statement in _FILL:
            await raw.execute(statement.format(**vars(options)))
    console.print(
        f"{options.interactions:,} interactions of {options.users:,} users, {options.sessions:,} conversations.",
        highlight=False,
    )
    batch, sent = await _batch(place, [f"b-{number}" for number in range(1, _BATCH + 1)])
    console.print(batch_table(batch))
    compared = [
        await _compare(raw, f"batch of {_BATCH}: interactions", _about(sent, "interactions"), "interaction_user_id"),
        await _compare(raw, "conversations of a user", _conversations("b-1"), "session_user_id"),
    ]
    await raw.close()
    console.print(index_table(compared))
    if options.json:
        options.json.write_text(json.dumps(as_json(batch, compared), indent=2) + "\n", encoding="utf-8")
    once = all(count <= 1 for count in batch["statements"].values())
    return 0 if once and all(one.index in one.on.scan for one in compared) else 1


async def _batch(place: Place, users: list[str]) -> tuple[dict[str, Any], list[Sent]]:
    """Ask for a batch, for the same batch again, and for each user alone, through the whole application."""
    app = create_app(
        ServiceSettings(engine="phase4"),
        DatabaseSettings(url=place.url),
        RecommendationSettings(model_dir=place.folder / "models", profile_ttl=3600.0),
    )
    found: dict[str, Any] = {}
    async with app.router.lifespan_context(app):
        database, recommender = app.state.database, app.state.recommender
        await database.wait_until_ready()
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            path = "/api/v2/recommend"
            (await client.post(f"{path}/batch", json={"user_ids": ["u-0000"]})).raise_for_status()
            with caught(database.engine) as sent:
                found["batch_ms"] = await _timed(client, f"{path}/batch", {"user_ids": users})
            found["statements"] = {table: _count(sent, table) for table in ("users", "interactions", "items")}
            with caught(database.engine) as again:
                found["again_ms"] = await _timed(client, f"{path}/batch", {"user_ids": users})
            found["again_statements"] = len(again)
            recommender.profiles.clear()
            with caught(database.engine) as alone:
                begin = time.perf_counter()
                for user in users:
                    await _timed(client, f"{path}/personalized", {"user_id": user})
                found["alone_ms"] = (time.perf_counter() - begin) * 1000
            found["alone_statements"] = len(alone)
    return found, sent


async def _timed(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> float:
    begin = time.perf_counter()
    (await client.post(path, json=body)).raise_for_status()
    return (time.perf_counter() - begin) * 1000


@contextlib.contextmanager
def caught(engine: AsyncEngine) -> Iterator[list[Sent]]:
    """Collect the questions of an engine, with their parameters, while the block runs."""
    sent: list[Sent] = []

    def note(_connection: Any, _cursor: Any, text: str, parameters: Any, *_rest: Any) -> None:
        if text.startswith("SELECT"):
            sent.append(Sent(text, parameters))

    sa.event.listen(engine.sync_engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        sa.event.remove(engine.sync_engine, "before_cursor_execute", note)


def _count(sent: list[Sent], table: str) -> int:
    return sum(f"FROM {table} " in one.text.replace("\n", " ") for one in sent)


def _about(sent: list[Sent], table: str) -> Sent:
    return next(one for one in sent if f"FROM {table} " in one.text.replace("\n", " "))


def _conversations(user: str) -> Sent:
    question = sa.select(sessions.c.id, sessions.c.started_at).where(sessions.c.user_id == user)
    compiled = question.order_by(sessions.c.started_at).compile(dialect=dialect())
    return Sent(str(compiled), list(compiled.params.values()))


async def _compare(raw: asyncpg.Connection, name: str, sent: Sent, index: str) -> Compared:
    on = await _explained(raw, sent)
    transaction = raw.transaction()
    await transaction.start()
    await raw.execute(f"DROP INDEX {index}")
    off = await _explained(raw, sent)
    await transaction.rollback()
    return Compared(name, index, on, off)


async def _explained(raw: asyncpg.Connection, sent: Sent) -> Plan:
    times, root = [], {}
    for _ in range(_RUNS):
        [row] = await raw.fetch(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sent.text}", *sent.parameters)
        root = json.loads(row[0])[0]
        times.append(root["Execution Time"])
    plan = root["Plan"]
    buffers = plan.get("Shared Hit Blocks", 0) + plan.get("Shared Read Blocks", 0)
    return Plan(_scan(plan), statistics.median(times), buffers)


def _scan(plan: dict[str, Any]) -> str:
    """Name the node that reads a table: the lowest one of the plan."""
    for child in plan.get("Plans", ()):
        return _scan(child)
    return " ".join(filter(None, (plan["Node Type"], plan.get("Index Name"))))


def batch_table(found: dict[str, Any]) -> Table:
    """Return what a batch costs as a table."""
    table = Table(title=f"{_BATCH} users, nothing of them in a cache", title_justify="left")
    for heading in ("", "statements", "ms"):
        table.add_column(heading, justify="left" if not heading else "right")
    counts = ", ".join(f"{name} {count}" for name, count in found["statements"].items())
    table.add_row(f"one batch ({counts})", str(sum(found["statements"].values())), f"{found['batch_ms']:.1f}")
    table.add_row("the same batch again", str(found["again_statements"]), f"{found['again_ms']:.1f}")
    table.add_row("each user alone", str(found["alone_statements"]), f"{found['alone_ms']:.1f}")
    return table


def index_table(compared: list[Compared]) -> Table:
    """Return what the indexes are worth as a table."""
    table = Table(title=f"EXPLAIN ANALYZE, median of {_RUNS}", title_justify="left")
    for heading in ("STATEMENT", "", "reads by", "pages", "ms"):
        table.add_column(heading, justify="right" if heading in ("pages", "ms") else "left")
    for one in compared:
        for name, plan in ((f"with {one.index}", one.on), ("without", one.off)):
            table.add_row(
                one.name if plan is one.on else "", name, plan.scan, f"{plan.buffers:,}", f"{plan.milliseconds:.2f}"
            )
        table.add_row("", "", "", "", f"{one.off.milliseconds / one.on.milliseconds:.0f}x", end_section=True)
    return table


def as_json(batch: dict[str, Any], compared: list[Compared]) -> dict[str, Any]:
    """Return the numbers as plain JSON."""

    def plan(one: Plan) -> dict[str, Any]:
        return {"scan": one.scan, "ms": round(one.milliseconds, 3), "pages": one.buffers}

    rows = [{"statement": one.name, "index": one.index, "on": plan(one.on), "off": plan(one.off)} for one in compared]
    return {"batch": batch, "indexes": rows}
