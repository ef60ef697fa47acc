"""The series that the operator computes its guardrails from."""

from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from serin_services.metrics import BUCKETS

PATH = "/api/v2/recommend/personalized"
ROUTES = {
    PATH,
    "/api/v2/recommend/batch",
    "/api/v2/recommend/similar/{item_id}",
    "/api/v2/recommend/trending",
    "/api/v2/recommend/feedback",
}
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


async def scrape(client: httpx.AsyncClient) -> Samples:
    """Scrape and return each sample by name and labels."""
    response = await client.get("/metrics")
    assert response.status_code == 200
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def requests(samples: Samples, **labels: str) -> dict[str, float]:
    """Return http_requests_total by code, for the given labels."""
    found: dict[str, float] = {}
    for (name, pairs), value in samples.items():
        given = dict(pairs)
        if name == "http_requests_total" and labels.items() <= given.items():
            found[given["code"]] = found.get(given["code"], 0) + value
    return found


async def test_series_start_at_zero(recommendation: Any) -> None:
    """Before the first request "no errors" is a measured zero, with exactly the agreed labels."""
    async with recommendation() as client:
        samples = await scrape(client)
    labels = {"service": "recommendation", "method": "POST", "route": PATH}
    assert requests(samples, **labels) == {"200": 0, "413": 0, "422": 0, "500": 0, "503": 0, "504": 0}
    assert samples["http_request_duration_seconds_count", tuple(sorted(labels.items()))] == 0
    counted = [dict(pairs) for name, pairs in samples if name == "http_requests_total"]
    assert all(set(pairs) == {"service", "method", "route", "code"} for pairs in counted)


async def test_edges_are_the_agreed_ones(recommendation: Any) -> None:
    """The histogram has the edges that limits are written against, 0.15 among them."""
    async with recommendation() as client:
        samples = await scrape(client)
    edges = {float(dict(pairs)["le"]) for name, pairs in samples if name == "http_request_duration_seconds_bucket"}
    assert edges == {*BUCKETS, float("inf")}
    assert BUCKETS == (
        0.01, 0.025, 0.05, 0.075, 0.085, 0.095, 0.105, 0.12, 0.135, 0.145, 0.15, 0.165, 0.2, 0.3, 0.5, 1, 2.5,
    )  # fmt: skip


async def test_probes_scrapes_and_health_are_not_counted(recommendation: Any) -> None:
    """What no user waits for would dilute the error rate: it is in neither series."""
    async with recommendation() as client:
        for path in ("/livez", "/readyz", "/metrics", "/api/v2/health"):
            assert (await client.get(path)).status_code == 200
        samples = await scrape(client)
    assert sum(requests(samples).values()) == 0
    assert {dict(pairs)["route"] for name, pairs in samples if name == "http_requests_total"} == ROUTES


async def test_answers_are_counted_by_code(recommendation: Any) -> None:
    """Good and bad requests are counted once each, and a latency for each of them."""
    async with recommendation() as client:
        for limit in (5, 5, 0):
            await client.post(PATH, json={"user_id": "u-0001", "limit": limit})
        samples = await scrape(client)
    found = requests(samples, route=PATH)
    assert (found["200"], found["422"], found["500"]) == (2, 1, 0)
    labels = (("method", "POST"), ("route", PATH), ("service", "recommendation"))
    assert samples["http_request_duration_seconds_count", labels] == 3


async def test_a_route_is_a_template(conversation: Any) -> None:
    """Two conversations share one series: ids are no labels."""
    template = "/api/v2/conversations/{conversation_id}/messages"
    async with conversation() as client:
        for _ in range(2):
            started = await client.post("/api/v2/conversations/start", json={"user_id": "u-0001"})
            await client.post(f"{started.headers['location']}/messages", json={"text": "hello"})
        samples = await scrape(client)
    assert requests(samples, route=template)["200"] == 2
    assert requests(samples, route="/api/v2/conversations/start")["201"] == 2


@pytest.mark.parametrize("path", ["/wp-admin.php", "/a/b/c"])
async def test_unknown_paths_and_methods_make_no_series_of_their_own(recommendation: Any, path: str) -> None:
    """Whatever a client makes up, labels stay few."""
    async with recommendation() as client:
        assert (await client.get(path)).status_code == 404
        assert (await client.request("BREW", path)).status_code == 404
        assert (await client.get(PATH)).status_code == 405
        samples = await scrape(client)
    assert requests(samples, route="unmatched") == {"404": 2}
    assert requests(samples, route="unmatched", method="OTHER") == {"404": 1}
    assert requests(samples, route=PATH, method="GET") == {"405": 1}


async def test_a_scraper_can_ask_for_openmetrics(recommendation: Any) -> None:
    """Prometheus asks for OpenMetrics and gets it."""
    async with recommendation() as client:
        response = await client.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert response.headers["content-type"].startswith("application/openmetrics-text")
    assert response.text.endswith("# EOF\n")
