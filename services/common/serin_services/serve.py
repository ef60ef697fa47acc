"""One uvicorn worker that stops without a failed request.

uvicorn closes its listening socket as soon as it gets SIGTERM, while other nodes still send connections to the pod.
This server first turns readiness off, serves on for the drain time, asks clients that keep connections to move away,
and closes only then.
"""

import signal
import time
from types import FrameType
from typing import TYPE_CHECKING

import structlog
import uvicorn
from fastapi import FastAPI

from serin_services import logs
from serin_services.lifecycle import Lifecycle
from serin_services.settings import ServiceSettings

if TYPE_CHECKING:
    from serin_services.runtime import Runtime

log = structlog.get_logger("serve")


class DrainingServer(uvicorn.Server):
    """A uvicorn server whose first SIGTERM begins a drain; a second one, or SIGINT, ends it at once."""

    def __init__(self, config: uvicorn.Config, lifecycle: Lifecycle, drain: float) -> None:
        super().__init__(config)
        self.lifecycle = lifecycle
        self.drain = drain
        self._close_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain on the first SIGTERM, otherwise do what uvicorn does."""
        if sig == signal.SIGTERM and self._close_at is None:
            self.lifecycle.drain()
            self._close_at = time.monotonic() + self.drain
            log.info("draining", seconds=self.drain)
        else:
            super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Tell uvicorn's loop, ten times a second, whether to end."""
        ended = await super().on_tick(counter)
        return ended or (self._close_at is not None and time.monotonic() >= self._close_at)


def serve(app: FastAPI, settings: ServiceSettings) -> None:
    """Serve `app` until the process is told to stop."""
    logs.configure(settings.log_level)
    runtime: Runtime = app.state.runtime
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        # Longer than the idle time of the usual proxies, so that they close first and no request meets a closed one.
        timeout_keep_alive=75,
        timeout_graceful_shutdown=int(settings.grace),
    )
    log.info(
        "starting",
        service=runtime.service,
        engine=settings.engine,
        variant=settings.variant,
        version=settings.version,
        port=settings.port,
    )
    DrainingServer(config, runtime.lifecycle, settings.drain).run()
    log.info("stopped")
