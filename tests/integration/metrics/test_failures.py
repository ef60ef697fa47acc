"""Each way of not answering has its name, and a sentence that gives nothing away."""

import asyncio
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from serin.api.spec import PrometheusRef, parse_spec
from serin.engine.observation import MeasurementFailure, Unmeasured
from serin.metrics.checks import check
from serin.metrics.source import MetricsSource, Target
from tests.ports import free_port

SPEC = parse_spec({"services": [{"name": "web", "control": {"deployment": "web"}, "canary": {"patch": {}}}]})
EMPTY = {"status": "success", "data": {"resultType": "vector", "result": []}}
Serve = Callable[..., str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A server that gives one answer to everything, after a while; its address."""
    servers: list[ThreadingHTTPServer] = []

    def start(body: object, status: int = 200, wait: float = 0, ahead: float = 0) -> str:
        class Handler(BaseHTTPRequestHandler):
            """One answer to everything."""

            def do_GET(self) -> None:
                """Answer."""
                time.sleep(wait)
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

            def date_time_string(self, timestamp: float | None = None) -> str:
                """Say what its clock says."""
                return super().date_time_string((timestamp or time.time()) + ahead)

            def log_message(self, *_args: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def target(address: str) -> Target:
    """A service that is measured at `address`."""
    names = frozenset({"control"}), frozenset({"canary"})
    return Target("ns", "web", *names, prometheus=PrometheusRef(address=address))


ROW = {"namespace": "ns", "service": "web", "variant": "control", "code": "200", "serin_part": "requests"}


def vector(result: object) -> dict[str, object]:
    """An answer with `result` where the rows are."""
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


async def failure(source: MetricsSource, address: str) -> Unmeasured:
    """What a look at `address` gives, which can't be counts."""
    one = target(address)
    result = await source.look(one, [one], 1_000_000, 30)
    assert isinstance(result, Unmeasured)
    return result


@pytest.mark.parametrize(
    ("body", "status", "expected"),
    [
        (EMPTY, 200, MeasurementFailure.EMPTY),
        (EMPTY, 206, MeasurementFailure.PARTIAL),
        (EMPTY | {"warnings": ["PromQL warning: mixed types"]}, 200, MeasurementFailure.WARNINGS),
        (EMPTY | {"warnings": ["receive series from store: partial"]}, 200, MeasurementFailure.PARTIAL),
        (EMPTY | {"isPartial": True}, 200, MeasurementFailure.PARTIAL),
        (EMPTY | {"infos": ["PromQL info: might not be a counter"]}, 200, MeasurementFailure.EMPTY),
        ({"status": "error", "errorType": "bad_data", "error": "x"}, 400, MeasurementFailure.CLIENT_ERROR),
        ({"status": "error", "errorType": "execution", "error": "x"}, 422, MeasurementFailure.CLIENT_ERROR),
        ({"status": "error", "errorType": "timeout", "error": "x"}, 503, MeasurementFailure.TIMEOUT),
        (b"no", 401, MeasurementFailure.UNAUTHORIZED),
        (b"no", 500, MeasurementFailure.SERVER_ERROR),
        (b"<html>hello", 200, MeasurementFailure.CLIENT_ERROR),
        ([], 200, MeasurementFailure.CLIENT_ERROR),
        ({"status": "success", "data": None}, 200, MeasurementFailure.CLIENT_ERROR),
        (
            {"status": "success", "data": {"resultType": "scalar", "result": [1, "1"]}},
            200,
            MeasurementFailure.CLIENT_ERROR,
        ),
        (vector(1), 200, MeasurementFailure.SERVER_ERROR),
        (vector(None), 200, MeasurementFailure.SERVER_ERROR),
        (vector([{"metric": ROW}]), 200, MeasurementFailure.SERVER_ERROR),
        (vector([{"value": [1_000_000, "1"]}]), 200, MeasurementFailure.SERVER_ERROR),
        (vector([{"metric": ROW, "value": [1_000_000, "many"]}]), 200, MeasurementFailure.SERVER_ERROR),
        (vector([{"metric": ROW, "value": [1_000_000, ""]}]), 200, MeasurementFailure.SERVER_ERROR),
        (vector([{"metric": ROW, "value": [1_000_000, "NaN"]}]), 200, MeasurementFailure.GAP),
        (vector([{"metric": ROW, "value": [1_000_000, 5]}]), 200, MeasurementFailure.GAP),
        (EMPTY | {"warnings": "of another kind"}, 200, MeasurementFailure.CLIENT_ERROR),
    ],
)
async def test_answers_that_measure_nothing(
    source: MetricsSource, serve: Serve, body: object, status: int, expected: MeasurementFailure
) -> None:
    """What the server answers decides the failure."""
    assert (await failure(source, serve(body, status))).failure is expected


async def test_an_answer_for_another_time_is_none(source: MetricsSource, serve: Serve) -> None:
    """A cache that answers with an older look's result says so by its time; counted again, it would be evidence."""
    row = {"metric": {"namespace": "ns", "service": "web", "variant": "control", "code": "200"}}
    old = {"status": "success", "data": {"resultType": "vector", "result": [{**row, "value": [999_970, "1"]}]}}
    result = await failure(source, serve(old))
    assert result.failure is MeasurementFailure.SERVER_ERROR
    assert "answered for another time" in result.message


@pytest.mark.parametrize(("ahead", "words"), [(3600, "is 3,600 s ahead of"), (-3600, "is 3,600 s behind")])
async def test_two_clocks(source: MetricsSource, serve: Serve, ahead: float, words: str) -> None:
    """Where Prometheus and the operator have another time nothing is counted, and the sentence says by how much."""
    result = await failure(source, serve(EMPTY, ahead=ahead))
    assert result.failure is MeasurementFailure.CLOCK
    assert re.sub(r"3,(599|601)", "3,600", result.message).find(words) > 0, result.message


async def test_a_slow_answer_is_a_timeout(serve: Serve) -> None:
    """The time limit of the source ends the wait, and the sentence says how long it was."""
    source = MetricsSource(timeout=0.2)
    result = await failure(source, serve(EMPTY, wait=1))
    source.close()
    assert result.failure is MeasurementFailure.TIMEOUT
    assert "0.2 s" in result.message


async def test_a_slow_server_does_not_stop_the_others(source: MetricsSource, serve: Serve) -> None:
    """Many queries that hang at one address leave threads for another."""
    slow = target(serve(EMPTY, wait=1))
    hanging = [asyncio.create_task(source.look(slow, [slow], 1_000_000 + index, 30)) for index in range(6)]
    await asyncio.sleep(0.05)
    await failure(source, serve(EMPTY))
    assert not any(task.done() for task in hanging)
    await asyncio.gather(*hanging)


@pytest.mark.parametrize(
    ("address", "words"),
    [("http://127.0.0.1:1", "connection refused"), ("http://prometheus.invalid:9090", "DNS")],
)
async def test_nobody_there(source: MetricsSource, address: str, words: str) -> None:
    """A look is Unreachable; the check before traffic moves names the address."""
    result = await failure(source, address)
    assert result.failure is MeasurementFailure.UNREACHABLE
    assert words in result.message
    problems = await check(source, target(address), SPEC)
    assert [problem.reason for problem in problems] == ["PrometheusUnreachable"]
    assert address in problems[0].message


async def test_no_secret_is_repeated(source: MetricsSource, serve: Serve) -> None:
    """User and password of an address, and tokens in an answer, stay out of the sentence."""
    words = "Authorization: Bearer abc123 token=def456 http://me:ghi789@host"
    address = serve({"status": "error", "error": words}, 403).replace("http://", "http://me:jkl012@")
    message = (await failure(source, address)).message
    assert "answered 403" in message
    assert not any(secret in message for secret in ("abc123", "def456", "ghi789", "jkl012"))


async def test_what_passes_is_asked_again(source: MetricsSource, serve: Serve) -> None:
    """A server that was not there is asked again by the next look at the same time, which sees that it is back."""
    port = free_port()
    assert (await failure(source, f"http://127.0.0.1:{port}")).failure is MeasurementFailure.UNREACHABLE
    assert not _answered(source)
    address = serve(EMPTY)
    assert (await failure(source, address)).failure is MeasurementFailure.EMPTY
    assert _answered(source)


def _answered(source: MetricsSource) -> bool:
    """Whether somebody need not ask again."""
    return any(shared.targets for look in source._shared.values() for shared in look.parts)
