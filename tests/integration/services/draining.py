"""A process that is told to stop while a load runs."""

import asyncio
import signal
import subprocess
import time
from collections.abc import Callable

import pytest

from tests.load import Plan, Report, run

PATIENT = {"max_inflight": "1000", "database_pool_timeout": "8s"}
"""Settings with which nothing is refused because the machine is busy."""
_DRAINS = (1.5, 6.0, 24.0)
_SLACK = 0.2


async def stopped_under_load(begun: Callable[[str], tuple[subprocess.Popen[bytes], Plan]]) -> Report:
    """Send SIGTERM 0.8 s after the load of `begun(drain)` began, see the process end with code 0, and report the load.

    A drain is a promise about time: requests that leave after it are refused, rightly. On a machine so busy that the
    load was not over by then the trial says nothing, and one with a longer drain is made.
    """
    for drain in _DRAINS:
        process, plan = begun(f"{drain * 1000:.0f}ms")
        load = asyncio.create_task(run(plan))
        await asyncio.sleep(0.8)
        ends = time.monotonic() + drain
        process.send_signal(signal.SIGTERM)
        report = await load
        if time.monotonic() > ends - _SLACK:
            process.kill()
            continue
        assert process.poll() is None, "it must serve for the whole drain"
        assert await asyncio.to_thread(process.wait, drain + 15) == 0
        return report
    pytest.fail(f"the load was not over within {_DRAINS[-1]:g} s: this machine is too busy for this test")
