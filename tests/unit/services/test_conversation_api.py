"""Conversations on both engines, and across both, over one database."""

import asyncio
import datetime as dt
import threading
from typing import Any
from uuid import uuid4

import httpx
import pytest

from serin_conversation.engines import MultiTurnConversationEngine
from serin_conversation.routes import get_engine

START = "/api/v2/conversations/start"
NOBODYS = "6c3d8bb1-9d3c-4a8b-9d4e-2f0c3a6f7b11"
"""Id of no conversation. The same at each start, for workers compare the names of the tests that they have found."""


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


@pytest.mark.parametrize(
    ("method", "end", "body"),
    [
        ("POST", "/messages", {"text": "hello"}),
        ("GET", "", None),
        ("POST", "/feedback", {"rating": 4}),
        ("POST", "/end", {}),
        ("POST", "/end", None),
    ],
)
async def test_an_unknown_conversation_is_a_404(conversation: Any, method: str, end: str, body: Any) -> None:
    """A well-formed id that nobody has begun is not found, in a problem document that says what to do."""
    async with conversation() as client:
        response = await client.request(method, f"/api/v2/conversations/{uuid4()}{end}", json=body)
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert "/api/v2/conversations/start" in response.json()["detail"]


async def test_an_ended_conversation_takes_no_message_and_no_second_end(conversation: Any) -> None:
    """After the end messages and ends are a 409, feedback is welcome, and the history stays."""
    async with conversation(engine="phase4", variant="canary") as client:
        path = await begin(client)
        here = path.removesuffix("/messages")
        await say(client, path, "Recommend me a comedy")
        ended = await client.post(f"{here}/end", json={"completed": True})
        message = await client.post(path, json={"text": "hello?"})
        again = await client.post(f"{here}/end")
        judged = await client.post(f"{here}/feedback", json={"rating": 5, "comment": "quick"})
        shown = (await client.get(here)).json()
    assert ended.status_code == 200
    assert ended.json()["completed"] is True
    assert ended.json()["turns"] == 1
    assert 0 < ended.json()["duration_seconds"] < 60
    assert (message.status_code, again.status_code, judged.status_code) == (409, 409, 200)
    assert message.headers["content-type"] == "application/problem+json"
    assert (shown["status"], shown["completed"], shown["turns"]) == ("ended", True, 1)
    assert shown["duration_seconds"] == ended.json()["duration_seconds"]


@pytest.mark.parametrize(
    ("messages", "body", "completed"), [(0, {}, False), (1, None, True), (1, {"completed": False}, False)]
)
async def test_a_conversation_with_an_answer_counts_as_completed(
    conversation: Any, messages: int, body: Any, completed: bool
) -> None:
    """Unless the client knows better; one that ends before the first message is not."""
    async with conversation() as client:
        path = await begin(client)
        for _ in range(messages):
            await say(client, path, "a comedy")
        ended = await client.post(f"{path.removesuffix('/messages')}/end", json=body)
    assert ended.json()["completed"] is completed


async def test_the_history_is_shown_page_by_page(conversation: Any) -> None:
    """Every turn of both variants is shown once, in order, with who answered it."""
    async with (
        conversation(engine="phase3", variant="control") as control,
        conversation(engine="phase4", variant="canary") as canary,
    ):
        path = await begin(control)
        for number in range(5):
            await say((control, canary)[number % 2], path, f"comedy number {number}")
        here = path.removesuffix("/messages")
        first = (await control.get(here, params={"limit": 3})).json()
        second = (await canary.get(here, params={"limit": 3, "after": first["next_after"]})).json()
    turns = [*first["history"], *second["history"]]
    assert [(turn["turn"], turn["message"]) for turn in turns] == [(n + 1, f"comedy number {n}") for n in range(5)]
    assert [(turn["engine"], turn["variant"]) for turn in turns[:2]] == [("phase3", "control"), ("phase4", "canary")]
    assert (first["next_after"], second["next_after"]) == (3, None)
    assert (first["status"], first["turns"], first["slots"]) == ("open", 5, {"genre": "comedy"})
    began, last = (dt.datetime.fromisoformat(first[name]) for name in ("started_at", "last_at"))
    assert began.tzinfo is not None
    assert began < last


