"""Probes and metrics of the operator itself, on one port."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from aiohttp import web
from prometheus_client import REGISTRY, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from serin.controller.instruments import METRICS, Counted
from serin.controller.store import Store

_STUCK = 60.0


async def serve(
    port: int, store: Store, alive_at: Callable[[], float], ready: Callable[[], bool], leads: Callable[[], bool]
) -> web.AppRunner:
    """Starts the server; `cleanup()` of the result stops it."""
    counted = Counted(store)
    writer = ThreadPoolExecutor(1, thread_name_prefix="metrics")

    async def livez(_: web.Request) -> web.Response:
        stuck = time.monotonic() - alive_at() > _STUCK
        return web.Response(status=503 if stuck else 200, text="stuck\n" if stuck else "ok\n")

    async def readyz(_: web.Request) -> web.Response:
        is_ready = ready()
        return web.Response(status=200 if is_ready else 503, text="ok\n" if is_ready else "not ready\n")

    async def metrics(_: web.Request) -> web.Response:
        counted.update()
        METRICS.leader.set(1 if leads() else 0)
        # With thousands of experiments it takes half a second to write them down, for which no look should wait; and
        # whoever asks for them often waits for the others who do, and not the Lease.
        body = await asyncio.get_running_loop().run_in_executor(writer, generate_latest, REGISTRY)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host="", port=port).start()
    return runner
