"""Real applications behind an in-process client; nothing of the services is replaced."""

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from serin_conversation.main import create_app as create_conversation
from serin_recommendation.main import create_app as create_recommendation
from serin_services.settings import DatabaseSettings, ServiceSettings

Serve = Callable[[FastAPI], AbstractAsyncContextManager[httpx.AsyncClient]]


@contextlib.asynccontextmanager
async def serve(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Run an application's lifespan and give a client of it, its database opened."""
    async with app.router.lifespan_context(app):
        if app.state.runtime.database is not None:
            await app.state.runtime.database.wait_until_ready()
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            yield client


@pytest.fixture
def recommendation() -> Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]:
    """Serve a recommendation application with the given settings."""

    def start(**settings: Any) -> AbstractAsyncContextManager[httpx.AsyncClient]:
        return serve(create_recommendation(ServiceSettings(**settings)))

    return start


@pytest.fixture
def conversation(tmp_path: Path) -> Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]:
    """Serve a conversation application with the given settings; all of a test share one SQLite file."""

    def start(**settings: Any) -> AbstractAsyncContextManager[httpx.AsyncClient]:
        database = DatabaseSettings(url=f"sqlite+aiosqlite:///{tmp_path / 'serin.db'}")
        return serve(create_conversation(ServiceSettings(**settings), database))

    return start
