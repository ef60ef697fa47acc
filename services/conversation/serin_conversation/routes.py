"""The routes of the conversation API."""

from typing import Annotated, Any, Final, cast
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.exceptions import RequestValidationError

from serin_conversation import store, wording
from serin_conversation.dialogue import ENDED, UNKNOWN, Exchange, MovedError, reading
from serin_conversation.engines import ConversationEngine
from serin_conversation.models import (
    ConversationResponse,
    EndRequest,
    EndResponse,
    EngineVersion,
    FeedbackRequest,
    FeedbackResponse,
    MessageRequest,
    MessageResponse,
    StartRequest,
    StartResponse,
)
from serin_conversation.recommendations import Recommendations
from serin_conversation.schema import WHOLE_CONVERSATION, idempotency
from serin_conversation.views import answered, conversation
from serin_services.database import Database
from serin_services.idempotency import IdempotencyKey, Once, once, replay_header
from serin_services.problems import ProblemError, documented
from serin_services.runtime import RuntimeDependency

router = APIRouter(prefix="/api/v2/conversations", tags=["conversation"])

_LINKS: Final[dict[str, Any]] = {
    "description": "A conversation that has begun; its address is in Location",
    "links": {
        name: {"operationId": name, "parameters": {"conversation_id": "$response.body#/conversation_id"}}
        for name in ("message", "read", "feedback", "end")
    },
}
"""How a client goes on from an answer, as OpenAPI says it."""


async def get_engine(request: Request) -> ConversationEngine:
    """FastAPI dependency: the engine of this process; a test overrides it."""
    return cast("ConversationEngine", request.app.state.engine)


async def get_database(request: Request) -> Database:
    """FastAPI dependency: where conversations are; a test overrides it."""
    return cast("Database", request.app.state.database)


async def get_recommendations(request: Request) -> Recommendations | None:
    """FastAPI dependency: who knows items, None when no address is set; a test overrides it."""
    return cast("Recommendations | None", request.app.state.recommendations)


EngineDependency = Annotated[ConversationEngine, Depends(get_engine)]
DatabaseDependency = Annotated[Database, Depends(get_database)]
RecommendationsDependency = Annotated[Recommendations | None, Depends(get_recommendations)]


@router.post(
    "/start", status_code=201, operation_id="start", responses={201: _LINKS, **documented(413, 422, 500, 503, 504)}
)
async def start(
    body: StartRequest,
    request: Request,
    response: Response,
    engine: EngineDependency,
    database: DatabaseDependency,
    runtime: RuntimeDependency,
    key: IdempotencyKey = None,
) -> StartResponse:
    """Begin a conversation."""
    served = runtime.assignment.note(request.headers, body.user_id)
    async with database.transaction() if key else database.autocommit() as connection:

        async def write() -> StartResponse:
            session_id = await store.start(connection, body.user_id, body.language, served)
            return StartResponse(
                conversation_id=UUID(session_id),
                reply=wording.GREETING[body.language],
                engine=EngineVersion(name=engine.name, version=engine.version),
            )

        done = await once(
            connection,
            idempotency,
            key=key,
            scope=f"start:{body.user_id}",
            body=body,
            answer=StartResponse,
            work=write,
        )
    replay_header(response, done)
    response.headers["location"] = f"/api/v2/conversations/{done.value.conversation_id}"
    return done.value


@router.post(
    "/{conversation_id}/messages", operation_id="message", responses=documented(404, 409, 413, 422, 500, 503, 504)
)
async def message(
    conversation_id: UUID,
    body: MessageRequest,
    request: Request,
    response: Response,
    engine: EngineDependency,
    database: DatabaseDependency,
    recommendations: RecommendationsDependency,
    runtime: RuntimeDependency,
    key: IdempotencyKey = None,
) -> MessageResponse:
    """Answer a message; any pod of either variant can serve any turn."""
    exchange = Exchange(database, engine, recommendations, str(conversation_id), body.text)
    session = await exchange.prepare()
    served = runtime.assignment.note(request.headers, session.user_id)

    async def attempt() -> Once[MessageResponse]:
        # The first attempt without a key is one statement where the database can do that.
        alone = key is None and exchange.prepared and database.kind == "postgresql"
        async with database.autocommit() if alone else database.transaction() as connection:

            async def write() -> MessageResponse:
                return answered(conversation_id, await exchange.write(connection, served), engine)

            return await once(
                connection,
                idempotency,
                key=key,
                scope=f"messages:{conversation_id}",
                body=body,
                answer=MessageResponse,
                work=write,
            )

    try:
        done = await attempt()
    except MovedError:
        done = await attempt()
    replay_header(response, done)
    return done.value


