"""One turn from beginning to end: read, ask, answer, write.

Nothing is locked while the answer is made, since that may take a question to another service. The write then says which
turn it follows: when somebody else wrote in between, the answer is made again, this time under the row's lock. So two
messages that arrive together are two turns, one after the other, whichever pods they reached.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from serin_conversation import store
from serin_conversation.engines import Answer, ConversationEngine, Item, Question
from serin_conversation.memory import Memory
from serin_conversation.recommendations import Recommendations
from serin_services.assignment import Served
from serin_services.database import Database
from serin_services.problems import ProblemError
from serin_services.retry import retried

T = TypeVar("T")

UNKNOWN: Final = "There is no such conversation: begin one at /api/v2/conversations/start."
ENDED: Final = "This conversation has ended: begin another one at /api/v2/conversations/start."
_LONG_CHARACTERS: Final = 300
"""From so much text on, an answer takes more than a millisecond and is made beside the event loop."""


class MovedError(Exception):
    """Somebody else wrote the next turn of a conversation first."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn that is stored."""

    number: int
    answer: Answer


@dataclass(frozen=True, slots=True)
class Known:
    """What is known when a message arrives.

    Attributes:
        session: The conversation.
        missed: Messages that its memory does not hold yet, oldest first.
        missed_before: Number of the turn before the first of them.
    """

    session: store.Session
    missed: tuple[str, ...]
    missed_before: int


async def reading(work: Callable[[], Awaitable[T]]) -> T:
    """Read from the database, once more when it was away for a moment.

    Each attempt has the limits of the pool and the server; cut off in the middle it would cost a connection.

    Raises:
        DatabaseUnavailableError: It gives no answer.
    """
    return await retried(work, cut=False)


async def look_up(
    connection: AsyncConnection, engine: ConversationEngine, session_id: str, *, lock: bool = False
) -> Known:
    """Read what an engine needs to answer.

    Raises:
        ProblemError: 404, there is no such conversation.
    """
    session = await store.load(connection, session_id, lock=lock)
    if session is None:
        raise ProblemError(404, UNKNOWN)
    if not engine.remembers or session.memory.through >= session.turns:
        return Known(session, (), session.memory.through)
    before, missed = await store.messages_after(connection, session)
    return Known(session, tuple(missed), before)


async def suggestions(
    engine: ConversationEngine, recommendations: Recommendations | None, *, text: str, user_id: str
) -> tuple[tuple[Item, ...] | None, bool]:
    """Ask for items when a message may need some.

    Returns:
        The items, or None; and whether somebody was asked.
    """
    if recommendations is None or not engine.wants_items(text):
        return None, False
    return await recommendations.top(user_id), True


async def answer(
    engine: ConversationEngine, known: Known, text: str, items: tuple[Item, ...] | None, *, asked: bool
) -> Answer:
    """Make the answer to a message; beside the event loop when it takes long."""

    def make() -> Answer:
        memory = Memory()
        if engine.remembers:
            memory = known.session.memory
            if known.missed:
                memory = memory.skip_to(known.missed_before).catch_up(known.missed)
        return engine.reply(Question(text, memory, known.session.language, items, asked))

    if len(text) + sum(map(len, known.missed)) < _LONG_CHARACTERS:
        return make()
    return await asyncio.to_thread(make)


@dataclass(slots=True)
class Exchange:
    """One message on its way; `prepare` without a transaction, then `write` in one, if need be again.

    Attributes:
        database: Where conversations are.
        engine: Who answers.
        recommendations: Who knows items, or None.
        session_id: The conversation.
        text: What the user said.
    """

    database: Database
    engine: ConversationEngine
    recommendations: Recommendations | None
    session_id: str
    text: str
    _items: tuple[Item, ...] | None = None
    _asked: bool = False
    _prepared: tuple[Known, Answer] | None = None

    @property
    def prepared(self) -> bool:
        """Whether `write` has an answer to try, and needs no lock."""
        return self._prepared is not None

    async def prepare(self) -> store.Session:
        """Read the conversation and make the answer.

        Raises:
            ProblemError: 404, there is no such conversation.
        """

        async def read() -> Known:
            async with self.database.read() as connection:
                return await look_up(connection, self.engine, self.session_id)

        known = await reading(read)
        session = known.session
        if session.ended_at is not None:
            return session  # `write` refuses it, unless an idempotency key has the answer.
        self._items, self._asked = await suggestions(
            self.engine, self.recommendations, text=self.text, user_id=session.user_id
        )
        made = await answer(self.engine, known, self.text, self._items, asked=self._asked)
        self._prepared = (known, made)
        return session

    async def write(self, connection: AsyncConnection, served: Served) -> Turn:
        """Store the turn.

        Raises:
            ProblemError: 404 or 409, the conversation is unknown or has ended.
            MovedError: Somebody else was first. The next call answers anew, under the row's lock.
        """
        prepared, self._prepared = self._prepared, None
        locked = prepared is None
        if prepared is None:
            known = await look_up(connection, self.engine, self.session_id, lock=True)
            if known.session.ended_at is not None:
                raise ProblemError(409, ENDED)
            made = await answer(self.engine, known, self.text, self._items, asked=self._asked)
        else:
            known, made = prepared
        number = await store.append(
            connection, known.session, message=self.text, answer=made, engine=self.engine.name, served=served
        )
        if number is None:
            assert not locked
            raise MovedError
        return Turn(number, made)
