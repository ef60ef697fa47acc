"""Copies of requests, as a gateway that mirrors makes them: answered, counted as answers, and nothing is written."""

from typing import Any

import pytest

from serin_services.copies import is_copy

INTERNAL = {"x-envoy-internal": "true"}
COPY = {"host": "shop.example-shadow", **INTERNAL}
ANSWER = {"user_id": "u-0042", "recommendation_id": "0" * 32, "events": [{"item_id": "m-1", "event": "click"}]}


@pytest.mark.parametrize(
    ("host", "copy"),
    [
        ("shop.example", False),
        ("shop.example:8080", False),
        ("shop.example-shadow", True),
        ("127.0.0.1-shadow:30080", True),
        ("shop-shadow.example", False),
        ("", False),
    ],
)
def test_a_copy_is_known_by_its_host(host: str, copy: bool) -> None:
    """Envoy puts `-shadow` behind the name, before the port."""
    assert is_copy({"host": host, **INTERNAL}) is copy
    assert not is_copy({"host": host})


async def count(client: Any, series: str) -> float:
    """Return the value of a series, 0 when there is none."""
    lines = (await client.get("/metrics")).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(series))


async def test_a_ranking_is_served_and_not_noted(recommendation: Any) -> None:
    """The canary's answer is judged; that the user was shown it is not written, for they were not."""
    async with recommendation(engine="phase4", variant="canary") as client:
        headers = {**COPY, "x-variant": "control"}
        answer = await client.post("/api/v2/recommend/personalized", json={"user_id": "u-0042"}, headers=headers)
        assert answer.status_code == 200
        assert len(answer.json()["items"]) == 10
        assert await count(client, 'serin_assignments_total{agreed="copy"}') == 1
        assert await count(client, "serin_assignment_disagreements_total") == 0
        assert await count(client, "http_requests_total") == 1
        recommender = client._transport.app.state.recommender
        assert len(recommender._served) == 0
        await client.post("/api/v2/recommend/personalized", json={"user_id": "u-0042"})
        assert len(recommender._served) == 1


@pytest.mark.parametrize("service", ["recommendation", "conversation"])
async def test_what_would_write_is_left_out(service: str, recommendation: Any, conversation: Any) -> None:
    """Answered 204 and not counted: neither a success nor an error of the canary."""
    start, path, body = {
        "recommendation": (recommendation, "/api/v2/recommend/feedback", ANSWER),
        "conversation": (conversation, "/api/v2/conversations/start", {"user_id": "u-0042"}),
    }[service]
    async with start(engine="phase4") as client:
        assert (await client.post(path, json=body, headers=COPY)).status_code == 204
        assert await count(client, "http_requests_total") == 0


async def test_a_turn_is_in_its_conversation_once(conversation: Any) -> None:
    """Control answers the message and the canary its copy, over one database: one turn, and reading is no writing."""
    async with conversation(engine="phase4") as client:
        begun = await client.post("/api/v2/conversations/start", json={"user_id": "u-0042"})
        place = begun.headers["location"]
        for headers in ({}, COPY):
            await client.post(f"{place}/messages", json={"text": "Recommend me a comedy"}, headers=headers)
        read = await client.get(place, headers=COPY)
    assert read.status_code == 200
    assert read.json()["turns"] == 1
