"""`GET /api/v2/health`: what runs here and how its parts are, for people and dashboards.

Not a probe and not counted as one of the users' requests.
"""

import asyncio
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from serin_services.database import DatabaseUnavailableError
from serin_services.problems import documented
from serin_services.runtime import Runtime, RuntimeDependency

_PING_SECONDS = 1.0


class EngineHealth(BaseModel):
    """The engine that answers."""

    name: str
    version: str
    model_age_seconds: float = Field(description="Time since its model was made")


class DatabaseHealth(BaseModel):
    """The database, asked at this moment."""

    kind: str
    reachable: bool
    milliseconds: float | None = Field(default=None, description="Time of one round trip")


class CacheHealth(BaseModel):
    """One cache of the process."""

    entries: int
    size: int = Field(description="Entries at most")
    hit_ratio: float | None = Field(description="Share of look-ups that found an entry; null before the first")


class Health(BaseModel):
    """State of one process."""

    status: Literal["ok", "degraded"]
    service: str
    version: str
    variant: str
    ready: bool
    waiting_for: list[str] = Field(description="What readiness waits for")
    uptime_seconds: float
    engine: EngineHealth | None
    database: DatabaseHealth | None = Field(description="Null for a service that keeps no state")
    caches: dict[str, CacheHealth] = Field(description="Each cache by its name")
    model: dict[str, Any] | None = Field(description="The model that was loaded last; null when there is none")


router = APIRouter(prefix="/api/v2", tags=["health"])


@router.get("/health", responses=documented(500, 504))
async def health(runtime: RuntimeDependency) -> Health:
    """Say what runs in this pod, and how its engine, database and caches are."""
    database = await _database(runtime)
    engine = runtime.engine
    waiting = runtime.lifecycle.missing()
    well = engine is not None and not waiting and (database is None or database.reachable)
    return Health(
        status="ok" if well else "degraded",
        service=runtime.service,
        version=runtime.settings.version,
        variant=runtime.settings.variant,
        ready=not waiting,
        waiting_for=list(waiting),
        uptime_seconds=round(runtime.lifecycle.uptime, 1),
        engine=None
        if engine is None
        else EngineHealth(name=engine.name, version=engine.version, model_age_seconds=round(engine.model_age, 1)),
        database=database,
        caches={
            name: CacheHealth(entries=len(cache), size=cache.size, hit_ratio=cache.hit_ratio)
            for name, cache in runtime.caches.items()
        },
        model=None if runtime.model_status is None else dict(runtime.model_status()),
    )


async def _database(runtime: Runtime) -> DatabaseHealth | None:
    if runtime.database is None:
        return None
    try:
        async with asyncio.timeout(_PING_SECONDS):
            seconds = await runtime.database.ping()
    except (DatabaseUnavailableError, TimeoutError):
        return DatabaseHealth(kind=runtime.database.kind, reachable=False)
    return DatabaseHealth(kind=runtime.database.kind, reachable=True, milliseconds=round(seconds * 1000, 1))
