"""A process that is told to stop under load fails no request."""

import asyncio
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.integration.services.draining import PATIENT, stopped_under_load
from tests.load import Plan, Target

BODY = {"user_id": "u-0001"}


@pytest.mark.parametrize("connections", ["fresh", "keep"])
async def test_sigterm_under_load_fails_nothing(start: Any, connections: Any) -> None:
    """Traffic that still arrives during the drain is served; when it has moved away the process ends with code 0."""

    def begun(drain: str) -> tuple[subprocess.Popen[bytes], Plan]:
        process, url = start("recommendation", drain=drain, **PATIENT)
        return process, Plan((Target("recommendation", (url,), 60.0),), duration=1.8, connections=connections)

    report = await stopped_under_load(begun)
    assert report.own_failures == 0, report.sentence()
    assert report.sent["recommendation"] > 60


async def test_a_request_in_flight_is_finished_after_the_drain(start: Any) -> None:
    """A slow request that is being served when the listening socket closes still gets its answer."""
    process, url = start("recommendation", drain="2s", fault_latency="4s", timeout="20s")
    async with aiohttp.ClientSession() as session:
        process.send_signal(signal.SIGTERM)
        begin = time.monotonic()
        async with session.post(f"{url}/api/v2/recommend/personalized", json=BODY) as response:
            assert response.status == 200
            assert len((await response.json())["items"]) == 10
        assert time.monotonic() - begin >= 4
    assert await asyncio.to_thread(process.wait, 10) == 0


async def test_a_second_signal_ends_at_once(start: Any) -> None:
    """Somebody who can't wait for the drain sends the signal twice."""
    process, _ = start("recommendation", drain="60s")
    process.send_signal(signal.SIGTERM)
    await asyncio.sleep(2)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    begin = time.monotonic()
    await asyncio.to_thread(process.wait, 40)
    assert time.monotonic() - begin < 30


def test_a_wrong_setting_stops_the_process(start: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A release with a wrong setting never becomes ready, and its log names the setting."""
    assert tmp_path.exists()
    process, _ = start("recommendation", wait=False, engine="phase5")
    assert process.wait(20) == 1
    assert "engine" in capfd.readouterr().err
