"""Real applications behind an in-process client; nothing of the services is replaced."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from serin_conversation.main import ConversationSettings
from serin_conversation.main import create_app as create_conversation
from serin_recommendation.main import create_app as create_recommendation
from serin_recommendation.settings import RecommendationSettings
from serin_recommendation.store.bulk import write
from serin_recommendation.store.tables import MIGRATIONS
from serin_recommendation.synthetic import now_synthetic, synthetic
from serin_recommendation.training.train import train
from serin_services.database import patient_transaction
from serin_services.settings import DatabaseSettings, ServiceSettings

PATIENT = {f"budget_{part}": 10.0 for part in ("collaborative", "content", "persona")}
"""Budgets of the ensemble's parts that a busy machine keeps; a test of budgets gives its own."""
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


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a model on the synthetic data, once."""
    folder = tmp_path_factory.mktemp("models")
    train(synthetic(), folder)
    return folder


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fill a SQLite file with the synthetic data, once; tests work on copies."""
    path = tmp_path_factory.mktemp("seeded") / "serin.db"

    async def fill() -> None:
        settings = DatabaseSettings(url=f"sqlite+aiosqlite:///{path}")
        async with patient_transaction(settings, "seed") as connection:
            await MIGRATIONS.upgrade(connection)
            await write(connection, now_synthetic())

    asyncio.run(fill())
    return path


@pytest.fixture
def recommendation(
    tmp_path: Path, models: Path, seeded: Path
) -> Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]:
    """Serve a recommendation application with the given settings; all of a test share one seeded SQLite file."""
    path = tmp_path / "recommendation.db"

    def start(own: Mapping[str, Any] | None = None, **settings: Any) -> AbstractAsyncContextManager[httpx.AsyncClient]:
        if not path.exists():
            shutil.copy(seeded, path)
        database = DatabaseSettings(url=f"sqlite+aiosqlite:///{path}")
        own_settings = RecommendationSettings(**{"model_dir": models, "seed": "never", **PATIENT, **(own or {})})
        return serve(create_recommendation(ServiceSettings(**settings), database, own_settings))

    return start


@pytest.fixture
def conversation(tmp_path: Path) -> Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]:
    """Serve a conversation application with the given settings; all of a test share one SQLite file."""

    def start(**settings: Any) -> AbstractAsyncContextManager[httpx.AsyncClient]:
        database = DatabaseSettings(url=f"sqlite+aiosqlite:///{tmp_path / 'serin.db'}")
        return serve(create_conversation(ConversationSettings(**settings), database))

    return start
