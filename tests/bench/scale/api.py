"""The API server as the bench talks to it: many calls at once, and watches.

`serin.kube.client` answers one call at a time, as an operator wants it; tens of thousands of objects are made, and
their pods made ready, many calls at a time.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final

import aiohttp

from tests.bench.scale.shop import Made
from tests.integration.cluster_plane import Plane

AT_ONCE: Final = 16
_MERGE: Final = "application/merge-patch+json"
_TRIES: Final = 6


class RefusedError(RuntimeError):
    """The API server did not do what the bench needs."""


class Api:
    """An administrator's connections.

    Args:
        plane: whose API server.
    """

    def __init__(self, plane: Plane) -> None:
        tls = ssl.create_default_context(cafile=str(plane.ca))
        self._session = aiohttp.ClientSession(
            base_url=plane.host,
            headers={"Authorization": f"Bearer {plane.token}"},
            connector=aiohttp.TCPConnector(ssl=tls, limit=AT_ONCE + 4),
            timeout=aiohttp.ClientTimeout(total=None, connect=10, sock_read=60),
        )
        self._free = asyncio.Semaphore(AT_ONCE)

    async def close(self) -> None:
        """Give the connections back."""
        await self._session.close()

    async def create(self, made: Made) -> None:
        """Create an object; one that is there already is fine."""
        await self._send("POST", path(made.api, made.plural, made.namespace), made.body, fine={200, 201, 409})

    async def patch(self, where: str, body: object) -> None:
        """Merge `body` into an object; one that is gone is fine."""
        await self._send("PATCH", where, body, fine={200, 404})

    async def get(self, where: str) -> dict[str, Any]:
        """Return an object."""
        async with self._free, self._session.get(where) as answer:
            if answer.status != 200:
                raise RefusedError(f"GET {where}: {answer.status} {(await answer.text())[:300]}")
            found: dict[str, Any] = await answer.json()
            return found

    async def text(self, where: str) -> str:
        """Return a page of the API server."""
        async with self._session.get(where) as answer:
            return await answer.text()

    async def pages(self, where: str) -> AsyncIterator[dict[str, Any]]:
        """A list, page by page."""
        token = ""
        while True:
            page = await self.get(f"{where}?limit=500" + (f"&continue={token}" if token else ""))
            yield page
            token = page["metadata"].get("continue", "")
            if not token:
                break

    async def follow(self, where: str) -> AsyncIterator[dict[str, Any]]:
        """Every object of a list, and every change of one, until cancelled."""
        version = ""
        while True:
            if not version:
                async for page in self.pages(where):
                    for obj in page["items"]:
                        yield obj
                    version = page["metadata"]["resourceVersion"]
            query = f"{where}?watch=1&allowWatchBookmarks=true&timeoutSeconds=300&resourceVersion={version}"
            try:
                async with self._session.get(query, timeout=_LONG) as answer:
                    async for line in _lines(answer):
                        event = json.loads(line)
                        if event["type"] == "ERROR":
                            version = ""  # too old: list again
                            break
                        version = event["object"]["metadata"]["resourceVersion"]
                        if event["type"] in {"ADDED", "MODIFIED"}:
                            yield event["object"]
            except (aiohttp.ClientError, TimeoutError):
                await asyncio.sleep(0.5)

    async def _send(self, method: str, where: str, body: object, fine: set[int]) -> None:
        """One write; again while the API server is too busy to answer."""
        kind = _MERGE if method == "PATCH" else "application/json"
        said = ""
        for number in range(_TRIES):
            try:
                async with (
                    self._free,
                    self._session.request(
                        method, where, data=json.dumps(body), headers={"Content-Type": kind}
                    ) as answer,
                ):
                    if answer.status in fine:
                        await answer.read()
                        return
                    said = f"{answer.status} {(await answer.text())[:300]}"
                    if answer.status not in {429, 500, 503, 504}:
                        break
            except (aiohttp.ClientError, TimeoutError) as error:
                said = type(error).__name__
            await asyncio.sleep(0.5 * 2**number)
        raise RefusedError(f"{method} {where}: {said}")


_LONG: Final = aiohttp.ClientTimeout(total=None, sock_read=330)


async def _lines(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Lines of any length; the stream's own reader refuses long ones."""
    rest = b""
    async for chunk in answer.content.iter_any():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if line:
                yield line


def path(api: str, plural: str, namespace: str | None, name: str = "") -> str:
    """Where a kind is, or an object of it."""
    root = f"/apis/{api}" if "/" in api else f"/api/{api}"
    scope = f"/namespaces/{namespace}" if namespace else ""
    return f"{root}{scope}/{plural}" + (f"/{name}" if name else "")


async def all_of(api: Api, objects: Iterable[Made]) -> None:
    """Create objects, many at once.

    Raises:
        RefusedError: the first that could not be created.
    """
    waiting = iter(objects)

    async def worker() -> None:
        for made in waiting:
            await api.create(made)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(worker())
    except* RefusedError as refused:
        raise refused.exceptions[0] from None
