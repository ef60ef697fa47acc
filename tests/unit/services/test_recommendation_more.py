"""Batch, similar, trending, feedback and health: what a client sees."""

import time
from pathlib import Path
from typing import Any

import pytest

from serin_recommendation.data import Floats
from serin_recommendation.engines import EnsembleRecommendationEngine, Query
from serin_recommendation.engines.base import History
from serin_recommendation.engines.parts import CollaborativePart, ContentPart, PersonaPart
from serin_recommendation.model import Model, load, newest, save
from serin_recommendation.routes import get_engine

API = "/api/v2/recommend"
ENGINES = pytest.mark.parametrize("engine", ["phase3", "phase4"])


@ENGINES
async def test_a_batch_is_what_each_user_would_get(recommendation: Any, engine: str) -> None:
    """Answers come in the order of the question, each as for that user alone, strangers included."""
    users = ["u-0007", "stranger", "u-0003"]
    async with recommendation(engine=engine) as client:
        batch = (await client.post(f"{API}/batch", json={"user_ids": users, "limit": 4})).json()
        alone = [
            (await client.post(f"{API}/personalized", json={"user_id": user, "limit": 4})).json() for user in users
        ]
    assert [result["user_id"] for result in batch["results"]] == users
    for result, single in zip(batch["results"], alone, strict=True):
        assert {key: single[key] for key in result} == result
    assert batch["engine"] == alone[0]["engine"]


@ENGINES
async def test_similar_items(recommendation: Any, engine: str) -> None:
    """The neighbours of an item come best first with their parts, never the item itself; an unknown item is a 404."""
    async with recommendation(engine=engine) as client:
        answer = (await client.get(f"{API}/similar/item-0007", params={"limit": 5})).json()
        missing = await client.get(f"{API}/similar/item-9999")
    items = answer["items"]
    assert len(items) == 5
    assert "item-0007" not in {item["item_id"] for item in items}
    assert [item["score"] for item in items] == sorted((item["score"] for item in items), reverse=True)
    assert all(sum(item["parts"].values()) == pytest.approx(item["score"], abs=1e-4) for item in items)
    assert missing.status_code == 404
    assert missing.headers["content-type"] == "application/problem+json"
    assert "item-9999" not in missing.text


async def test_trending_is_cached_and_falls_back(recommendation: Any) -> None:
    """A window has its most watched items; one in which nothing happened says that it falls back to popular ones."""
    async with recommendation() as client:
        month = (await client.get(f"{API}/trending", params={"window": "30d", "limit": 50})).json()
        again = (await client.get(f"{API}/trending", params={"window": "30d", "limit": 2})).json()
        new = (await client.get(f"{API}/trending", params={"window": "7d", "segment": "new"})).json()
        health = (await client.get("/api/v2/health")).json()
        client._transport.app.state.recommender._trends.put(("family", "1h"), [])
        nothing = (await client.get(f"{API}/trending", params={"segment": "family", "window": "1h"})).json()
    assert not month["fallback"]
    assert month["items"][:2] == again["items"]
    assert [item["rank"] for item in month["items"]] == list(range(1, 51))
    assert [item["score"] for item in month["items"]] == sorted((i["score"] for i in month["items"]), reverse=True)
    assert {item["interactions"] for item in new["items"]} != {item["interactions"] for item in month["items"][:10]}
    assert health["caches"]["trend"] == {"entries": 2, "size": 36, "hit_ratio": pytest.approx(1 / 3)}
    assert nothing["fallback"]
    assert len(nothing["items"]) == 10


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("batch", {"user_ids": []}, "body.user_ids"),
        ("batch", {"user_ids": ["u-1"] * 2}, "body.user_ids"),
        ("batch", {"user_ids": [f"u-{number}" for number in range(101)]}, "body.user_ids"),
        ("batch", {"user_ids": ["u-1", "a b"]}, "body.user_ids.1"),
        ("feedback", {"user_id": "u-1", "events": []}, "body.events"),
        ("feedback", {"user_id": "u-1", "events": [{"item_id": "item-0001", "event": "sold"}]}, "body.events.0"),
        ("feedback", {"user_id": "u-1", "events": [{"item_id": "item-0001", "event": "rating"}]}, "body.events.0"),
        (
            "feedback",
            {"user_id": "u-1", "events": [{"item_id": "item-0001", "event": "shown", "rating": 5}]},
            "body.events.0",
        ),
        (
            "feedback",
            {"user_id": "u-1", "events": [{"item_id": "item-0001", "event": "rating", "rating": 6}]},
            "body.events.0",
        ),
        ("feedback", {"user_id": "u-1", "recommendation_id": "x", "events": []}, "body.recommendation_id"),
        ("personalized", {"user_id": "u-1", "context": {"time": 0}}, "body.context.time"),
        ("personalized", {"user_id": "u-1", "context": {"time": "24:00"}}, "body.context.time"),
    ],
)
async def test_bad_input_names_the_field(recommendation: Any, path: str, body: dict[str, Any], field: str) -> None:
    """What is wrong is named, and nothing reaches the engine or the database."""
    async with recommendation() as client:
        response = await client.post(f"{API}/{path}", json=body)
    assert response.status_code == 422
    assert any(error["field"].startswith(field) for error in response.json()["errors"]), response.text


