"""The recommendation application: an engine, fitted once a process, behind the shared application."""

import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI

from serin_recommendation.data import synthetic
from serin_recommendation.engines import make_engine
from serin_recommendation.routes import router
from serin_services.app import build
from serin_services.runtime import Runtime
from serin_services.serve import serve
from serin_services.settings import ServiceSettings

SERVICE = "recommendation"


@contextlib.asynccontextmanager
async def start(app: FastAPI, runtime: Runtime) -> AsyncIterator[None]:
    """Fit the engine that the settings ask for."""
    app.state.engine = runtime.engine = make_engine(runtime.settings.engine, synthetic())
    yield


def create_app(settings: ServiceSettings | None = None) -> FastAPI:
    """Build the application; without `settings` they are read from the environment."""
    return build(
        service=SERVICE,
        title="Recommendation",
        settings=settings or ServiceSettings(),
        routers=(router,),
        start=start,
    )


def main() -> None:
    """Serve until told to stop."""
    settings = ServiceSettings()
    serve(create_app(settings), settings)
