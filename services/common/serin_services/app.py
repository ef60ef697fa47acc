"""Puts an application together, the same way for both services."""

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager

from fastapi import APIRouter, FastAPI
from starlette.middleware import Middleware

from serin_services import faults, health, probes, problems
from serin_services.admission import AdmissionMiddleware
from serin_services.assignment import Assignment
from serin_services.background import Background
from serin_services.caches import CLEAN_SECONDS, Caches
from serin_services.context import ContextMiddleware, Identity
from serin_services.copies import CopiesMiddleware
from serin_services.deadline import DeadlineMiddleware
from serin_services.lifecycle import Lifecycle
from serin_services.metrics import HttpMetrics, MetricsMiddleware
from serin_services.routes import RouteTable
from serin_services.runtime import Runtime
from serin_services.settings import ServiceSettings

Start = Callable[[FastAPI, Runtime], AbstractAsyncContextManager[None]]
"""Loads what a service needs into the application's state; what follows its `yield` runs at the end."""


def build(
    *, service: str, title: str, settings: ServiceSettings, routers: Sequence[APIRouter], start: Start
) -> FastAPI:
    """Build the application of a service.

    Args:
        service: Name of the service, the label `service` of its metrics.
        title: Title of its OpenAPI document.
        settings: Settings of the process.
        routers: Routes that users call.
        start: Loads the engine and opens the database.

    Returns:
        An ASGI application; its lifespan must run before it serves.
    """
    silent = (health.router, probes.router)
    routes = RouteTable(routers, silent)
    lifecycle = Lifecycle()
    metrics = HttpMetrics(service=service, engine=settings.engine, version=settings.version, routes=routes)
    runtime = Runtime(
        service,
        settings,
        lifecycle,
        metrics,
        caches=Caches(metrics.registry),
        background=Background(metrics.registry),
        assignment=Assignment(settings.variant, metrics.registry, service),
    )
    planned = faults.Faults.of(settings)
    middleware = [
        Middleware(
            ContextMiddleware, routes, lifecycle, Identity(settings.variant, settings.engine, settings.log_salt)
        ),
        Middleware(CopiesMiddleware),
        Middleware(MetricsMiddleware, metrics),
        Middleware(AdmissionMiddleware, settings.max_inflight, settings.max_body_bytes, metrics),
        Middleware(DeadlineMiddleware, settings.timeout),
    ]
    if planned.on:
        middleware.append(Middleware(faults.FaultMiddleware, planned, lifecycle, metrics))

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        faults.announce(planned)
        runtime.background.every(CLEAN_SECONDS, runtime.caches.clean, name="clean caches")
        try:
            async with start(app, runtime):
                lifecycle.started = True
                try:
                    yield
                finally:
                    # Before the service closes its database, which they use.
                    await runtime.background.close()
        finally:
            await runtime.background.close()

    app = FastAPI(
        title=title,
        version="2",
        lifespan=lifespan,
        middleware=middleware,
        redoc_url=None,
    )
    app.state.runtime = runtime
    problems.install(app)
    for router in (*routers, *silent):
        app.include_router(router)
    return app
