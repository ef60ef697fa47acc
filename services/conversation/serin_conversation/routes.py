"""The routes of the conversation API."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response

from serin_conversation import store, wording
from serin_conversation.dialogue import take_turn
from serin_conversation.engines import ConversationEngine
from serin_conversation.models import (
    EngineVersion,
    MemoryState,
    MessageRequest,
    MessageResponse,
    StartRequest,
    StartResponse,
)
from serin_services.database import Database
from serin_services.problems import documented
from serin_services.runtime import RuntimeDependency

router = APIRouter(prefix="/api/v2/conversations", tags=["conversation"])


def get_engine(request: Request) -> ConversationEngine:
    """FastAPI dependency: the engine of this process; a test overrides it."""
    engine: ConversationEngine = request.app.state.engine
    return engine


def get_database(request: Request) -> Database:
    """FastAPI dependency: where conversations are; a test overrides it."""
    database: Database = request.app.state.database
    return database


EngineDependency = Annotated[ConversationEngine, Depends(get_engine)]
DatabaseDependency = Annotated[Database, Depends(get_database)]


@router.post("/start", status_code=201, responses=documented(413, 422, 500, 503, 504))
async def start(
    body: StartRequest, response: Response, engine: EngineDependency, database: DatabaseDependency
) -> StartResponse:
    """Begin a conversation."""
    async with database.transaction() as connection:
        session_id = await store.start(connection, body.user_id)
    response.headers["location"] = f"/api/v2/conversations/{session_id}"
    return StartResponse(
        conversation_id=UUID(session_id),
        reply=wording.GREETING[body.language],
        engine=EngineVersion(name=engine.name, version=engine.version),
    )


@router.post("/{conversation_id}/messages", responses=documented(404, 413, 422, 500, 503, 504))
async def message(
    conversation_id: UUID,
    body: MessageRequest,
    engine: EngineDependency,
    database: DatabaseDependency,
    runtime: RuntimeDependency,
) -> MessageResponse:
    """Answer a message; any pod of either variant can serve any turn."""
    turn = await take_turn(
        database, engine, session_id=str(conversation_id), text=body.text, variant=runtime.settings.variant
    )
    memory = turn.answer.memory
    return MessageResponse(
        conversation_id=conversation_id,
        turn=turn.number,
        reply=turn.answer.reply,
        intent=turn.answer.intent,
        slots=turn.answer.slots,
        memory=None
        if memory is None
        else MemoryState(
            turns=len(memory.window), summary=list(memory.summary), size_bytes=len(memory.encode().encode())
        ),
        engine=EngineVersion(name=engine.name, version=engine.version),
    )
