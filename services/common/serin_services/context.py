"""The outermost layer of a request: who asks, for which route, and what was answered.

It gives every answer its request id and the headers that name the variant and the engine, tells clients to move away
while the process drains, and writes the log line. Neither a user id nor a body is ever logged.
"""

import re
import time
import uuid
from dataclasses import dataclass

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serin_services.lifecycle import Lifecycle
from serin_services.privacy import user_hash
from serin_services.routes import MatchedRoute, RouteTable

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_ROUTE = "serin.route"
_SERVER_ERROR = 500
_CLIENT_ERROR = 400
SLOW_SECONDS = 1.0
"""A request that takes longer is logged as a warning."""

log = structlog.get_logger("request")


def route_of(scope: Scope) -> MatchedRoute | None:
    """Return the route that the context layer found; None for anything but HTTP."""
    route: MatchedRoute | None = scope.get(_ROUTE)
    return route


@dataclass(frozen=True, slots=True)
class Identity:
    """What answers say about the process that gave them."""

    variant: str
    engine: str
    salt: str


class ContextMiddleware:
    """Knows a request's route, id and user hash; marks its answer; logs it."""

    def __init__(self, app: ASGIApp, routes: RouteTable, lifecycle: Lifecycle, identity: Identity) -> None:
        self.app = app
        self.routes = routes
        self.lifecycle = lifecycle
        self.identity = identity

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request inside its context."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        route = scope[_ROUTE] = self.routes.match(scope)
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        user_id = headers.get("x-user-id")
        user = user_hash(user_id, self.identity.salt) if user_id else None
        status = 0

        async def mark(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                answer = MutableHeaders(scope=message)
                answer["x-request-id"] = request_id
                answer["x-serin-variant"] = self.identity.variant
                answer["x-serin-engine"] = self.identity.engine
                if self.lifecycle.draining:
                    # A client that keeps its connection opens the next one to another pod.
                    answer["connection"] = "close"
            await send(message)

        start = time.perf_counter()
        with structlog.contextvars.bound_contextvars(request_id=request_id, user=user):
            try:
                await self.app(scope, receive, mark)
            finally:
                _write(route, status, time.perf_counter() - start)


def _write(route: MatchedRoute, status: int, seconds: float) -> None:
    # Every answer to a user is a debug line; at "info" only those are written that somebody may have to explain.
    level = log.debug
    if status == 0 or status >= _SERVER_ERROR or seconds > SLOW_SECONDS:
        level = log.warning
    elif status >= _CLIENT_ERROR:
        level = log.info
    if not route.counted:
        level = log.debug
    level("request", method=route.method, route=route.template, status=status, milliseconds=round(seconds * 1000, 1))
