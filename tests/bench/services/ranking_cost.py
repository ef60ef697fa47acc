"""What one ranking costs this machine: CPU time of the engines, and of a whole request, by what the caches know.

    python -m tests.bench.services.ranking_cost

CPU time and not waiting: it is what decides how many requests a core can serve, and it does not depend on who else uses
the machine. Requests go through the whole application in this process, middleware and JSON included, with PostgreSQL
beside it (its own CPU time is not in the figures).
"""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import structlog

from serin_recommendation.engines import EnsembleRecommendationEngine, ItemNeighboursEngine, Query
from serin_recommendation.main import create_app
from serin_recommendation.model import FixedModel, load
from serin_recommendation.settings import RecommendationSettings
from serin_recommendation.store.bulk import write
from serin_recommendation.store.tables import MIGRATIONS
from serin_recommendation.synthetic import now_synthetic
from serin_recommendation.training.profiles import profiles
from serin_recommendation.training.train import train
from serin_services.database import patient_transaction
from serin_services.settings import DatabaseSettings, ServiceSettings
from tests.bench.services.processes import Postgres

TIMES = 1000
PATH = "/api/v2/recommend/personalized"


async def cost(name: str, work: Callable[[int], Awaitable[Any]], times: int = TIMES) -> None:
    """Print the CPU and the elapsed time of one piece of work, milliseconds."""
    for number in range(min(times // 10, 50)):
        await work(number)
    begin, cpu = time.perf_counter(), time.process_time()
    for number in range(times):
        await work(number)
    cpu, begin = time.process_time() - cpu, time.perf_counter() - begin
    print(f"{name:<52}{1000 * cpu / times:>10.3f}{1000 * begin / times:>12.3f}")


async def engines(folder: Path, version: str) -> None:
    """Print what the engines cost alone."""
    model = load(folder, version)
    known = profiles(now_synthetic())
    queries = [Query(profile, 10, daypart=2) for profile in known]
    phase3, phase4 = ItemNeighboursEngine(FixedModel(model)), EnsembleRecommendationEngine(FixedModel(model))

    async def in_turn(number: int) -> None:
        phase4.rank(model, queries[number])

    await cost("phase3", lambda number: phase3.recommend(queries[number]))
    await cost("phase4, parts one after another", in_turn)
    await cost("phase4, parts in threads", lambda number: phase4.recommend(queries[number]))
    await cost("phase4, batch of 100", lambda number: phase4.recommend_many(queries[number : number + 100]), 50)
    phase4.close()


async def requests(folder: Path, url: str, engine: str) -> None:
    """Print what whole requests cost."""
    own = RecommendationSettings(model_dir=folder, profile_entries=2000)
    app = create_app(ServiceSettings(engine=engine), DatabaseSettings(url=url), own)  # type: ignore[arg-type]
    async with app.router.lifespan_context(app):
        await app.state.database.wait_until_ready()
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:

            async def ask(user: str) -> None:
                response = await client.post(PATH, json={"user_id": user, "limit": 10, "context": {"time": "20:30"}})
                assert response.status_code == 200, response.text

            async def livez(_number: int) -> None:
                await client.get("/livez")

            await cost("GET /livez: the client and the framework alone", livez)
            await cost(f"{engine} request, profile from the database", lambda number: ask(f"u-{number + 100:04d}"))
            await cost(f"{engine} request, profile from the cache", lambda number: ask(f"u-{number % 100 + 100:04d}"))
            await cost(f"{engine} request, somebody unknown", lambda number: ask(f"new-{number}"))


async def main() -> None:
    """Print all figures."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    with tempfile.TemporaryDirectory() as name, Postgres.running() as server:
        folder = Path(name)
        version = train(now_synthetic(), folder)
        async with patient_transaction(DatabaseSettings(url=server.url), "bench") as connection:
            await MIGRATIONS.upgrade(connection)
            await write(connection, now_synthetic())
        print(f"{'milliseconds each':<52}{'CPU':>10}{'elapsed':>12}")
        await engines(folder, version)
        for engine in ("phase3", "phase4"):
            await requests(folder, server.url, engine)


if __name__ == "__main__":
    asyncio.run(main())