@pytest.mark.parametrize("query", ["limit=0", "limit=51", "window=2h", "segment=pirates"])
async def test_bad_parameters_name_the_field(recommendation: Any, query: str) -> None:
    """A wrong query parameter is a 422 that names it."""
    async with recommendation() as client:
        response = await client.get(f"{API}/trending?{query}")
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == f"query.{query.partition('=')[0]}"


async def test_a_hanging_part_costs_its_budget_in_the_answer_too(recommendation: Any) -> None:
    """Over HTTP: 200 after the budget, the part named in missing_parts, and counted."""

    class Slow(ContentPart):
        def score(self, model: Model, query: Query, history: History) -> Floats | None:
            time.sleep(1.0)
            return super().score(model, query, history)

    async with recommendation(engine="phase4") as client:
        state = client._transport.app.state
        missing: list[tuple[str, str]] = []
        engine = EnsembleRecommendationEngine(
            state.recommender._models,
            parts=(CollaborativePart(), Slow(), PersonaPart()),
            budgets={"collaborative": 5.0, "content": 0.15, "persona": 5.0},
            on_missing=lambda part, reason: missing.append((part, reason)),
        )
        client._transport.app.dependency_overrides[get_engine] = lambda: engine
        begin = time.perf_counter()
        response = await client.post(f"{API}/personalized", json={"user_id": "u-0042"})
        seconds = time.perf_counter() - begin
        scraped = (await client.get("/metrics")).text
    answer = response.json()
    assert response.status_code == 200
    assert 0.15 <= seconds < 0.9
    assert answer["missing_parts"] == ["content"]
    assert len(answer["items"]) == 10
    assert missing == [("content", "late")]
    assert 'serin_part_missing_total{part="content",reason="late"} 0.0' in scraped, "series exist before the first"


async def test_health_tells_engine_model_database_and_caches(recommendation: Any) -> None:
    """One look shows which model serves, how old it is, and how full the caches are."""
    async with recommendation(engine="phase4") as client:
        for user in ("u-0001", "u-0001", "u-0002", "stranger", "someone-else"):
            await client.post(f"{API}/personalized", json={"user_id": user})
        health = (await client.get("/api/v2/health")).json()
    assert health["status"] == "ok"
    assert health["engine"]["version"] == f"phase4-ensemble-2+{health['model']['version']}"
    assert health["engine"]["model_age_seconds"] > 0
    assert health["model"]["refused"] is None
    assert health["model"]["items"] == 400
    assert health["caches"]["profile"] == {"entries": 4, "size": 1000, "hit_ratio": pytest.approx(0.2)}
    assert health["caches"]["persona"] == {"entries": 1, "size": 100, "hit_ratio": pytest.approx(0.5)}
    assert health["database"]["kind"] == "sqlite"


async def test_a_refused_model_shows_in_health_while_the_last_one_serves(
    recommendation: Any, models: Path, tmp_path: Path
) -> None:
    """A corrupt new version: rankings go on with the old one, health and metrics say what was refused."""
    version = newest(models)
    assert version is not None
    model = load(models, version)
    folder = tmp_path / "models"
    good = save(folder, model, {})
    async with recommendation({"model_dir": folder, "model_poll": 0.05}) as client:
        bad = save(folder, Model(**{**vars(model), "made_at": model.made_at + 60}), {})
        (folder / bad / "factors.npy").write_bytes(b"rubbish")
        watch = client._transport.app.state.recommender._models
        watch._seen = None
        await watch.refresh()
        health = (await client.get("/api/v2/health")).json()
        answer = (await client.post(f"{API}/personalized", json={"user_id": "u-0042"})).json()
        scraped = (await client.get("/metrics")).text
    assert health["model"]["version"] == good
    assert bad in health["model"]["refused"]
    assert answer["engine"]["version"].endswith(good)
    assert "serin_model_refused 1.0" in scraped


async def test_the_openapi_document_names_every_status_of_every_endpoint(recommendation: Any) -> None:
    """Clients can read which answers to expect from each of the five."""
    async with recommendation() as client:
        paths = (await client.get("/openapi.json")).json()["paths"]
    found = {
        (method, path.removeprefix(API)): set(route["responses"])
        for path, of in paths.items()
        for method, route in of.items()
    }
    both = {"200", "422", "500", "503", "504"}
    assert found[("post", "/personalized")] == both | {"413"}
    assert found[("post", "/batch")] == both | {"413"}
    assert found[("get", "/similar/{item_id}")] == both | {"404"}
    assert found[("get", "/trending")] == both
    assert found[("post", "/feedback")] == both | {"404", "413"}
