"""Idempotency-Key: a client that repeats a request, because no answer came, writes once and gets the same answer.

The key is claimed by a row that is written in the same transaction as the request's own rows. So there is no moment
in which the one is kept and the other lost, and two deliveries at the same time wait for each other in the database,
whichever pods they reached.
"""

import datetime as dt
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Annotated, Any, Final, Generic, TypeVar

from fastapi import Header, Response
from pydantic import BaseModel
from sqlalchemy import Table, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from serin_services.problems import ProblemError

A = TypeVar("A", bound=BaseModel)

KEEP_SECONDS: Final = 86400.0
"""How long an answer is kept: a client that retries later than that has given up long ago."""
REPLAYED_HEADER: Final = "idempotency-replayed"
IDEMPOTENCY_KEY: Final = "Idempotency-Key"
"""The header; whatever takes it writes."""
_SCOPE_LENGTH: Final = 160

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias=IDEMPOTENCY_KEY,
        min_length=1,
        max_length=128,
        pattern=r"^[!-~]+$",
        description="The same key with the same body writes once and gets the same answer, for a day.",
    ),
]
"""FastAPI parameter: the key of a request, or None."""


@dataclass(frozen=True, slots=True)
class Once(Generic[A]):
    """The answer of a request, and whether an earlier delivery of it has given it."""

    value: A
    replayed: bool


async def once(
    connection: AsyncConnection,
    table: Table,
    *,
    key: str | None,
    scope: str,
    body: BaseModel,
    answer: type[A],
    work: Callable[[], Awaitable[A]],
) -> Once[A]:
    """Do `work`, unless a request with this key has done it.

    Args:
        connection: A transaction; `work` writes on the same one.
        table: Where answers are kept.
        key: The request's key; without one `work` is always done.
        scope: What the key belongs to: the route and the user or conversation, at most 160 characters.
        body: The request; another one under the same key is a mistake of the client.
        answer: Model of the answer, to read a kept one.
        work: Writes, and makes the answer. When it raises nothing is kept.

    Raises:
        ProblemError: 422, the key came with another body before.
    """
    if key is None:
        return Once(await work(), replayed=False)
    assert len(scope) <= _SCOPE_LENGTH
    fingerprint = blake2b(body.model_dump_json().encode(), digest_size=16).hexdigest()
    mine = {"scope": scope, "key": key}
    if await _claim(connection, table, {**mine, "fingerprint": fingerprint, "answer": "", "created_at": _now()}):
        value = await work()
        await connection.execute(
            update(table).where(table.c.scope == scope, table.c.key == key).values(answer=value.model_dump_json())
        )
        return Once(value, replayed=False)
    question = select(table.c.fingerprint, table.c.answer).where(table.c.scope == scope, table.c.key == key)
    kept = (await connection.execute(question)).one()
    if kept.fingerprint != fingerprint:
        raise ProblemError(422, "This Idempotency-Key came with another body before: use a new key for a new request.")
    return Once(answer.model_validate_json(kept.answer), replayed=True)


async def _claim(connection: AsyncConnection, table: Table, row: dict[str, Any]) -> bool:
    # While another transaction has written this key, PostgreSQL waits here for its end.
    make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    claimed = await connection.execute(make(table).values(row).on_conflict_do_nothing())
    return claimed.rowcount == 1


def replay_header(response: Response, done: Once[A]) -> None:
    """Say in the answer's headers when it is a repeated one."""
    if done.replayed:
        response.headers[REPLAYED_HEADER] = "true"


async def purge(connection: AsyncConnection, table: Table, *, keep: float = KEEP_SECONDS) -> int:
    """Forget answers that are older than `keep` seconds and return their number."""
    horizon = _now() - dt.timedelta(seconds=keep)
    return (await connection.execute(delete(table).where(table.c.created_at < horizon))).rowcount


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
