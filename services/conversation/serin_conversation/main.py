"""The conversation application: an engine and a database behind the shared application."""

import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI

from serin_conversation.engines import make_engine
from serin_conversation.language import intent_of
from serin_conversation.routes import router
from serin_conversation.store import metadata
from serin_services.app import build
from serin_services.database import Database
from serin_services.runtime import Runtime
from serin_services.serve import serve
from serin_services.settings import DatabaseSettings, Seconds, ServiceSettings

SERVICE = "conversation"


class ConversationSettings(ServiceSettings):
    """Settings of the conversation service: a turn may take longer than a ranking."""

    timeout: Seconds = 10.0


def create_app(settings: ServiceSettings | None = None, database_settings: DatabaseSettings | None = None) -> FastAPI:
    """Build the application; settings that are not given are read from the environment."""

    @contextlib.asynccontextmanager
    async def start(app: FastAPI, runtime: Runtime) -> AsyncIterator[None]:
        app.state.engine = runtime.engine = make_engine(runtime.settings.engine)
        intent_of("")  # Makes the table of examples now, and not in the first request.
        database = Database(database_settings or DatabaseSettings(), metadata, SERVICE)
        app.state.database = runtime.database = database
        runtime.lifecycle.require("database", lambda: database.ready)
        await database.open()
        try:
            yield
        finally:
            await database.close()

    return build(
        service=SERVICE,
        title="Conversation",
        settings=settings or ConversationSettings(),
        routers=(router,),
        start=start,
    )


def main() -> None:
    """Serve until told to stop."""
    settings = ConversationSettings()
    serve(create_app(settings), settings)