@router.get("/{conversation_id}", operation_id="read", responses=documented(404, 422, 500, 503, 504))
async def read(
    conversation_id: UUID,
    database: DatabaseDependency,
    after: Annotated[int, Query(ge=0, le=2**31 - 1, description="Number of the turn before the first one")] = 0,
    limit: Annotated[int, Query(ge=1, le=200, description="Turns at most")] = 50,
) -> ConversationResponse:
    """Show a conversation: its state, what is remembered of it, and its full history page by page."""

    async def look_up() -> tuple[store.Session | None, list[store.StoredTurn]]:
        async with database.read() as connection:
            session = await store.load(connection, str(conversation_id))
            # One more than asked tells whether there is another page.
            turns = await store.history(connection, str(conversation_id), after=after, limit=limit + 1)
            return session, turns

    session, turns = await reading(look_up)
    if session is None:
        raise ProblemError(404, UNKNOWN)
    return conversation(session, turns, limit)


@router.post("/{conversation_id}/feedback", operation_id="feedback", responses=documented(404, 413, 422, 500, 503, 504))
async def feedback(
    conversation_id: UUID,
    body: FeedbackRequest,
    response: Response,
    database: DatabaseDependency,
    runtime: RuntimeDependency,
    key: IdempotencyKey = None,
) -> FeedbackResponse:
    """Rate a turn or a whole conversation, also after its end. The last word about the same counts."""
    async with database.transaction() as connection:

        async def write() -> FeedbackResponse:
            session_id = str(conversation_id)
            if await store.load(connection, session_id) is None:
                raise ProblemError(404, UNKNOWN)
            variant: str | None = runtime.settings.variant
            if body.turn is not None:
                variant = await store.variant_of(connection, session_id, body.turn)
            if variant is None:
                wrong = {"type": "value_error", "loc": ("body", "turn"), "msg": "There is no such turn yet"}
                raise RequestValidationError([wrong])
            await store.judge(
                connection,
                session_id,
                turn=body.turn or WHOLE_CONVERSATION,
                rating=body.rating,
                helpful=body.helpful,
                comment=body.comment,
                variant=variant,
            )
            return FeedbackResponse(conversation_id=conversation_id, turn=body.turn, rating=body.rating)

        done = await once(
            connection,
            idempotency,
            key=key,
            scope=f"feedback:{conversation_id}",
            body=body,
            answer=FeedbackResponse,
            work=write,
        )
    replay_header(response, done)
    return done.value


@router.post("/{conversation_id}/end", operation_id="end", responses=documented(404, 409, 413, 422, 500, 503, 504))
async def end(
    conversation_id: UUID,
    response: Response,
    database: DatabaseDependency,
    body: EndRequest | None = None,
    key: IdempotencyKey = None,
) -> EndResponse:
    """End a conversation; no message follows."""
    how = body or EndRequest()
    async with database.transaction() as connection:

        async def write() -> EndResponse:
            session = await store.load(connection, str(conversation_id), lock=True)
            if session is None:
                raise ProblemError(404, UNKNOWN)
            if session.ended_at is not None:
                raise ProblemError(409, ENDED)
            completed = session.turns > 0 if how.completed is None else how.completed
            ended_at = await store.end(connection, session, completed=completed)
            return EndResponse(
                conversation_id=conversation_id,
                reply=wording.GOODBYE[session.language],
                ended_at=ended_at,
                duration_seconds=(ended_at - session.started_at).total_seconds(),
                turns=session.turns,
                completed=completed,
            )

        done = await once(
            connection,
            idempotency,
            key=key,
            scope=f"end:{conversation_id}",
            body=how,
            answer=EndResponse,
            work=write,
        )
    replay_header(response, done)
    return done.value
