"""Refuses what a process can't hold, too many requests or too large ones, before it collapses under them.

A process with one worker that takes in everything answers all of it late. A refusal with Retry-After costs
microseconds and sends the client to another pod.
"""

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serin_services.context import route_of
from serin_services.metrics import HttpMetrics
from serin_services.problems import RETRY_AFTER_SECONDS, problem_response


class AdmissionMiddleware:
    """Answers 503 while `limit` counted requests are in flight, and 413 to a body that is too large.

    FastAPI's own limit answers in plain text; these are problem documents.
    """

    def __init__(self, app: ASGIApp, limit: int, max_body_bytes: int, metrics: HttpMetrics) -> None:
        self.app = app
        self.limit = limit
        self.max_body_bytes = max_body_bytes
        self.metrics = metrics
        self._inflight = 0
        self._too_large = f"A body may have {max_body_bytes} bytes."

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request or refuse it."""
        route = route_of(scope)
        if route is None or not route.counted:
            await self.app(scope, receive, send)
            return
        if self._inflight >= self.limit:
            self.metrics.shed.inc()
            refusal = problem_response(
                503,
                f"{self.limit} requests are in flight: try again in a moment.",
                retry_after=RETRY_AFTER_SECONDS,
            )
            await refusal(scope, receive, send)
            return
        length = Headers(scope=scope).get("content-length", "0")
        if not length.isdecimal() or int(length) > self.max_body_bytes:
            await problem_response(413, self._too_large)(scope, receive, send)
            return
        self._inflight += 1
        try:
            await self.app(scope, self._limited(receive), send)
        finally:
            self._inflight -= 1

    def _limited(self, receive: Receive) -> Receive:
        """Cut off a body whose length was not announced once it is too large."""
        read = 0

        async def limited() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self.max_body_bytes:
                # FastAPI lets this kind of error through while it reads a body; any other becomes a 400.
                raise HTTPException(413, self._too_large)
            return message

        return limited
