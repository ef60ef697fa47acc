"""The parts of one process that probes, health and routes reach through the application's state."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from fastapi import Depends, Request

from serin_services.assignment import Assignment
from serin_services.background import Background
from serin_services.caches import Caches
from serin_services.database import Database
from serin_services.lifecycle import Lifecycle
from serin_services.metrics import HttpMetrics
from serin_services.settings import ServiceSettings


class EngineInfo(Protocol):
    """What health and metrics tell about an engine, whatever it computes."""

    @property
    def name(self) -> str:
        """`phase3` or `phase4`."""

    @property
    def version(self) -> str:
        """Version of the code and of the model."""

    @property
    def model_age(self) -> float:
        """Seconds since the model was made."""


@dataclass(slots=True)
class Runtime:
    """One process of one service.

    Attributes:
        service: Name of the service.
        settings: Settings of the process.
        lifecycle: Whether it is started, ready, draining.
        metrics: Its registry and series.
        caches: Its caches, by name.
        background: Its periodic tasks.
        assignment: Compares the gateway's choice with the variant that served.
        engine: What answers; set while the service starts.
        database: Where its state is, or None.
        model_status: Tells what health shows of the model: version, when it was loaded, what was refused.
    """

    service: str
    settings: ServiceSettings
    lifecycle: Lifecycle
    metrics: HttpMetrics
    caches: Caches
    background: Background
    assignment: Assignment
    engine: EngineInfo | None = None
    database: Database | None = None
    model_status: Callable[[], Mapping[str, Any]] | None = None


async def get_runtime(request: Request) -> Runtime:
    """FastAPI dependency: the process that serves this request.

    A coroutine, although it waits for nothing: FastAPI runs a plain function in a thread, twice a hand-over of the GIL.
    """
    runtime: Runtime = request.app.state.runtime
    return runtime


RuntimeDependency = Annotated[Runtime, Depends(get_runtime)]
