"""The load tells the truth: about when requests were due, what failed, and whose fault it was."""

import asyncio
import contextlib
import json
import random
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.load import Failure, Load, Plan, Target, run
from tests.load.__main__ import main
from tests.load.traffic import make_traffic

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@contextlib.asynccontextmanager
async def served(handler: Handler) -> AsyncIterator[str]:
    """Serve every POST by `handler` on a real socket, and give the address."""
    app = web.Application()
    app.router.add_post("/{path:.*}", handler)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


def plan(url: str, *, rate: float = 50.0, duration: float = 0.4, **options: object) -> Plan:
    """Plan a short, even load of rankings."""
    fixed = {"arrivals": "fixed", "timeout": 2.0} | options
    return Plan((Target("recommendation", (url,), rate),), duration, **fixed)  # type: ignore[arg-type]


async def right(_request: web.Request) -> web.Response:
    """Answer as control."""
    return web.json_response({"items": [1]}, headers={"x-serin-variant": "control", "x-serin-engine": "phase3"})


async def test_it_sends_what_was_planned() -> None:
    """50 requests per second for 0.4 s are 20 requests, all answered, with latencies and the variant's name."""
    async with served(right) as url:
        report = await run(plan(url))
    [(service, variant, series)] = list(report.rows())
    assert (service, variant, series.ok) == ("recommendation", "control", 20)
    assert report.sent == {"recommendation": 20}
    assert report.own_failures == 0
    assert set(series.percentiles()) == {50, 90, 95, 99}
    assert series.engines == {"phase3": 20}


async def test_latency_counts_from_when_a_request_was_due() -> None:
    """A server that stands still for 0.3 s delays everything that is due meanwhile; none of it is left out."""
    stood_still = False

    async def stands_still(request: web.Request) -> web.Response:
        nonlocal stood_still
        if not stood_still:
            stood_still = True
            import time  # noqa: PLC0415

            time.sleep(0.3)  # noqa: ASYNC251 - client and server share this loop: both stand still, as if paused
        return await right(request)

    async with served(stands_still) as url:
        report = await run(plan(url, rate=100.0, duration=0.5))
    [(_, _, series)] = list(report.rows())
    assert series.ok == 50
    late = sum(latency > 0.1 for latency in series.latencies)
    assert late >= 15


async def test_what_fails_is_told_apart() -> None:
    """Injected errors count apart from real ones, and a right status with a wrong body is a failure too."""
    answers = iter(range(1000))

    async def mixed(request: web.Request) -> web.StreamResponse:
        number = next(answers) % 5
        if number == 0:
            headers = {"x-serin-fault": "error", "x-serin-variant": "canary"}
            return web.Response(status=500, headers=headers)
        if number == 1:
            return web.json_response({"detail": "full"}, status=503)
        if number == 2:
            return web.json_response({})
        if number == 3:
            assert request.transport is not None
            request.transport.abort()
        return await right(request)

    failures: list[Failure] = []
    async with served(mixed) as url:
        report = await run(plan(url), on_failure=failures.append)
    kinds = report.failures
    reset = kinds.pop("reset", 0) + kinds.pop("disconnected", 0)
    assert dict(kinds) == {"injected": 4, "http 503: full": 4, "wrong body": 4}
    assert reset == 4
    assert (report.injected, report.own_failures) == (4, 12)
    assert report.unanswered.total() == 12, "all but those that a pod has put its variant on"
    assert len(failures) == 16
    canary = report.series["recommendation", "canary"]
    assert canary.faulted == 4
    assert canary.first_fault_at is not None


