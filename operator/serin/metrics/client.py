"""Asks Prometheus, and names each way in which it can fail to answer.

The queries go through prometheus-api-client in threads of their own: its sessions block, and the operator's event
loop must not wait for a slow Prometheus.
"""

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import requests
from prometheus_api_client import PrometheusConnect
from urllib3.util.retry import Retry

from serin.engine.observation import MeasurementFailure, Unmeasured
from serin.metrics.queries import span

_T = TypeVar("_T")

_CLIENTS: Final = 64
_THREADS: Final = 16
_AT_ONCE: Final = 4
"""Queries to one server at a time; fewer than threads, so that a slow server does not stop the others. A query that
waits for its turn does not yet use up its time."""
_GRACE: Final = 2.0
_SAME_TIME: Final = 1.0
"""Seconds that the time of an answer may differ from the one that was asked for; it differs by its rounding alone."""
_QUOTED: Final = 300
_SECRET: Final = re.compile(r"(?i)(bearer|basic)\s+\S+|(token|password|secret|api_?key)=[^\s&\"']+|//[^/@\s]+@")


QueryObserver = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Row:
    """One element of an instant vector."""

    labels: dict[str, str]
    value: float


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


class AnswerError(Exception):
    """Prometheus did answer, but not with a whole result."""

    def __init__(self, failure: MeasurementFailure, words: str) -> None:
        super().__init__(words)
        self.failure = failure
        self.words = words


