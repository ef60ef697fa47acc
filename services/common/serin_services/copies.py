"""Copies of requests, whose answers a gateway drops: they are served like any request, and write nothing.

A gateway that mirrors sends each request to control, and a copy of it to the canary, which answers to nobody. What a
copy wrote would stand beside what the request itself wrote: a turn twice in one conversation, an item that a user was
shown by a variant that they never met. Envoy marks a copy by `-shadow` behind the name in `Host`, and sends it as a
request of its own.

https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/route/v3/route_components.proto (RequestMirrorPolicy)
"""

from collections.abc import Mapping
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from serin_services.context import route_of

_SUFFIX: Final = "-shadow"
_NO_CONTENT: Final = 204


def is_copy(headers: Mapping[str, str]) -> bool:
    """Whether a request is a copy.

    Args:
        headers: Headers of the request, found by their lower-case names.
    """
    name, _, port = headers.get("host", "").rpartition(":")
    # A gateway takes this header away from those outside, so that no user can ask for an answer that counts nowhere.
    return (name or port).endswith(_SUFFIX) and headers.get("x-envoy-internal") == "true"


class CopiesMiddleware:
    """Answers 204 to copies of requests that write, before anything is done or counted."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, unless it is a copy that would write."""
        route = route_of(scope)
        if route is not None and route.writes and is_copy(Headers(scope=scope)):
            await Response(status_code=_NO_CONTENT)(scope, receive, send)
            return
        await self.app(scope, receive, send)
