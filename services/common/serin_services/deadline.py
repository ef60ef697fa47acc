"""The longest time an answer may take, and the last catch for what nobody expected.

A client that has gone away still holds a slot of the process until the work ends; a deadline gives it back.
"""

import asyncio

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serin_services.context import route_of
from serin_services.problems import problem_response

log = structlog.get_logger("deadline")


class DeadlineMiddleware:
    """Answers 504 after `seconds`, and 500 for an unexpected error, as long as no answer has begun."""

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self.app = app
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request within its deadline."""
        if route_of(scope) is None:
            await self.app(scope, receive, send)
            return
        begun = False

        async def watch(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            async with asyncio.timeout(self.seconds) as deadline:
                await self.app(scope, receive, watch)
        except TimeoutError:
            if begun:
                raise
            if not deadline.expired():
                log.exception("a timeout that nobody handled")
            await problem_response(504, f"No answer within {self.seconds:g} s.")(scope, receive, send)
        except Exception:
            if begun:
                raise
            log.exception("unexpected error")
            await problem_response(500, "An unexpected error; the log has it under this request's id.")(
                scope, receive, send
            )
