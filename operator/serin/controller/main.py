"""Start and stop: the Lease first, then the watches; on a lost Lease the process ends, and kubelet starts it again."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final

import kopf
import structlog
import uvloop

from serin.controller.act import Actor
from serin.controller.ahead import Ahead
from serin.controller.handlers import registry
from serin.controller.health import serve
from serin.controller.instruments import METRICS
from serin.controller.observe import Observer
from serin.controller.reconcile import Reconciler
from serin.controller.scheduler import Scheduler
from serin.controller.store import Store
from serin.controller.sync import Sync
from serin.kube.client import Kube
from serin.kube.deployments import Deployments
from serin.kube.lease import LeaderLease
from serin.metrics.source import MetricsSource
from serin.traffic.router import Routers

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


_YOUNG: Final = 10_000
"""Objects made until the collector looks at the young ones."""


def main() -> int:
    """Runs the operator until it is told to stop; the exit code."""
    _configure_logs()
    # An answer is tens of thousands of objects, and hardly any of them is in a cycle: as it is set by default, the
    # collector walks through all that thousands of experiments have in memory several times a minute.
    gc.freeze()
    gc.set_threshold(_YOUNG)
    return uvloop.run(_run(Settings.read()))


async def _run(settings: Settings) -> int:
    stop = asyncio.Event()
    _on_signals(stop)
    kube = Kube.connect()
    lease = LeaderLease(kube, settings.home, "serin", settings.identity)
    with ThreadPoolExecutor(max_workers=16, thread_name_prefix="kube") as executor:
        source = MetricsSource(on_query=METRICS.queried, read_secret=partial(kube.get, "v1", "secrets"))
        store = Store()
        deployments, router = Deployments(kube), Routers(kube)
        kube.on_call = METRICS.called
        observer = Observer(store, deployments, router, source, executor)
        actor = Actor(kube, deployments, router)
        reconciler = Reconciler(kube, store, observer, actor, lease, executor, settings.identity)
        ahead = Ahead(source, observer.measured, reconciler.feed)
        reconciler.plan = ahead.plan
        scheduler = Scheduler(reconciler.reconcile, urgent=reconciler.urgent)
        reconciler.queue.wake = scheduler.wake
        sync = Sync(kube, store, scheduler, settings.watched, reconciler.register)
        server = await serve(
            settings.port, store, lambda: scheduler.alive_at, lambda: sync.done or not lease.held(), lease.held
        )
        try:
            return await _lead(settings, stop, lease, sync, ahead)
        finally:
            await server.cleanup()
            source.close()


async def _lead(settings: Settings, stop: asyncio.Event, lease: LeaderLease, sync: Sync, ahead: Ahead) -> int:
    scheduler = sync.scheduler
    turns = asyncio.create_task(scheduler.run())
    waiting = False
    while not stop.is_set() and not await asyncio.to_thread(lease.acquire):
        if not waiting:
            _log.info("another holds the lease, standing by", lease=f"{settings.home}/serin")
            waiting = True
        await _pause(stop, 2.0)
    if stop.is_set():
        turns.cancel()
        return 0
    _log.info("leading", identity=settings.identity)
    ended = asyncio.Event()
    watches = asyncio.create_task(_watch(settings, stop, ended, sync))
    code = await _keep(lease, stop, watches)
    # Turns end before the watches: when kopf ends, it cancels whatever tasks it finds.
    drained = await scheduler.drain(8.0)
    turns.cancel()
    ahead.close()
    ended.set()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await asyncio.wait_for(watches, 5.0)
    if code == 0 and drained:
        # A turn that is still under way may yet act: the lease then runs out by itself.
        await asyncio.to_thread(lease.release)
    return code


async def _watch(settings: Settings, stop: asyncio.Event, ended: asyncio.Event, sync: Sync) -> None:
    """Fills the store, then follows it until `ended`."""
    await sync.once()
    again = asyncio.create_task(sync.forever())
    others = asyncio.all_tasks()
    tasks = await kopf.spawn_tasks(
        registry=registry(sync.store, sync.scheduler),
        clusterwide=not settings.watched,
        namespaces=[settings.watched] if settings.watched else [],
        standalone=True,
        stop_flag=ended,
    )
    # Kopf has set its own, which would end the watches at once and leave the lease to run out.
    _on_signals(stop)
    try:
        await kopf.run_tasks(tasks, ignored=others)
    finally:
        again.cancel()


def _on_signals(stop: asyncio.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)


async def _keep(lease: LeaderLease, stop: asyncio.Event, watches: "asyncio.Task[None]") -> int:
    """Renews the Lease until the process is told to stop, loses it, or its watches end."""
    while not stop.is_set():
        await _pause(stop, lease.duration / 5)
        if watches.done():
            _log.error("the watches ended", error=str(watches.exception()) if not watches.cancelled() else "cancelled")
            return 1
        # In a thread of its own: slow calls of looks must not keep the lease from being renewed.
        await asyncio.to_thread(lease.acquire)
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
