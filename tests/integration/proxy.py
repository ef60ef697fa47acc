"""A reverse proxy that stands before a real server and misbehaves when it is told to.

It runs in a thread of its own and passes everything on, streams too. What it does instead is a `Fault`: a coroutine
that is given the request and what passes it on, so that a fault can strike before or after the effect.
"""

import asyncio
import contextlib
import json
import random
import ssl
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiohttp import web
from yarl import URL

Forward = Callable[[], Awaitable[web.StreamResponse]]
Fault = Callable[[web.Request, Forward], Awaitable[web.StreamResponse]]
_SECONDS: Final = 10.0
_NOT_PASSED: Final = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding"})


class Proxy:
    """Passes requests on.

    Args:
        upstream: address of the server.
        ca: the certificate that it is trusted by.
        told: given (method, path, body, status) of each write that the server has answered.
    """

    def __init__(
        self, upstream: str, ca: Path | None = None, told: Callable[[str, str, Any, int], None] | None = None
    ) -> None:
        self._upstream, self._ca, self._told = upstream.rstrip("/"), ca, told
        self.fault: Fault = passes
        self.requests: Counter[str] = Counter()
        """By method; a watch is `WATCH`."""
        self.last_write = 0.0
        """Monotonic time of the last write that reached the server."""
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self.port = 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen on a free port."""
        self._thread.start()
        assert self._ready.wait(_SECONDS), "the proxy does not listen"

    def stop(self) -> None:
        """End everything."""
        self._do(self._cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_SECONDS)
        self._loop.close()

    def vanish(self) -> None:
        """Listen no more, and drop every connection: what a server looks like that is gone."""
        self._do(self._vanish())

    def come_back(self) -> None:
        """Listen again, at the same address."""
        self._do(self._listen())

    def drop(self) -> None:
        """Drop every open connection once."""
        self._do(self._drop())

    def _do(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(_SECONDS)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._begin())
        self._ready.set()
        self._loop.run_forever()

    async def _begin(self) -> None:
        trust = ssl.create_default_context(cafile=str(self._ca)) if self._ca is not None else None
        connector = aiohttp.TCPConnector(limit=0, ssl=trust if trust is not None else True)
        self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None))
        app = web.Application(client_max_size=2**26)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await self._listen()

    async def _listen(self) -> None:
        self._site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await self._site.start()
        self.port = self._runner.addresses[-1][1]

    async def _drop(self) -> None:
        assert self._runner.server is not None
        for each in self._runner.server.connections:
            if each.transport is not None:
                each.transport.abort()

    async def _vanish(self) -> None:
        await self._site.stop()
        await self._drop()

    async def _cleanup(self) -> None:
        await self._drop()
        await self._runner.cleanup()
        await self._session.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests["WATCH" if is_watch(request) else request.method] += 1
        return await self.fault(request, lambda: self._forward(request))

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = {key: value for key, value in request.headers.items() if key.lower() not in _NOT_PASSED}
        url = f"{self._upstream}{request.raw_path}"
        async with self._session.request(
            request.method, URL(url, encoded=True), headers=headers, data=body or None
        ) as answer:
            if is_watch(request):
                return await _stream(request, answer)
            data = await answer.read()
            if request.method != "GET":
                self.last_write = time.monotonic()
                if self._told is not None:
                    self._told(request.method, request.path, json.loads(body or b"null"), answer.status)
            kind = answer.headers.get("Content-Type", "application/json")
            return web.Response(status=answer.status, body=data, headers={"Content-Type": kind})


async def _stream(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    stream = web.StreamResponse(status=answer.status, headers={"Content-Type": "application/json"})
    await stream.prepare(request)
    async for chunk in answer.content.iter_any():
        await stream.write(chunk)
    return stream


@contextlib.contextmanager
def proxy(
    upstream: str, ca: Path | None = None, told: Callable[[str, str, Any, int], None] | None = None
) -> Iterator[Proxy]:
    """Run a proxy until the context ends."""
    made = Proxy(upstream, ca, told)
    made.start()
    try:
        yield made
    finally:
        made.stop()


def is_watch(request: web.Request) -> bool:
    """Whether a request to an API server asks for a stream of changes."""
    return request.query.get("watch", "") in {"1", "true"}


async def passes(request: web.Request, forward: Forward) -> web.StreamResponse:
    """No fault."""
    del request
    return await forward()


def refuses(status: int, share: float = 1.0, reason: str = "", *, writes: bool = False) -> Fault:
    """A share of the requests is answered with `status`: reads and half of the writes without effect, the rest after.

    With `writes` all reads pass.
    """
    chance = random.Random(status)

    async def fault(request: web.Request, forward: Forward) -> web.StreamResponse:
        if (writes and request.method == "GET") or chance.random() >= share:
            return await forward()
        if request.method != "GET" and chance.random() < 0.5:
            await forward()
        return refusal(status, reason)

    return fault


def refusal(status: int, reason: str = "", message: str = "") -> web.Response:
    """Return an answer as the API server refuses."""
    text = message or f"answered {status} on purpose"
    said = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status, "reason": reason}
    headers = {"Retry-After": "1"} if status in {429, 503} else {}
    return web.json_response({**said, "message": text}, status=status, headers=headers)


def hangs(share: float = 1.0, *, only: str = "", seconds: float = 60.0) -> Fault:
    """A share of the requests is not answered, half of the writes after they had their effect."""
    chance = random.Random(7)

    async def fault(request: web.Request, forward: Forward) -> web.StreamResponse:
        if only not in request.path or is_watch(request) or chance.random() >= share:
            return await forward()
        if request.method != "GET" and chance.random() < 0.5:
            await forward()
        await asyncio.sleep(seconds)
        return refusal(504)

    return fault


async def watches_expire(request: web.Request, forward: Forward) -> web.StreamResponse:
    """Every watch is told that its place in the history is gone."""
    if not is_watch(request):
        return await forward()
    stream = web.StreamResponse(headers={"Content-Type": "application/json"})
    await stream.prepare(request)
    expired = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410}
    gone = {"type": "ERROR", "object": {**expired, "message": "too old resource version: 1 (2)"}}
    await stream.write(json.dumps(gone).encode() + b"\n")
    return stream
