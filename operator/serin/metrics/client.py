"""Asks Prometheus, and names each way in which it can fail to answer.

The queries go through prometheus-api-client in threads of their own: its sessions block, and the operator's event
loop must not wait for a slow Prometheus.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from prometheus_api_client import PrometheusConnect

from serin.engine.observation import MeasurementFailure, Unmeasured
from serin.metrics.answers import Row, checked, classify, whole
from serin.metrics.credentials import Access, Credentials, CredentialsError
from serin.metrics.keeper import KEPT_SECONDS, Keeper, ReadSecret
from serin.metrics.queries import span
from serin.metrics.session import connected

_T = TypeVar("_T")

_CLIENTS: Final = 64
_THREADS: Final = 16
_AT_ONCE: Final = 4
"""Queries to one server at a time; fewer than threads, so that a slow server does not stop the others. A query that
waits for its turn does not yet use up its time."""
_GRACE: Final = 2.0


QueryObserver = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Series:
    """One element of a range vector: values by Unix time."""

    labels: dict[str, str]
    values: dict[float, float]


@dataclass(frozen=True, slots=True)
class Range:
    """The evaluations of a range query: at `start`, every `step` seconds, until `end` (Unix seconds)."""

    start: float
    end: float
    step: float


@dataclass(frozen=True, slots=True)
class _Server:
    client: PrometheusConnect
    free: asyncio.Semaphore
    credentials: Credentials


class Client:
    """Instant queries to any number of Prometheus servers.

    Args:
        executor: threads to ask in; None makes sixteen, which `close` ends.
        timeout: seconds until a query is given up.
        on_query: told (`Answered` or the failure, seconds) after each query.
        read_secret: reads a Secret for credentials; None where there are none to read.
        kept: seconds for which a Secret is not read again.
    """

    def __init__(
        self,
        executor: ThreadPoolExecutor | None,
        timeout: float,
        on_query: QueryObserver | None = None,
        read_secret: ReadSecret | None = None,
        kept: float = KEPT_SECONDS,
    ) -> None:
        self.timeout = timeout
        self._on_query = on_query
        self._own = executor is None
        self._executor = executor or ThreadPoolExecutor(_THREADS, thread_name_prefix="prometheus")
        self._keeper = Keeper(read_secret, self._executor, kept)
        self._clients: OrderedDict[Access, _Server] = OrderedDict()

    async def query(self, access: Access, promql: str, at: float) -> list[Row] | Unmeasured:
        """The instant vector of `promql` at the Unix time `at`, or why there is none."""
        return await self._run(access, self._ask, promql, at)

    async def query_range(self, access: Access, promql: str, over: Range) -> list[Series] | Unmeasured:
        """The range vector of `promql`, or why there is none."""
        return await self._run(access, self._ask_range, promql, over)

    async def refused(self, access: Access) -> str:
        """Why the credentials of `access` can't be used, as a sentence; empty when they can."""
        try:
            await self._keeper.credentials(access)
        except CredentialsError as error:
            return str(error)
        return ""

    async def _run(self, access: Access, ask: Callable[..., list[_T]], *args: Any) -> list[_T] | Unmeasured:
        try:
            server = await self._server(access)
            answer = await self._asked(access, server, ask, *args)
            if _is_refusal(answer):
                # They may have been replaced since they were read: then, and only then, it is asked once more.
                self._keeper.doubt(access)
                fresh = await self._server(access)
                if fresh is not server:
                    answer = await self._asked(access, fresh, ask, *args)
        except CredentialsError as error:
            return Unmeasured(MeasurementFailure.UNAUTHORIZED, str(error))
        if isinstance(answer, Unmeasured) and _is_refusal(answer):
            return Unmeasured(answer.failure, f"{answer.message}: {_what_to_show(access)}")
        return answer

    async def _asked(
        self, access: Access, server: _Server, ask: Callable[..., list[_T]], *args: Any
    ) -> list[_T] | Unmeasured:
        async with server.free:
            begun, loop = time.monotonic(), asyncio.get_running_loop()
            answer: list[_T] | Unmeasured
            try:
                work = loop.run_in_executor(self._executor, ask, server.client, *args)
                answer = await asyncio.wait_for(work, self.timeout + _GRACE)
            except Exception as error:  # noqa: BLE001 - whatever the library raises is a failed measurement
                answer = classify(error, access.ref.address, self.timeout)
            if self._on_query is not None:
                verdict = answer.failure.value if isinstance(answer, Unmeasured) else "Answered"
                self._on_query(verdict, time.monotonic() - begun)
            return answer

    def close(self) -> None:
        """Ends connections and own threads; a query under way is not waited for."""
        if self._own:
            self._executor.shutdown(wait=False, cancel_futures=True)
        for server in self._clients.values():
            server.client.close()
        self._clients.clear()

    async def _server(self, access: Access) -> _Server:
        credentials = await self._keeper.credentials(access)
        known = self._clients.get(access)
        if known is None or known.credentials.version != credentials.version:
            free = known.free if known is not None else asyncio.Semaphore(_AT_ONCE)
            self._clients[access] = _Server(connected(access, credentials, whole), free, credentials)
            if known is not None:
                known.client.close()
        self._clients.move_to_end(access)
        if len(self._clients) > _CLIENTS:
            self._clients.popitem(last=False)[1].client.close()
        return self._clients[access]

    def _params(self) -> dict[str, str]:
        # Thanos then fails instead of leaving out stores; Prometheus ignores it.
        return {"timeout": span(self.timeout), "partial_response": "false"}

    def _ask_range(self, client: PrometheusConnect, promql: str, over: Range) -> list[Series]:
        start, end = (datetime.fromtimestamp(at, UTC) for at in (over.start, over.end))
        data: Any = client.custom_query_range(
            promql, start, end, f"{over.step:g}", params=self._params(), timeout=self.timeout
        )
        return [
            Series(dict(item["metric"]), {float(at): float(value) for at, value in item["values"]}) for item in data
        ]

    def _ask(self, client: PrometheusConnect, promql: str, at: float) -> list[Row]:
        params = {"time": f"{at:.3f}", **self._params()}
        return checked(client.custom_query(promql, params=params, timeout=self.timeout), at)


def _is_refusal(answer: object) -> bool:
    return isinstance(answer, Unmeasured) and answer.failure is MeasurementFailure.UNAUTHORIZED


def _what_to_show(access: Access) -> str:
    shown_now = [f"{field} (Secret {access.namespace}/{key.name})" for field, key in access.keys if field[:3] != "tls"]
    if not shown_now:
        return "name a Secret with what it wants to see in prometheus.bearerTokenFrom or headersFrom"
    return f"correct what it is shown, prometheus.{' and '.join(shown_now)}"
