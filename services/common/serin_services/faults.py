"""A bad release on purpose: a share of errors, or a delay, from a given time on.

It is how a rollback is tried on a real cluster. It is off unless a setting turns it on, it says so loudly in the log,
and every answer that it changed carries the header x-serin-fault, so that nobody takes it for a real failure.
"""

import asyncio
import random
from dataclasses import dataclass

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serin_services.context import route_of
from serin_services.lifecycle import Lifecycle
from serin_services.metrics import HttpMetrics
from serin_services.problems import problem_response
from serin_services.settings import ServiceSettings

HEADER = "x-serin-fault"

log = structlog.get_logger("faults")


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong on purpose.

    Attributes:
        error_share: Share of counted requests that are answered with 500, 0 to 1.
        latency: Seconds added to every counted request.
        after: Seconds of uptime from which both apply.
    """

    error_share: float = 0.0
    latency: float = 0.0
    after: float = 0.0

    @classmethod
    def of(cls, settings: ServiceSettings) -> "Faults":
        """Read the faults of a process from its settings."""
        return cls(settings.fault_error_share, settings.fault_latency, settings.fault_after)

    @property
    def on(self) -> bool:
        """Whether anything is to go wrong, now or later."""
        return self.error_share > 0 or self.latency > 0


class FaultMiddleware:
    """Delays requests and answers a share of them with 500.

    Each request fails independently of the others, as with a real fault. An injected error takes the added latency
    too.
    """

    def __init__(
        self,
        app: ASGIApp,
        faults: Faults,
        lifecycle: Lifecycle,
        metrics: HttpMetrics,
        generator: random.Random | None = None,
    ) -> None:
        self.app = app
        self.faults = faults
        self.lifecycle = lifecycle
        self.metrics = metrics
        self._generator = generator or random.Random()  # noqa: S311 - which request fails is no secret
        self._announced = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or spoil it."""
        route = route_of(scope)
        if route is None or not route.counted or self.lifecycle.uptime < self.faults.after:
            await self.app(scope, receive, send)
            return
        if not self._announced:
            self._announced = True
            log.warning("injected faults begin now", uptime=round(self.lifecycle.uptime, 1))
        kinds = []
        if self.faults.latency > 0:
            kinds.append("latency")
            self.metrics.faults.labels("latency").inc()
            await asyncio.sleep(self.faults.latency)
        if self._generator.random() < self.faults.error_share:
            self.metrics.faults.labels("error").inc()
            answer = problem_response(500, "This error was injected on purpose.", headers={HEADER: "error"})
            await answer(scope, receive, send)
            return

        async def mark(message: Message) -> None:
            if kinds and message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = ",".join(kinds)
            await send(message)

        await self.app(scope, receive, mark)


def announce(faults: Faults) -> None:
    """Say in the log that this process is made to fail."""
    if faults.on:
        log.warning(
            "FAULT INJECTION IS ON: this release is bad on purpose",
            error_share=faults.error_share,
            latency_seconds=faults.latency,
            after_seconds=faults.after,
        )
