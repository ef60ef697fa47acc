"""The parts of one process that probes, health and routes reach through the application's state."""

from dataclasses import dataclass, field
from typing import Annotated, Protocol

from fastapi import Depends, Request

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
    """One process of one service."""

    service: str
    settings: ServiceSettings
    lifecycle: Lifecycle
    metrics: HttpMetrics
    engine: EngineInfo | None = None
    database: Database | None = None
    caches: dict[str, int] = field(default_factory=dict)


def get_runtime(request: Request) -> Runtime:
    """FastAPI dependency: the process that serves this request."""
    runtime: Runtime = request.app.state.runtime
    return runtime


RuntimeDependency = Annotated[Runtime, Depends(get_runtime)]
