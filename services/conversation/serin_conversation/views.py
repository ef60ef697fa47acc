"""What is stored and answered, as the bodies of the API show it."""

from uuid import UUID

from serin_conversation.dialogue import Turn
from serin_conversation.engines import ConversationEngine, Item
from serin_conversation.memory import Memory
from serin_conversation.models import (
    ConversationResponse,
    EngineVersion,
    MemoryState,
    MessageResponse,
    RecommendedItem,
    TurnState,
)
from serin_conversation.store import Session, StoredTurn


def answered(conversation_id: UUID, turn: Turn, engine: ConversationEngine) -> MessageResponse:
    """Show the answer to a message."""
    answer = turn.answer
    return MessageResponse(
        conversation_id=conversation_id,
        turn=turn.number,
        reply=answer.reply,
        intent=answer.intent,
        slots=answer.slots,
        items=_items(answer.items),
        missing_parts=list(answer.missing_parts),
        memory=None if answer.memory is None else _memory(answer.memory),
        engine=EngineVersion(name=engine.name, version=engine.version),
    )


def conversation(session: Session, turns: list[StoredTurn], limit: int) -> ConversationResponse:
    """Show a conversation and a page of its history.

    Args:
        session: The conversation.
        turns: Its turns from the page's first one on; one more than `limit` when there is another page.
        limit: Turns of a page.
    """
    shown = turns[:limit]
    return ConversationResponse(
        conversation_id=UUID(session.session_id),
        status="open" if session.ended_at is None else "ended",
        language=session.language,
        started_at=session.started_at,
        last_at=session.last_at,
        ended_at=session.ended_at,
        duration_seconds=session.duration,
        completed=session.completed,
        turns=session.turns,
        memory=_memory(session.memory) if session.memory.through else None,
        slots=session.memory.slots,
        history=[_turn(turn) for turn in shown],
        next_after=shown[-1].number if len(turns) > limit else None,
    )


def _turn(turn: StoredTurn) -> TurnState:
    return TurnState(
        turn=turn.number,
        message=turn.message,
        reply=turn.reply,
        intent=turn.intent,
        items=_items(turn.items),
        engine=turn.engine,
        variant=turn.variant,
        said_at=turn.said_at,
    )


def _memory(memory: Memory) -> MemoryState:
    return MemoryState(turns=len(memory.window), summary=list(memory.summary), size_bytes=len(memory.encode().encode()))


def _items(items: tuple[Item, ...]) -> list[RecommendedItem]:
    return [
        RecommendedItem(
            item_id=item.item_id,
            title=item.title,
            genres=list(item.genres),
            score=item.score,
            recommendation_id=item.recommendation_id,
        )
        for item in items
    ]