def shown(address: str) -> str:
    """`address` without user, password and query, for a message."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def classify(error: BaseException, address: str, timeout: float) -> Unmeasured:
    """The one place that names failures; the sentence holds no token, header or query."""
    where = f"Prometheus at {shown(address)}"
    if isinstance(error, AnswerError):
        return Unmeasured(error.failure, f"{where} {error.words}")
    if isinstance(error, (TimeoutError, requests.Timeout)):
        return Unmeasured(MeasurementFailure.TIMEOUT, f"{where} did not answer within {timeout:g} s")
    if isinstance(error, requests.exceptions.JSONDecodeError):
        text = f"{where} did not answer with JSON: is this the address of its API?"
        return Unmeasured(MeasurementFailure.CLIENT_ERROR, text)
    if isinstance(error, requests.exceptions.SSLError):
        text = f"{where} has a certificate that is not trusted"
        return Unmeasured(MeasurementFailure.UNREACHABLE, text)
    if isinstance(error, (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema)):
        text = f"{shown(address)} is not an address: write one like http://prometheus.monitoring:9090"
        return Unmeasured(MeasurementFailure.CLIENT_ERROR, text)
    if isinstance(error, (requests.RequestException, OSError)):
        text = f"{where} can't be reached ({_cause(error)})"
        return Unmeasured(MeasurementFailure.UNREACHABLE, text)
    return Unmeasured(MeasurementFailure.SERVER_ERROR, f"{where} gave an answer that can't be read")


class Client:
    """Instant queries to any number of Prometheus servers.

    Args:
        executor: threads to ask in; None makes sixteen, which `close` ends.
        timeout: seconds until a query is given up.
        on_query: told (`Answered` or the failure, seconds) after each query.
    """

    def __init__(
        self, executor: ThreadPoolExecutor | None, timeout: float, on_query: QueryObserver | None = None
    ) -> None:
        self.timeout = timeout
        self._on_query = on_query
        self._own = executor is None
        self._executor = executor or ThreadPoolExecutor(_THREADS, thread_name_prefix="prometheus")
        self._clients: OrderedDict[str, _Server] = OrderedDict()

    async def query(self, address: str, promql: str, at: float) -> list[Row] | Unmeasured:
        """The instant vector of `promql` at the Unix time `at`, or why there is none."""
        return await self._run(address, self._ask, promql, at)

    async def query_range(self, address: str, promql: str, over: Range) -> list[Series] | Unmeasured:
        """The range vector of `promql`, or why there is none."""
        return await self._run(address, self._ask_range, promql, over)

    async def _run(self, address: str, ask: Callable[..., list[_T]], *args: Any) -> list[_T] | Unmeasured:
        server = self._server(address)
        async with server.free:
            begun, loop = time.monotonic(), asyncio.get_running_loop()
            answer: list[_T] | Unmeasured
            try:
                work = loop.run_in_executor(self._executor, ask, server.client, *args)
                answer = await asyncio.wait_for(work, self.timeout + _GRACE)
            except Exception as error:  # noqa: BLE001 - whatever the library raises is a failed measurement
                answer = classify(error, address, self.timeout)
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

    def _server(self, address: str) -> _Server:
        if address not in self._clients:
            session = requests.Session()
            # Nothing of the machine's (.netrc, proxies) is sent to an address that a user wrote.
            session.trust_env = False
            # custom_query returns `data.result` alone: warnings, and so partial results, would look like whole ones.
            session.hooks["response"].append(_whole)
            client = PrometheusConnect(
                # The controller retries by looking again; a retry inside would only hide how long it takes.
                url=address.rstrip("/"),
                # read=False: a read that times out is then reported as that, and not as a lost connection.
                retry=Retry(0, read=False, raise_on_status=False),
                session=session,
            )
            self._clients[address] = _Server(client, asyncio.Semaphore(_AT_ONCE))
        self._clients.move_to_end(address)
        if len(self._clients) > _CLIENTS:
            self._clients.popitem(last=False)[1].client.close()
        return self._clients[address]

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
        data: Any = client.custom_query(promql, params=params, timeout=self.timeout)
        if any(abs(float(item["value"][0]) - at) > _SAME_TIME for item in data):
            raise AnswerError(MeasurementFailure.SERVER_ERROR, "answered for another time: is a cache before it?")
        return [Row(dict(item["metric"]), float(item["value"][1])) for item in data]


def _whole(response: requests.Response, *_args: object, **_kwargs: object) -> None:
    """Refuses every answer that is not a whole, successful vector, and gives its connection back."""
    try:
        _refuse(response)
    except Exception:
        response.close()
        raise


def _refuse(response: requests.Response) -> None:
    if response.is_redirect:
        return
    status = response.status_code
    if status == HTTPStatus.PARTIAL_CONTENT:
        raise AnswerError(MeasurementFailure.PARTIAL, "gave only a part of the result")
    try:
        body = response.json()
    except requests.exceptions.JSONDecodeError:
        if response.ok:
            raise
        body = {}
    body = body if isinstance(body, dict) else {}
    if not response.ok:
        # Prometheus reports its own timeout as 503 with this type.
        if body.get("errorType") == "timeout" or status in {408, 504}:
            raise AnswerError(MeasurementFailure.TIMEOUT, "gave the query up after its time limit")
        said = f": {_words(str(body['error']))}" if body.get("error") else ""
        client_side = status < HTTPStatus.INTERNAL_SERVER_ERROR
        failure = MeasurementFailure.CLIENT_ERROR if client_side else MeasurementFailure.SERVER_ERROR
        raise AnswerError(failure, f"answered {status}{said}")
    if warnings := body.get("warnings"):
        said = _words("; ".join(str(each) for each in warnings))
        partial = re.search(r"(?i)partial|unavailable|no store|fetch series|receive series", said)
        failure = MeasurementFailure.PARTIAL if partial else MeasurementFailure.WARNINGS
        raise AnswerError(failure, f"answered with warnings: {said}")
    if body.get("isPartial"):  # VictoriaMetrics, when some of its storage nodes did not answer
        raise AnswerError(MeasurementFailure.PARTIAL, "gave only a part of the result")
    if body.get("status") != "success" or (body.get("data") or {}).get("resultType") not in {"vector", "matrix"}:
        raise AnswerError(MeasurementFailure.CLIENT_ERROR, "answered with something else than a vector")


def _words(text: str) -> str:
    return _SECRET.sub("…", " ".join(text.split()))[:_QUOTED]


def _cause(error: BaseException) -> str:
    text = str(error)
    if "NameResolution" in text or "getaddrinfo" in text:
        return "its name is not known to DNS"
    if "refused" in text:
        return "connection refused"
    return "no connection"