async def test_feedback_about_a_turn_that_is_not_there_names_the_field(conversation: Any) -> None:
    """A turn that nobody has said yet can't be judged."""
    async with conversation() as client:
        path = await begin(client)
        await say(client, path, "hello")
        here = f"{path.removesuffix('/messages')}/feedback"
        good = await client.post(here, json={"rating": 4, "turn": 1, "helpful": True})
        bad = await client.post(here, json={"rating": 4, "turn": 2})
    assert (good.status_code, bad.status_code) == (200, 422)
    assert [error["field"] for error in bad.json()["errors"]] == ["body.turn"]


async def test_a_repeated_request_is_written_once(conversation: Any) -> None:
    """With one Idempotency-Key start, messages, feedback and end have one effect and one answer, after the end too."""
    async with conversation(engine="phase4") as client:

        async def twice(path: str, body: Any, key: str) -> dict[str, Any]:
            first, second = [await client.post(path, json=body, headers={"idempotency-key": key}) for _ in range(2)]
            assert first.json() == second.json()
            assert first.status_code == second.status_code < 300, first.text
            assert ("idempotency-replayed" in first.headers, second.headers["idempotency-replayed"]) == (False, "true")
            answer: dict[str, Any] = first.json()
            return answer

        begun = await twice(START, {"user_id": "u-0042"}, "a")
        here = f"/api/v2/conversations/{begun['conversation_id']}"
        said = await twice(f"{here}/messages", {"text": "Recommend me a comedy"}, "a")
        await twice(f"{here}/feedback", {"rating": 5}, "a")
        await twice(f"{here}/end", {}, "a")
        late = await client.post(
            f"{here}/messages", json={"text": "Recommend me a comedy"}, headers={"idempotency-key": "a"}
        )
        other = await client.post(f"{here}/messages", json={"text": "A drama"}, headers={"idempotency-key": "a"})
        shown = (await client.get(here)).json()
    assert late.json() == said, "the answer to a message that was taken before the end"
    assert other.status_code == 422
    assert shown["turns"] == 1


async def test_an_answer_that_takes_too_long_is_a_504(conversation: Any) -> None:
    """The deadline ends a request whose engine does not, and nothing of it is written."""

    class Stuck(MultiTurnConversationEngine):
        def reply(self, question: Any) -> Any:
            gone.wait(30)
            return super().reply(question)

    gone = threading.Event()
    async with conversation(engine="phase4", timeout=2.0) as client:
        path = await begin(client)
        app = client._transport.app
        app.dependency_overrides[get_engine] = Stuck
        response = await client.post(path, json={"text": "a long message. " * 60})
        gone.set()
        app.dependency_overrides.clear()
        shown = (await client.get(path.removesuffix("/messages"))).json()
    assert response.status_code == 504
    assert shown["turns"] == 0


async def test_rows_and_metrics_tell_who_should_have_served(conversation: Any) -> None:
    """A request that the gateway meant for another variant is counted, once."""
    async with conversation(engine="phase4", variant="canary") as client:
        path = await begin(client)
        wrong = {"x-variant": "control", "x-user-id": "u-0042"}
        assert (await client.post(path, json={"text": "hello"}, headers=wrong)).status_code == 200
        scraped = (await client.get("/metrics")).text
    assert 'serin_assignment_disagreements_total{kind="variant"} 1.0' in scraped
    assert 'serin_assignments_total{agreed="unknown"} 1.0' in scraped


async def test_health_shows_the_engine_and_the_database(conversation: Any) -> None:
    """Everything that a turn needs is in the answer."""
    async with conversation(engine="phase4", recommendation_url="http://127.0.0.1:9") as client:
        health = (await client.get("/api/v2/health")).json()
    assert (health["status"], health["engine"]["name"], health["database"]["kind"]) == ("ok", "phase4", "sqlite")
    assert health["caches"]["recommendations"]["size"] == 1000


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (START, {}, "body.user_id"),
        (START, {"user_id": "u-1", "language": "fr"}, "body.language"),
        (f"/api/v2/conversations/{NOBODYS}/feedback", {"rating": 6}, "body.rating"),
        (f"/api/v2/conversations/{NOBODYS}/feedback", {"rating": 5, "comment": "a\x00b"}, "body.comment"),
        (f"/api/v2/conversations/{NOBODYS}/end", {"completed": "perhaps"}, "body.completed"),
        (f"/api/v2/conversations/{NOBODYS}/messages", {"text": "   "}, "body.text"),
        (f"/api/v2/conversations/{NOBODYS}/messages", {"text": "a\x00b"}, "body.text"),
        (f"/api/v2/conversations/{NOBODYS}/messages", {"text": "x" * 2001}, "body.text"),
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
