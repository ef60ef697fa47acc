"""A release that is bad on purpose, and one that is not."""

import time
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

PATH = "/api/v2/recommend/personalized"
BODY = {"user_id": "u-0001", "limit": 3}


async def statuses(client: httpx.AsyncClient, count: int) -> list[int]:
    """Ask several times and return the statuses."""
    return [(await client.post(PATH, json=BODY)).status_code for _ in range(count)]


async def test_nothing_is_injected_by_default(recommendation: Any) -> None:
    """Without a setting there is no fault and no header that speaks of one."""
    async with recommendation() as client:
        response = await client.post(PATH, json=BODY)
    assert response.status_code == 200
    assert "x-serin-fault" not in response.headers


async def test_a_share_of_requests_fails(recommendation: Any) -> None:
    """An error share of 30 % fails about 30 % of 600 requests (five standard deviations are 56 requests)."""
    async with recommendation(fault_error_share=0.3) as client:
        failed = (await statuses(client, 600)).count(500)
        text = (await client.get("/metrics")).text
    assert abs(failed - 180) <= 56
    assert f'serin_faults_injected_total{{kind="error"}} {failed}.0' in text
    assert f'http_requests_total{{code="500",method="POST",route="{PATH}",service="recommendation"}} {failed}.0' in text


async def test_an_injected_error_says_that_it_is_one(recommendation: Any) -> None:
    """Nobody takes it for a real failure: a header tells, and the body is a problem document."""
    async with recommendation(fault_error_share=1.0) as client:
        response = await client.post(PATH, json=BODY)
    assert (response.status_code, response.headers["x-serin-fault"]) == (500, "error")
    assert response.headers["content-type"] == "application/problem+json"


async def test_latency_is_added_and_measured(recommendation: Any) -> None:
    """60 ms more: the client waits for them, and the histogram holds them."""
    async with recommendation(fault_latency=0.06) as client:
        start = time.perf_counter()
        response = await client.post(PATH, json=BODY)
        took = time.perf_counter() - start
        text = (await client.get("/metrics")).text
    labels = f'method="POST",route="{PATH}",service="recommendation"'
    assert (response.status_code, response.headers["x-serin-fault"]) == (200, "latency")
    assert took >= 0.06
    assert f'http_request_duration_seconds_bucket{{le="0.05",{labels}}} 0.0' in text


async def test_faults_begin_later(recommendation: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the given time the release is good; then it is bad, and the log says when."""
    async with recommendation(fault_error_share=1.0, fault_after=3600.0) as client:
        assert await statuses(client, 3) == [200, 200, 200]
        lifecycle = client._transport.app.state.runtime.lifecycle
        monkeypatch.setattr(lifecycle, "_started_at", lifecycle._started_at - 3601.0)
        with capture_logs() as logs:
            assert await statuses(client, 3) == [500, 500, 500]
    assert [entry["event"] for entry in logs].count("injected faults begin now") == 1


async def test_probes_are_never_spoilt(recommendation: Any) -> None:
    """Kubernetes must not restart a bad release before it was measured."""
    async with recommendation(fault_error_share=1.0, fault_latency=5.0) as client:
        for path in ("/livez", "/readyz", "/metrics", "/api/v2/health"):
            assert (await client.get(path, timeout=1)).status_code == 200


async def test_the_log_is_loud_about_it(recommendation: Any) -> None:
    """Whoever reads the log of a bad release sees at once that it is bad on purpose."""
    with capture_logs() as logs:
        async with recommendation(fault_error_share=0.05):
            pass
    assert [entry["log_level"] for entry in logs if "FAULT INJECTION IS ON" in entry["event"]] == ["warning"]
