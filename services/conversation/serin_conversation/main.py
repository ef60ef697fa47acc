"""The conversation application: an engine, a database and the way to recommendations behind the shared application."""

import contextlib
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import FastAPI
from pydantic import Field

from serin_conversation.engines import make_engine
from serin_conversation.goals import plan
from serin_conversation.language import intent_of
from serin_conversation.recommendations import Limits, Recommendations
from serin_conversation.routes import router
from serin_conversation.schema import MIGRATIONS, SERVICE, idempotency, snapshots
from serin_services.app import build
from serin_services.collector import REFRESH_SECONDS, GoalCollector
from serin_services.database import Database
from serin_services.idempotency import purge
from serin_services.runtime import Runtime
from serin_services.settings import DatabaseSettings, Seconds, ServiceSettings

_LIMITS = Limits()
_PURGE_SECONDS = 600.0
_CACHE_SIZE = 1000
_CACHE_SECONDS = 60.0
"""Within a minute a user's items are asked for once, however often they refine their wish."""


class ConversationSettings(ServiceSettings):
    """Settings of the conversation service: a turn may take longer than a ranking."""

    timeout: Seconds = 10.0

    # Who knows items. Phase 4 asks; without an address it answers without items.
    recommendation_url: Annotated[str, Field(pattern=r"^(https?://.+)?$")] = ""
    recommendation_timeout: Annotated[Seconds, Field(gt=0)] = _LIMITS.attempt
    """Longest wait of one attempt."""
    recommendation_budget: Annotated[Seconds, Field(gt=0)] = _LIMITS.budget
    """Longest wait of a message for all attempts together."""


def create_app(settings: ServiceSettings | None = None, database_settings: DatabaseSettings | None = None) -> FastAPI:
    """Build the application; settings that are not given are read from the environment."""
    given = settings or ConversationSettings()
    if not isinstance(given, ConversationSettings):
        given = ConversationSettings(**given.model_dump())
    chosen: ConversationSettings = given

    @contextlib.asynccontextmanager
    async def start(app: FastAPI, runtime: Runtime) -> AsyncIterator[None]:
        app.state.engine = runtime.engine = make_engine(chosen.engine)
        intent_of("")  # Makes the table of examples now, and not in the first request.
        registry = runtime.metrics.registry
        database = Database(database_settings or DatabaseSettings(), MIGRATIONS, SERVICE, registry)
        app.state.database = runtime.database = database
        runtime.lifecycle.require("database", lambda: database.ready)
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(database.close)
            await database.open()
            app.state.recommendations = await _recommendations(chosen, runtime, stack)
            goals = GoalCollector(SERVICE, database, snapshots, plan, chosen, registry=registry)
            runtime.background.every(REFRESH_SECONDS, goals.refresh, name="goals")
            runtime.background.every(_PURGE_SECONDS, lambda: _purge(database), name="forget answers")
            yield

    return build(service=SERVICE, title="Conversation", settings=chosen, routers=(router,), start=start)


async def _recommendations(
    settings: ConversationSettings, runtime: Runtime, stack: contextlib.AsyncExitStack
) -> Recommendations | None:
    if not settings.recommendation_url or settings.engine == "phase3":
        return None
    found = Recommendations(
        settings.recommendation_url,
        Limits(attempt=settings.recommendation_timeout, budget=settings.recommendation_budget),
        runtime.caches.make(name="recommendations", size=_CACHE_SIZE, ttl=_CACHE_SECONDS),
        runtime.metrics.registry,
    )
    await found.open()
    stack.push_async_callback(found.close)
    return found


async def _purge(database: Database) -> None:
    if database.ready:
        async with database.transaction() as connection:
            await purge(connection, idempotency)
