"""Start and stop: the Lease first, then the watches; on a lost Lease the process ends, and kubelet starts it again."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import kopf
import structlog

from serin.controller.act import Actor
from serin.controller.handlers import registry
from serin.controller.health import METRICS, serve
from serin.controller.observe import Observer
from serin.controller.reconcile import Reconciler
from serin.controller.scheduler import Scheduler
from serin.controller.store import Store
from serin.kube.client import Kube
from serin.kube.deployments import Deployments
from serin.kube.lease import LeaderLease
from serin.metrics.source import MetricsSource
from serin.traffic.replicas import ReplicasRouter

_log = structlog.get_logger("serin.main")

LOST_LEASE = 3
"""Exit code when leadership was lost."""


@dataclass(frozen=True, slots=True)
class Settings:
    """From the environment.

    Attributes:
        identity: of this process in the Lease and in Events (POD_NAME).
        home: the namespace of the Lease (POD_NAMESPACE).
        watched: the only namespace to watch; empty: all (SERIN_NAMESPACE).
        port: of probes and metrics (SERIN_PORT).
    """

    identity: str
    home: str
    watched: str
    port: int

    @classmethod
    def read(cls) -> "Settings":
        """The settings of this process."""
        return cls(
            identity=os.environ.get("POD_NAME") or f"{socket.gethostname()}-{os.getpid()}",
            home=os.environ.get("POD_NAMESPACE", "serin-system"),
            watched=os.environ.get("SERIN_NAMESPACE", ""),
            port=int(os.environ.get("SERIN_PORT", "8080")),
        )


def main() -> int:
    """Runs the operator until it is told to stop; the exit code."""
    _configure_logs()
    return asyncio.run(_run(Settings.read()))


async def _run(settings: Settings) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    kube = Kube.connect()
    kube.on_call = METRICS.called
    lease = LeaderLease(kube, settings.home, "serin", settings.identity)
    with ThreadPoolExecutor(max_workers=16, thread_name_prefix="kube") as executor:
        source, store = MetricsSource(), Store()
        deployments, router = Deployments(kube), ReplicasRouter(kube)
        observer = Observer(store, deployments, router, source, executor)
        actor = Actor(kube, deployments, router)
        reconciler = Reconciler(kube, store, observer, actor, lease, executor, settings.identity)
        scheduler = Scheduler(reconciler.reconcile)
        server = await serve(settings.port, store, lambda: scheduler.alive_at, lambda: True, lease.held)
        try:
            return await _lead(settings, stop, lease, store, scheduler, executor)
        finally:
            await server.cleanup()
            source.close()


async def _lead(
    settings: Settings,
    stop: asyncio.Event,
    lease: LeaderLease,
    store: Store,
    scheduler: Scheduler,
    executor: ThreadPoolExecutor,
) -> int:
    loop = asyncio.get_running_loop()
    turns = asyncio.create_task(scheduler.run())
    waiting = False
    while not stop.is_set() and not await loop.run_in_executor(executor, lease.acquire):
        if not waiting:
            _log.info("another holds the lease, standing by", lease=f"{settings.home}/serin")
            waiting = True
        await _pause(stop, 2.0)
    if stop.is_set():
        turns.cancel()
        return 0
    _log.info("leading", identity=settings.identity)
    ended = asyncio.Event()
    watches = asyncio.create_task(
        kopf.operator(
            registry=registry(store, scheduler),
            clusterwide=not settings.watched,
            namespaces=[settings.watched] if settings.watched else [],
            standalone=True,
            stop_flag=ended,
        )
    )
    code = await _keep(lease, stop, watches, executor)
    ended.set()
    await scheduler.drain(8.0)
    turns.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await asyncio.wait_for(watches, 5.0)
    if code == 0:
        await loop.run_in_executor(executor, lease.release)
    return code


async def _keep(
    lease: LeaderLease, stop: asyncio.Event, watches: "asyncio.Task[None]", executor: ThreadPoolExecutor
) -> int:
    """Renews the Lease until the process is told to stop, loses it, or its watches end."""
    while not stop.is_set():
        await _pause(stop, lease.duration / 5)
        if watches.done():
            _log.error("the watches ended", error=str(watches.exception()) if not watches.cancelled() else "cancelled")
            return 1
        await asyncio.get_running_loop().run_in_executor(executor, lease.acquire)
        if not lease.held():
            _log.error("the lease was lost; stopping, so that only its holder acts")
            return LOST_LEASE
    return 0


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()


def _configure_logs() -> None:
    terminal = sys.stderr.isatty()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
