"""Conversations on both engines, and across both, over one database."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest

START = "/api/v2/conversations/start"


async def begin(client: httpx.AsyncClient) -> str:
    """Begin a conversation and return the path of its messages."""
    response = await client.post(START, json={"user_id": "u-0042"})
    assert response.status_code == 201
    assert response.headers["location"].startswith("/api/v2/conversations/")
    return f"{response.headers['location']}/messages"


async def say(client: httpx.AsyncClient, path: str, text: str) -> dict[str, Any]:
    """Say something and return the answer."""
    response = await client.post(path, json={"text": text})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def test_phase_4_carries_what_the_user_wants(conversation: Any) -> None:
    """Slots of earlier turns stay: "something short" after "a comedy" is a short comedy."""
    async with conversation(engine="phase4") as client:
        path = await begin(client)
        first = await say(client, path, "Recommend me a comedy")
        second = await say(client, path, "Something shorter please")
    assert (first["turn"], first["slots"]) == (1, {"genre": "comedy"})
    assert (second["turn"], second["slots"]) == (2, {"genre": "comedy", "length": "short"})


async def test_phase_3_knows_the_last_message_alone(conversation: Any) -> None:
    """The legacy has forgotten the comedy when it hears of the length."""
    async with conversation(engine="phase3") as client:
        path = await begin(client)
        await say(client, path, "Recommend me a comedy")
        second = await say(client, path, "Something shorter please")
    assert second["slots"] == {"length": "short"}
    assert second["memory"] is None


async def test_a_conversation_survives_every_switch_of_variant(conversation: Any) -> None:
    """Turns served by control are known to the canary afterwards, and the other way round: nothing is lost."""
    async with conversation(engine="phase3") as control, conversation(engine="phase4") as canary:
        path = await begin(control)
        await say(control, path, "Recommend me a thriller")
        await say(control, path, "thanks")
        third = await say(canary, path, "a recent one please")
        fourth = await say(control, path, "Something shorter please")
        fifth = await say(canary, path, "What did we talk about?")
    assert (third["turn"], third["slots"]) == (3, {"genre": "thriller", "era": "new"})
    assert fourth["turn"] == 4
    assert fifth["slots"] == {"genre": "thriller", "era": "new", "length": "short"}
    for said in ("Recommend me a thriller", "a recent one please", "Something shorter please"):
        assert said in fifth["reply"]


async def test_messages_that_arrive_together_are_turns_one_after_the_other(conversation: Any) -> None:
    """Eight messages at once, to two processes, get the numbers 1 to 8."""
    async with conversation(engine="phase4") as one, conversation(engine="phase4") as other:
        path = await begin(one)
        answers = await asyncio.gather(*(say((one, other)[n % 2], path, f"comedy number {n}") for n in range(8)))
    assert sorted(answer["turn"] for answer in answers) == list(range(1, 9))


async def test_korean_is_understood_and_answered(conversation: Any) -> None:
    """A Korean message gets its intent, its slots and a Korean answer."""
    async with conversation(engine="phase4") as client:
        answer = await say(client, await begin(client), "최신 스릴러 영화 추천해 주세요")
    assert (answer["intent"], answer["slots"]) == ("recommend", {"genre": "thriller", "era": "new"})
    assert "찾아볼게요" in answer["reply"]


async def test_an_unknown_conversation_is_a_404(conversation: Any) -> None:
    """A well-formed id that nobody has begun is not found, in a problem document."""
    async with conversation() as client:
        response = await client.post(f"/api/v2/conversations/{uuid4()}/messages", json={"text": "hello"})
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert "/api/v2/conversations/start" in response.json()["detail"]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (START, {}, "body.user_id"),
        (START, {"user_id": "u-1", "language": "fr"}, "body.language"),
        (f"/api/v2/conversations/{uuid4()}/messages", {"text": "   "}, "body.text"),
        (f"/api/v2/conversations/{uuid4()}/messages", {"text": "a\x00b"}, "body.text"),
        (f"/api/v2/conversations/{uuid4()}/messages", {"text": "x" * 2001}, "body.text"),
        ("/api/v2/conversations/17/messages", {"text": "hello"}, "path.conversation_id"),
    ],
)
async def test_bad_input_is_a_422_that_names_the_field(
    conversation: Any, path: str, body: dict[str, Any], field: str
) -> None:
    """A wrong field is named, and nothing reaches the database."""
    async with conversation() as client:
        response = await client.post(path, json=body)
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == [field]
