"""Follows one experiment under load until it ends, and says what came of it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.demo.kubectl import NAMESPACE, KubectlError, get, kubectl, moment
from tests.load import Load, Plan, Report, Target

ADDRESSES = {"recommendation": "http://127.0.0.1:30081", "conversation": "http://127.0.0.1:30082"}
ENDS = ("Succeeded", "RolledBack", "Failed")
LONGEST = 3600.0


def load_plan(rate: float, seconds: float = LONGEST, gateway: str = "") -> Plan:
    """Return the load of the demo: both services, fresh connections, Poisson arrivals.

    Args:
        rate: Requests per second of each service.
        seconds: How long.
        gateway: The address of a gateway in front of both; their NodePorts without one.
    """
    return Plan(
        (
            Target("recommendation", (gateway or ADDRESSES["recommendation"],), rate),
            Target("conversation", (gateway or ADDRESSES["conversation"],), rate),
        ),
        duration=seconds,
        # A pod that is full, or waits for its database, says when to come again. What is refused each time is lost.
        attempts=8,
    )


@asynccontextmanager
async def under_load(rate: float, gateway: str = "") -> AsyncIterator[Load]:
    """Send requests as long as the block runs; `load.report` grows meanwhile."""
    load, stop = Load(load_plan(rate, gateway=gateway)), asyncio.Event()
    task = asyncio.create_task(load.run(stop))
    try:
        yield load
    finally:
        stop.set()
        await task


@dataclass(slots=True)
class Seen:
    """What was seen of one experiment so far.

    Attributes:
        name: Its name.
        resource: The object as last read.
        phases: Each phase when it was first seen.
    """

    name: str
    resource: dict[str, Any] = field(default_factory=dict)
    phases: dict[str, datetime] = field(default_factory=dict)

    @property
    def status(self) -> dict[str, Any]:
        """The status as last read."""
        found: dict[str, Any] = self.resource.get("status", {})
        return found

    @property
    def phase(self) -> str:
        """The phase as last read, or an empty text."""
        return str(self.status.get("phase", ""))

    def condition(self, kind: str) -> dict[str, Any]:
        """The condition of a type, or an empty one."""
        found: list[dict[str, Any]] = self.status.get("conditions", [])
        return next((condition for condition in found if condition["type"] == kind), {})

    def at(self, name: str) -> datetime | None:
        """A time of the status; None when it is not set."""
        return moment(self.status.get(name))

    def guardrails(self, verdict: str | None = None) -> list[tuple[str, dict[str, Any]]]:
        """Service and guardrail, all or those with a verdict."""
        return [
            (service["name"], guardrail)
            for service in self.status.get("services", [])
            for guardrail in service.get("guardrails", [])
            if verdict is None or guardrail["verdict"] == verdict
        ]


OnLook = Callable[[Seen], Awaitable[None]]


async def follow(
    name: str,
    *,
    until: Callable[[Seen], bool],
    on_look: OnLook | None = None,
    wait: float,
    namespace: str = NAMESPACE,
    seen: Seen | None = None,
) -> Seen:
    """Read an experiment once a second until it is as wished.

    Raises:
        TimeoutError: it did not come to that in time; the text says where it is.
    """
    seen = seen or Seen(name)
    deadline = time.monotonic() + wait
    while True:
        # One failed read is no reason to give up: the API server of a small machine may be slow for a moment.
        with contextlib.suppress(KubectlError):
            seen.resource = await get("-n", namespace, "cex", name)
        if seen.phase:
            seen.phases.setdefault(seen.phase, datetime.now(UTC))
        if on_look is not None:
            await on_look(seen)
        if until(seen):
            return seen
        if time.monotonic() > deadline:
            raise TimeoutError(
                f"{name} is {seen.phase or 'not seen yet'} after {wait:g} s: {seen.status.get('message')}"
            )
        await asyncio.sleep(1)


def ended(seen: Seen) -> bool:
    """Whether the run has come to its end."""
    return seen.phase in ENDS


async def diagnosis(name: str, operator: tuple[str, str], namespace: str = NAMESPACE) -> str:
    """Return what helps to find out why: `describe`, the operator's last log lines, pods that are not right."""
    parts: list[str] = []
    for command in (
        ("-n", namespace, "describe", "cex", name),
        ("-n", namespace, "get", "deployments,pods"),
        ("-n", operator[0], "logs", f"deployment/{operator[1]}", "--tail=60"),
    ):
        try:
            parts.append(f"$ kubectl {' '.join(command)}\n{await kubectl(*command)}")
        except KubectlError as error:
            parts.append(str(error))
    return "\n".join(parts)


def clock(at: datetime | float | None) -> str:
    """Return a time of day in UTC, or `-`."""
    if at is None:
        return "-"
    return (datetime.fromtimestamp(at, UTC) if isinstance(at, int | float) else at).strftime("%H:%M:%S")


def fault_began(report: Report, service: str = "recommendation") -> float | None:
    """Unix time of the first answer that was spoilt on purpose."""
    series = report.series.get((service, "canary"))
    return series.first_fault_at if series else None
