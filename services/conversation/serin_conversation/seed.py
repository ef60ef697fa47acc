"""`seed`: fills a database with synthetic conversations, for a laptop and for looking at the goals' figures.

Each has a fixed id, so that a second run writes nothing new. Half of them are served by each variant, with the engine
that the variant has.
"""

import datetime as dt
import random
import sys
import uuid
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Insert, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from serin_conversation.engines import Question, make_engine
from serin_conversation.memory import Memory
from serin_conversation.schema import MIGRATIONS, SERVICE, WHOLE_CONVERSATION, feedback, sessions, turns
from serin_conversation.synthetic import Conversation, make_conversations
from serin_services import logs
from serin_services.assignment import bucket
from serin_services.database import Database
from serin_services.settings import DatabaseSettings

_USAGE: Final = "usage: seed [NUMBER]   (conversations, 200 if not given, at most 20000)"
_MOST: Final = 20_000
_FOLDER: Final = uuid.UUID("5e121aa1-0000-4000-8000-000000000004")
_USERS: Final = 100
_TURNS: Final = 8
_HALF: Final = 50
_CHUNK: Final = 500

Row = dict[str, Any]


async def seed_command(settings: DatabaseSettings, arguments: Sequence[str]) -> int:
    """Run `seed` and return the exit code: 2 for a wrong command line."""
    number = arguments[0] if arguments else "200"
    if len(arguments) > 1 or not number.isdecimal() or not 1 <= int(number) <= _MOST:
        print(_USAGE, file=sys.stderr)  # noqa: T201 - a command prints
        return 2
    logs.configure("warning")
    database = Database(settings, MIGRATIONS, f"{SERVICE} seed")
    await database.open()
    try:
        await database.wait_until_ready()
        written = await seed(database, int(number), dt.datetime.now(dt.UTC))
    finally:
        await database.close()
    print(f"{SERVICE}: {written} conversations written, {int(number) - written} were there")  # noqa: T201
    return 0


async def seed(database: Database, number: int, now: dt.datetime) -> int:
    """Write `number` conversations of the 14 days before `now`; return how many of them were not there yet."""
    draw = random.Random(number)  # noqa: S311 - no secret
    written = 0
    conversations = make_conversations(number, turns=_TURNS, facts=2)
    for first in range(0, number, _CHUNK):
        made = [
            _rows(index, conversation, draw, now)
            for index, conversation in enumerate(conversations[first : first + _CHUNK], start=first)
        ]
        async with database.transaction() as connection:
            new = _new(connection, sessions)
            # One by one: a driver that batches can't say how many of a batch were new.
            written += sum([(await connection.execute(new, session)).rowcount for session, _, _ in made])
            await connection.execute(_new(connection, turns), [turn for _, said, _ in made for turn in said])
            if judgements := [judged for _, _, judged in made if judged]:
                await connection.execute(_new(connection, feedback), judgements)
    return written


def _new(connection: AsyncConnection, table: Table) -> Insert:
    """Insert what is not there yet."""
    make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    return make(table).on_conflict_do_nothing()


def _rows(index: int, conversation: Conversation, draw: random.Random, now: dt.datetime) -> tuple[Row, list[Row], Row]:
    user_id = f"u-{draw.randrange(_USERS):04d}"
    canary = bucket(user_id) < _HALF
    variant, engine = ("canary", make_engine("phase4")) if canary else ("control", make_engine("phase3"))
    session_id = str(uuid.uuid5(_FOLDER, str(index)))
    started_at = at = now - dt.timedelta(seconds=draw.uniform(3600, 13 * 86400))
    said: list[Row] = []
    memory = Memory()
    for turn, message in enumerate(conversation.messages, start=1):
        at += dt.timedelta(seconds=draw.uniform(5, 60))
        answer = engine.reply(Question(message, memory, conversation.language))
        memory = answer.memory or memory
        said.append(
            {
                "session_id": session_id,
                "number": turn,
                "message": message,
                "reply": answer.reply,
                "intent": answer.intent,
                "engine": engine.name,
                "variant": variant,
                "said_at": at,
                "bucket": bucket(user_id),
                "items": "",
            }
        )
    ended = draw.random() < (0.8 if canary else 0.7)
    session = {
        "id": session_id,
        "user_id": user_id,
        "turns": len(said),
        "memory": memory.encode() if canary else "",
        "started_at": started_at,
        "last_at": at,
        "language": conversation.language,
        "variant": variant,
        "bucket": bucket(user_id),
        "ended_at": at + dt.timedelta(seconds=3) if ended else None,
        "completed": True if ended else None,
    }
    rated = draw.random() < 0.5  # noqa: PLR2004 - one in two rates
    judged: Row = {
        "session_id": session_id,
        "turn": WHOLE_CONVERSATION,
        "rating": float(draw.choice((3, 4, 4, 5) if canary else (2, 3, 4, 5))),
        "helpful": None,
        "comment": "",
        "variant": variant,
        "given_at": at,
    }
    return session, said, judged if rated else {}
