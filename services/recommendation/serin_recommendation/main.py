"""The recommendation application: a model, an engine and a database behind the shared application."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

from fastapi import FastAPI
from prometheus_client import Counter

from serin_recommendation.engines import make_engine
from serin_recommendation.engines.parallel import REASONS
from serin_recommendation.model import ModelWatch
from serin_recommendation.recommender import Recommender
from serin_recommendation.routes import router
from serin_recommendation.settings import RecommendationSettings
from serin_recommendation.start import model_folder, seed_empty
from serin_recommendation.store.goals import plan
from serin_recommendation.store.repository import Repository
from serin_recommendation.store.served import FLUSH_SECONDS, PURGE_SECONDS, ServedLog
from serin_recommendation.store.tables import MIGRATIONS, SERVICE, SNAPSHOTS
from serin_services.app import build
from serin_services.collector import REFRESH_SECONDS, GoalCollector
from serin_services.database import Database
from serin_services.runtime import Runtime
from serin_services.serve import serve
from serin_services.settings import DatabaseSettings, ServiceSettings

_SEED_SECONDS = 10.0
"""Longest wait, at a shutdown, for a seeding that has begun."""


def create_app(
    settings: ServiceSettings | None = None,
    database_settings: DatabaseSettings | None = None,
    own_settings: RecommendationSettings | None = None,
) -> FastAPI:
    """Build the application; settings that are not given are read from the environment."""
    own = own_settings or RecommendationSettings()

    @contextlib.asynccontextmanager
    async def start(app: FastAPI, runtime: Runtime) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            where = database_settings or DatabaseSettings()
            database = Database(where, MIGRATIONS, SERVICE, runtime.metrics.registry)
            app.state.database = runtime.database = database
            runtime.lifecycle.require("database", lambda: database.ready)
            await database.open()
            stack.push_async_callback(database.close)
            if own.seed != "never":
                seeding = seed_empty(database, where, also_postgresql=own.seed == "always")
                stack.push_async_callback(_beside(runtime, seeding, database))
            watch = await _model(runtime, own, stack)
            app.state.engine = runtime.engine = make_engine(
                runtime.settings.engine,
                watch,
                budgets=own.budgets(),
                on_missing=MissingParts(runtime, tuple(own.budgets())),
            )
            stack.callback(app.state.engine.close)
            served = ServedLog(database, own.served_keep, runtime.metrics.registry)
            stack.push_async_callback(served.close)
            app.state.recommender = Recommender(
                app.state.engine, watch, Repository(database), served, runtime.caches, own
            )
            goals = GoalCollector(
                SERVICE, database, SNAPSHOTS, plan, runtime.settings, registry=runtime.metrics.registry
            )
            runtime.background.every(FLUSH_SECONDS, served.flush, name="served")
            runtime.background.every(PURGE_SECONDS, served.purge, name="purge")
            runtime.background.every(REFRESH_SECONDS, goals.refresh, name="goals")
            yield

    return build(
        service=SERVICE,
        title="Recommendation",
        settings=settings or ServiceSettings(),
        routers=(router,),
        start=start,
    )


async def _model(runtime: Runtime, own: RecommendationSettings, stack: contextlib.AsyncExitStack) -> ModelWatch:
    folder = await stack.enter_async_context(model_folder(own.model_dir))
    watch = ModelWatch(folder, runtime.metrics.registry)
    runtime.model_status = watch.status
    runtime.background.every(own.model_poll, watch.refresh, name="model")
    return watch


def _beside(runtime: Runtime, seeding: Coroutine[Any, Any, None], database: Database) -> Callable[[], Awaitable[None]]:
    """Seed beside the start, which a database that can't be reached must not hold up, and return how to end it."""
    task = asyncio.create_task(seeding)
    runtime.lifecycle.require("data", task.done)

    async def end() -> None:
        if database.ready:
            # A statement that is cut off leaves its connection behind.
            await asyncio.wait({task}, timeout=_SEED_SECONDS)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    return end


class MissingParts:
    """Counts the parts of the ensemble that gave no answer: `serin_part_missing_total{part,reason}`."""

    def __init__(self, runtime: Runtime, parts: tuple[str, ...]) -> None:
        self._missing = Counter(
            "serin_part_missing_total",
            "Answers without a part of the ensemble.",
            ("part", "reason"),
            registry=runtime.metrics.registry,
        )
        for part in parts:
            for reason in REASONS:
                self._missing.labels(part, reason)

    def __call__(self, part: str, reason: str) -> None:
        """Count one."""
        self._missing.labels(part, reason).inc()


def main() -> None:
    """Serve until told to stop."""
    settings = ServiceSettings()
    serve(create_app(settings), settings)
