"""Sends requests when they are due, whatever happened to those before them."""

import asyncio
import contextlib
import errno
import itertools
import json
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp

from tests.load.plan import Arrivals, Plan, Target
from tests.load.report import INJECTED, NOBODY, Failure, Report
from tests.load.traffic import Call, Traffic, make_traffic

OnFailure = Callable[[Failure], None]
OnSecond = Callable[[Report], None]


class Load:
    """One load; `report` can be read while it runs.

    Args:
        plan: What to send.
        on_failure: Called for each request that failed.
        on_second: Called about once a second with the report so far.
    """

    def __init__(self, plan: Plan, *, on_failure: OnFailure | None = None, on_second: OnSecond | None = None) -> None:
        self.plan = plan
        self.report = Report()
        self._on_failure = on_failure
        self._on_second = on_second
        self._inflight: set[asyncio.Task[None]] = set()

    async def run(self, stop: asyncio.Event | None = None) -> Report:
        """Send until the plan's duration is over or `stop` is set, then wait for what is in flight."""
        stop = stop or asyncio.Event()
        self.report = Report()
        start = time.monotonic()
        connector = aiohttp.TCPConnector(limit=0, force_close=self.plan.connections == "fresh")
        timeout = aiohttp.ClientTimeout(total=self.plan.timeout)
        async with aiohttp.ClientSession(
            connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()
        ) as session:
            senders = [
                asyncio.create_task(self._send_all(session, target, random.Random(self.plan.seed + number), stop))
                for number, target in enumerate(self.plan.targets)
            ]
            ticker = asyncio.create_task(self._tick(start))
            try:
                await asyncio.gather(*senders)
                if self._inflight:
                    await asyncio.wait(self._inflight)
            finally:
                for task in (*senders, ticker, *self._inflight):
                    task.cancel()
                await asyncio.gather(*senders, ticker, *self._inflight, return_exceptions=True)
        self.report.seconds = time.monotonic() - start
        return self.report

    async def _tick(self, start: float) -> None:
        while True:
            await asyncio.sleep(1.0)
            self.report.seconds = time.monotonic() - start
            if self._on_second is not None:
                self._on_second(self.report)

    async def _send_all(
        self, session: aiohttp.ClientSession, target: Target, draw: random.Random, stop: asyncio.Event
    ) -> None:
        traffic = make_traffic(target.service, self.plan, draw)
        start = time.monotonic()
        for offset in offsets(self.plan.arrivals, target.rate, draw):
            if stop.is_set() or offset > self.plan.duration:
                return
            due = start + offset
            # A generator that is late sends at once; the delay is in the latency, where it belongs.
            if (pause := due - time.monotonic()) > 0:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), pause)
                    return
            call = traffic.next()
            if len(self._inflight) >= self.plan.max_inflight:
                self.report.unsent[target.service] += 1
                self.report.add_route(
                    service=target.service, route=call.route, ok=False, seconds=float("inf"), lag=float("inf")
                )
                traffic.done(call, None)
                continue
            url = draw.choice(target.urls) + call.path
            task = asyncio.create_task(self._send(session, target, traffic, call=call, url=url, due=due))
            self._inflight.add(task)
            task.add_done_callback(self._inflight.discard)

    async def _send(
        self, session: aiohttp.ClientSession, target: Target, traffic: Traffic, *, call: Call, url: str, due: float
    ) -> None:
        self.report.sent[target.service] += 1
        lag = time.monotonic() - due
        answered, kind, answer = False, None, None
        found: dict[str, str]
        for left in reversed(range(self.plan.attempts)):
            found = {}
            try:
                async with session.post(url, json=call.body, headers={"x-user-id": call.user_id}) as response:
                    found = {name.lower(): value for name, value in response.headers.items()}
                    raw = await response.read()
                    answered = True
                    kind, answer = judge(response.status, found, raw, call)
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                answered, kind = False, kind_of(error)
                break
            if not left or (pause := asked_to_wait(response.status, found)) is None:
                break
            self.report.refused[target.service] += 1
            await asyncio.sleep(pause)
        seconds = time.monotonic() - due
        variant = found.get("x-serin-variant", NOBODY)
        traffic.done(call, answer)
        self.report.add(
            service=target.service,
            variant=variant,
            engine=found.get("x-serin-engine", ""),
            kind=kind,
            fault="x-serin-fault" in found,
            seconds=seconds,
            answered=answered,
        )
        self.report.add_route(
            service=target.service,
            route=call.route,
            ok=kind is None,
            seconds=seconds if answered else float("inf"),
            lag=lag,
        )
        if kind is not None and self._on_failure is not None:
            self._on_failure(Failure(time.time() - seconds, target.service, url, variant, kind, seconds))


def offsets(arrivals: Arrivals, rate: float, draw: random.Random) -> Iterator[float]:
    """Yield, without end, when requests are due, in seconds from the start."""
    if arrivals == "fixed":
        # Counted and not added up, so that rounding never costs the last request.
        yield from (number / rate for number in itertools.count(1))
    offset = 0.0
    while True:
        offset += draw.expovariate(rate)
        yield offset


def judge(status: int, headers: dict[str, str], raw: bytes, call: Call) -> tuple[str | None, dict[str, Any] | None]:
    """Say whether an answer is right.

    Args:
        status: Its status.
        headers: Its headers, with names in lower case.
        raw: Its body.
        call: What was asked.

    Returns:
        The kind of failure or None, and the body of a right answer.
    """
    if status >= 300:
        return (INJECTED if "error" in headers.get("x-serin-fault", "") else f"http {status}{told(raw)}"), None
    try:
        body = json.loads(raw)
    except ValueError:
        return "wrong body", None
    if not isinstance(body, dict) or not body.get(call.proof):
        return "wrong body", None
    return None, body


def asked_to_wait(status: int, headers: dict[str, str]) -> float | None:
    """Return for how many seconds a service that is too busy asks to be left alone; None when it does not ask.

    Only a service asks: a proxy that has no pod, or that lost one, does not.
    """
    wait = headers.get("retry-after", "")
    return float(wait) if status == 503 and wait.isdecimal() and "x-serin-fault" not in headers else None


def told(raw: bytes) -> str:
    """Return what a problem document (RFC 9457) tells, as `: text`; nothing when a body is none.

    A 503 of a pod that is full, one of a database that is slow and one of a proxy without pods differ in nothing else.
    """
    try:
        body = json.loads(raw)
    except ValueError:
        return ""
    detail = body.get("detail") if isinstance(body, dict) else None
    return f": {detail}" if isinstance(detail, str) else ""


def kind_of(error: Exception) -> str:
    """Name what happened to a request without an answer."""
    if isinstance(error, TimeoutError):
        return "timeout"
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.ECONNREFUSED:
        return "refused"
    if number in (errno.ECONNRESET, errno.EPIPE):
        return "reset"
    if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientPayloadError):
        return "disconnected"
    return f"other: {type(error).__name__}"


async def run(
    plan: Plan,
    *,
    stop: asyncio.Event | None = None,
    on_failure: OnFailure | None = None,
    on_second: OnSecond | None = None,
) -> Report:
    """Send a plan's requests and return what came of them.

    Args:
        plan: What to send.
        stop: Ends the load early when set.
        on_failure: Called for each request that failed.
        on_second: Called about once a second with the report so far.
    """
    return await Load(plan, on_failure=on_failure, on_second=on_second).run(stop)