async def test_refused_and_late_are_named() -> None:
    """Nobody listening is `refused`; no answer in time is `timeout`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        assert dict((await run(plan(url, duration=0.1))).failures) == {"refused": 5}

    async def never(_request: web.Request) -> web.Response:
        await asyncio.sleep(3)
        return web.Response()

    async with served(never) as url:
        report = await run(plan(url, duration=0.1, timeout=0.1))
    assert dict(report.failures) == {"timeout": 5}


async def test_what_cannot_be_sent_is_reported() -> None:
    """Beyond the bound of requests in flight nothing is sent, and the report does not hide it."""

    async def slow(request: web.Request) -> web.Response:
        await asyncio.sleep(0.3)
        return await right(request)

    async with served(slow) as url:
        report = await run(plan(url, rate=100.0, duration=0.2, max_inflight=5))
    assert report.sent["recommendation"] == 5
    assert report.unsent["recommendation"] == 15
    assert report.own_failures == 15
    assert dict(report.unanswered) == {"unsent": 15}


async def test_it_stops_when_told() -> None:
    """A stop event ends a long load at once; what was sent is in the report, readable all along."""
    stop = asyncio.Event()
    async with served(right) as url:
        load = Load(plan(url, duration=3600.0))
        running = asyncio.create_task(load.run(stop))
        await asyncio.sleep(0.3)
        [window] = load.report.window(10.0)
        stop.set()
        report = await asyncio.wait_for(running, 2)
    assert window.variant == "control"
    assert window.failed == 0
    assert 5 <= window.answered <= report.sent["recommendation"] <= 25


async def test_conversations_go_on_with_the_id_they_were_given() -> None:
    """Messages go to conversations that were begun, at most `turns` to each, one at a time."""
    begun: list[str] = []
    said: dict[str, int] = {}

    async def talk(request: web.Request) -> web.Response:
        assert request.headers["x-user-id"]
        if request.path.endswith("/start"):
            begun.append(f"c{len(begun)}")
            return web.json_response({"conversation_id": begun[-1]}, status=201)
        said[request.path.split("/")[-2]] = said.get(request.path.split("/")[-2], 0) + 1
        return web.json_response({"reply": "yes"})

    async with served(talk) as url:
        target = Target("conversation", (url,), 200.0)
        report = await run(Plan((target,), 0.5, arrivals="fixed", turns=3))
    assert report.own_failures == 0
    assert set(said) <= set(begun)
    assert max(said.values()) <= 3
    assert sum(said.values()) + len(begun) == 100


async def test_a_request_without_an_answer_is_an_infinite_latency() -> None:
    """What timed out or could not be sent is in its endpoint's percentiles, and can't make the service look fast."""
    answers = iter(range(1000))

    async def every_second(request: web.Request) -> web.Response:
        if next(answers) % 2:
            await asyncio.sleep(30)
        return await right(request)

    async with served(every_second) as url:
        report = await run(plan(url, rate=100.0, duration=0.2, timeout=1.5))
    series = report.routes["recommendation", "personalized"]
    assert (len(series.latencies), series.failed) == (20, 10)
    assert series.percentile(40) < 1.5
    assert series.percentile(95) == float("inf")
    [row] = report.as_json()["routes"]
    assert (row["requests"], row["failed"], row["latency_ms"]["p95"]) == (20, 10, None)


async def test_endpoints_are_told_apart() -> None:
    """The start of a conversation and its messages have latencies of their own."""

    async def talk(request: web.Request) -> web.Response:
        if request.path.endswith("/start"):
            return web.json_response({"conversation_id": "c1"}, status=201)
        await asyncio.sleep(0.05)
        return web.json_response({"reply": "yes"})

    async with served(talk) as url:
        report = await run(Plan((Target("conversation", (url,), 100.0),), 0.3, arrivals="fixed", turns=3))
    begin, say = (report.routes["conversation", route] for route in ("start", "messages"))
    assert begin.percentile(50) < 0.05 <= say.percentile(50)
    assert len(begin.latencies) + len(say.latencies) == 30


def test_active_users_come_more_often() -> None:
    """With a skew of 1 the most active of 2,000 users sends 1 / 8.18 of what all of them send; with 0, 1 / 2,000."""
    for skew, expected in ((1.0, 1 / 8.178), (0.0, 1 / 2000)):
        made = make_traffic(
            "recommendation", Plan((Target("recommendation", ("http://x",), 1.0),), 1.0, skew=skew), random.Random(1)
        )
        users = [made.next().user_id for _ in range(20_000)]
        known = [user for user in users if user.startswith("u-")]
        assert known.count("u-0000") / len(known) == pytest.approx(expected, abs=0.01)
        assert all(0 <= int(user[2:]) < 2000 for user in known)


def test_a_visit_has_several_requests() -> None:
    """With two asks a visit, half of the requests are of somebody who asked shortly before, newcomers too."""
    load = Plan((Target("recommendation", ("http://x",), 1.0),), 1.0, users=10**6, asks=2.0)
    made = make_traffic("recommendation", load, random.Random(1))
    users = [made.next().user_id for _ in range(20_000)]
    assert len(set(users)) / len(users) == pytest.approx(0.5, abs=0.02)
    newcomers = [user for user in users if user.startswith("new-")]
    assert len(newcomers) / len(users) == pytest.approx(0.05, abs=0.01)
    assert len(set(newcomers)) < 0.7 * len(newcomers)


@pytest.mark.parametrize(
    "arguments",
    [[], ["--recommendation", "127.0.0.1:1"], ["--conversation", "http://127.0.0.1:1", "--rate", "0"]],
)
def test_a_wrong_command_line_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A load that can't be sent is refused with a sentence."""
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_failures_are_exit_code_1_and_written_down(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A load whose requests fail says so, and leaves a report and a line for each failure."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        options = ["--rate", "40", "--duration", "250ms", "--arrivals", "fixed", "--quiet"]
        files = ["--json", str(tmp_path / "report.json"), "--log", str(tmp_path / "failed.log")]
        assert main(["--recommendation", url, *options, *files]) == 1
    report = json.loads((tmp_path / "report.json").read_text())
    lines = [json.loads(line) for line in (tmp_path / "failed.log").read_text().splitlines()]
    assert report["failed"] == {"refused": 10}
    assert report["own_failures"] == len(lines) == 10
    assert set(lines[0]) == {"at", "service", "target", "variant", "kind", "seconds"}
    assert "10 requests failed: 10 refused." in capsys.readouterr().out


async def test_a_polite_client_comes_again() -> None:
    """503 with Retry-After is followed by another attempt, as often as the plan has; without it, it is a failure."""
    seen: Counter[str] = Counter()

    async def busy(request: web.Request) -> web.StreamResponse:
        user = request.headers["x-user-id"]
        seen[user] += 1
        if seen[user] < 3:
            return web.Response(status=503, headers={"Retry-After": "0"})
        return await right(request)

    async def gone(_: web.Request) -> web.StreamResponse:
        return web.Response(status=503)

    async with served(busy) as url:
        polite = await run(plan(url, attempts=3, users=100_000))
        seen.clear()
        hasty = await run(plan(url, users=100_000))
    async with served(gone) as url:
        lost = await run(plan(url, attempts=3))
    assert polite.own_failures == 0
    assert polite.refused.total() == 2 * polite.sent.total()
    assert hasty.own_failures == hasty.sent.total()
    assert lost.own_failures == lost.sent.total()
    assert not lost.refused
    assert "come again" in polite.sentence()
