"""POST /api/v2/recommend/personalized, on both engines."""

from typing import Any

import httpx
import pytest

from serin_recommendation.engines import Query, Ranking
from serin_recommendation.routes import get_engine

PATH = "/api/v2/recommend/personalized"


async def ask(client: httpx.AsyncClient, **body: Any) -> httpx.Response:
    """Post a question."""
    return await client.post(PATH, json={"user_id": "u-0042", **body})


@pytest.mark.parametrize("engine", ["phase3", "phase4"])
async def test_items_are_ranked_and_explained(recommendation: Any, engine: str) -> None:
    """Items come best first, each once, with parts that add up to its score, and the engine names itself."""
    async with recommendation(engine=engine) as client:
        response = await ask(client, limit=7)
    answer = response.json()
    items = answer["items"]
    assert response.status_code == 200
    assert [item["rank"] for item in items] == list(range(1, 8))
    assert [item["score"] for item in items] == sorted((item["score"] for item in items), reverse=True)
    assert len({item["item_id"] for item in items}) == 7
    assert all(sum(item["parts"].values()) == pytest.approx(item["score"], abs=1e-4) for item in items)
    assert answer["engine"]["name"] == engine
    assert not answer["cold_start"]
    assert answer["missing_parts"] == []


@pytest.mark.parametrize("engine", ["phase3", "phase4"])
async def test_an_unknown_user_gets_the_cold_start_answer(recommendation: Any, engine: str) -> None:
    """Somebody whom nobody knows gets items too, and the answer says that they are general ones."""
    async with recommendation(engine=engine) as client:
        answer = (await ask(client, user_id="stranger")).json()
    assert answer["cold_start"]
    assert len(answer["items"]) == 10


@pytest.mark.parametrize("engine", ["phase3", "phase4"])
async def test_exclusions_are_left_out(recommendation: Any, engine: str) -> None:
    """An excluded item is not in the answer, the others move up, and an unknown exclusion changes nothing."""
    async with recommendation(engine=engine) as client:
        before = [item["item_id"] for item in (await ask(client, limit=5)).json()["items"]]
        response = await ask(client, limit=4, exclusions=[before[0], "item-of-another-catalogue"])
    assert [item["item_id"] for item in response.json()["items"]] == before[1:]


@pytest.mark.parametrize("user", ["u-0042", "stranger"])
async def test_context_changes_the_answer_of_phase_4(recommendation: Any, user: str) -> None:
    """Persona and time of day reach the persona part; among the first 50 another context ranks differently."""
    contexts = ({"persona": "family"}, {"persona": "thrill-seeker"}, {"time": "08:00"}, {"time": "23:30"})
    async with recommendation(engine="phase4") as client:
        answers = [(await ask(client, user_id=user, limit=50, context=context)).json()["items"] for context in contexts]
    rankings = [[item["item_id"] for item in items] for items in answers]
    assert rankings[0] != rankings[1]
    assert rankings[2] != rankings[3]
    persona_parts = [{item["item_id"]: item["parts"]["persona"] for item in items} for items in answers]
    assert persona_parts[0] != persona_parts[1]
    assert persona_parts[2] != persona_parts[3]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"limit": 0}, "body.limit"),
        ({"limit": 51}, "body.limit"),
        ({"user_id": ""}, "body.user_id"),
        ({"user_id": "a b"}, "body.user_id"),
        ({"context": {"persona": "pirate"}}, "body.context.persona"),
        ({"context": {"time": "25:00"}}, "body.context.time"),
        ({"exclusions": "item-1"}, "body.exclusions"),
        ({"limits": 5}, "body.limits"),
    ],
)
async def test_bad_input_is_a_422_that_names_the_field(recommendation: Any, body: dict[str, Any], field: str) -> None:
    """A wrong field is named, in a problem document, and its value is not repeated."""
    async with recommendation() as client:
        response = await ask(client, **body)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert [error["field"] for error in problem["errors"]] == [field]
    assert "pirate" not in response.text.replace(field, "")


async def test_every_pod_gives_the_same_answer(recommendation: Any) -> None:
    """Two processes agree on scores and order, since users move between pods."""
    answers = []
    for _ in range(2):
        async with recommendation(engine="phase4") as client:
            answers.append((await ask(client)).json())
            del answers[-1]["recommendation_id"]
    assert answers[0] == answers[1]


async def test_the_engine_is_a_dependency_that_can_be_replaced(recommendation: Any) -> None:
    """FastAPI's overrides reach the engine: a broken one is a 500 problem, without its error text."""

    class Broken:
        name = version = "broken"
        model_age = 0.0

        async def recommend(self, query: Query) -> Ranking:
            raise RuntimeError(f"secret {query.profile.user_id}")

    async with recommendation() as client:
        client._transport.app.dependency_overrides[get_engine] = Broken
        response = await ask(client)
    assert response.status_code == 500
    assert response.json()["title"] == "Internal Server Error"
    assert "secret" not in response.text


async def test_the_openapi_document_names_every_status(recommendation: Any) -> None:
    """Clients can read which answers to expect."""
    async with recommendation() as client:
        document = (await client.get("/openapi.json")).json()
    assert set(document["paths"][PATH]["post"]["responses"]) == {"200", "413", "422", "500", "503", "504"}
