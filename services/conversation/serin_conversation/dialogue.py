"""One turn from beginning to end: load, answer, store, in one transaction."""

from dataclasses import dataclass

from serin_conversation import store
from serin_conversation.engines import Answer, ConversationEngine
from serin_conversation.memory import Memory
from serin_services.database import Database
from serin_services.problems import ProblemError


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn that is stored."""

    number: int
    answer: Answer


async def take_turn(
    database: Database, engine: ConversationEngine, *, session_id: str, text: str, variant: str
) -> Turn:
    """Answer a message and store both.

    Args:
        database: Where conversations are.
        engine: Who answers.
        session_id: The conversation.
        text: What the user said.
        variant: The variant that serves, noted beside the turn.

    Raises:
        ProblemError: 404 when there is no such conversation.
    """
    async with database.transaction() as connection:
        session = await store.load(connection, session_id)
        if session is None:
            raise ProblemError(404, "There is no such conversation: begin one at /api/v2/conversations/start.")
        memory = session.memory
        if engine.remembers and memory.through < session.turns:
            before, missed = await store.messages_after(connection, session)
            memory = memory.skip_to(before).catch_up(missed)
        answer = await engine.reply(text, memory if engine.remembers else Memory())
        number = await store.append(
            connection, session, message=text, answer=answer, engine=engine.name, variant=variant
        )
    return Turn(number, answer)
