"""The commands of this service beside serving: they fill the database, train, and measure."""

import argparse
import asyncio
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from serin_recommendation.data import Dataset
from serin_recommendation.movielens import MovieLensError, movielens
from serin_recommendation.settings import RecommendationSettings
from serin_recommendation.store.bulk import is_empty, read, write
from serin_recommendation.store.tables import MIGRATIONS, SERVICE
from serin_recommendation.synthetic import now_synthetic, synthetic
from serin_services.cli import Command, migrate_command, run_cli
from serin_services.database import patient_transaction
from serin_services.migrations import lock_schema
from serin_services.settings import DatabaseSettings

T = TypeVar("T")
DEFAULT_FOLDER = Path("models")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; without one, serve."""
    return run_cli(
        SERVICE,
        {
            "serve": Command(_serve, "serve the API (what the image does)"),
            "migrate": Command(
                lambda given: migrate_command(MIGRATIONS, DatabaseSettings(), given), "make or change the tables"
            ),
            "seed": Command(_guarded(_seed), "fill an empty database with the synthetic, labelled data set"),
            "load": Command(_guarded(_load), "add a folder of MovieLens files to the database"),
            "train": Command(_guarded(_train), "train a model from the database into a versioned folder"),
            "evaluate": Command(_guarded(_evaluate), "measure the engines on interactions that were held out"),
        },
        arguments,
    )


def _serve(_arguments: list[str]) -> int:
    from serin_recommendation.main import main as serve  # noqa: PLC0415 - a command does not need the application

    serve()
    return 0


def _guarded(run: Callable[[list[str]], int]) -> Callable[[list[str]], int]:
    """Turn what a person can repair into a sentence and exit code 1."""

    def guarded(arguments: list[str]) -> int:
        try:
            return run(arguments)
        except (OSError, DBAPIError, ValueError, MovieLensError) as error:
            print(f"error: {error}", file=sys.stderr)  # noqa: T201 - a command prints
            return 1

    return guarded


def _seed(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="seed", description="A database that has items already stays as it is.")
    parser.parse_args(arguments)
    return _run(_fill(now_synthetic, only_empty=True))


def _load(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="load")
    parser.add_argument("folder", type=Path, help="an unpacked MovieLens set: movies, ratings, perhaps tags")
    folder = parser.parse_args(arguments).folder
    return _run(_fill(lambda: movielens(folder), only_empty=False))


def _train(arguments: list[str]) -> int:
    parser = _source_parser("train")
    parser.add_argument(
        "--model-dir", type=Path, help=f"folder of the versions; default SERIN_MODEL_DIR, or ./{DEFAULT_FOLDER}"
    )
    parsed = parser.parse_args(arguments)
    from serin_recommendation.training.train import train  # noqa: PLC0415 - takes the memory of its libraries

    folder = parsed.model_dir or RecommendationSettings().model_dir or DEFAULT_FOLDER
    train(_data(parsed), folder, say=_say)
    return 0


def _evaluate(arguments: list[str]) -> int:
    parser = _source_parser("evaluate")
    parser.add_argument("--users", type=int, help="measure this many users; default all")
    parsed = parser.parse_args(arguments)
    from serin_recommendation.training.evaluate import evaluate, table  # noqa: PLC0415 - as above

    _say(table(evaluate(_data(parsed), users=parsed.users)))
    return 0


def _source_parser(name: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=name)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--synthetic", action="store_true", help="use the synthetic data set instead of the database")
    source.add_argument("--movielens", type=Path, metavar="FOLDER", help="use MovieLens files instead of the database")
    return parser


def _data(parsed: argparse.Namespace) -> Dataset:
    if parsed.synthetic:
        return synthetic()
    if parsed.movielens:
        return movielens(parsed.movielens)
    return asyncio.run(_with(read))


def _run(work: Callable[[AsyncConnection], Coroutine[Any, Any, int]]) -> int:
    return asyncio.run(_with(work))


async def _with(work: Callable[[AsyncConnection], Coroutine[Any, Any, T]]) -> T:
    async with patient_transaction(DatabaseSettings(), f"{SERVICE} command") as connection:
        await lock_schema(connection)
        if not await MIGRATIONS.fits(connection):
            await MIGRATIONS.upgrade(connection)
        return await work(connection)


def _fill(make: Callable[[], Dataset], *, only_empty: bool) -> Callable[[AsyncConnection], Coroutine[Any, Any, int]]:
    async def fill(connection: AsyncConnection) -> int:
        if only_empty and not await is_empty(connection):
            _say("the database has items already: nothing to do")
            return 0
        data = await asyncio.to_thread(make)
        await write(connection, data, _say)
        _say(f"added {len(data.items)} items, {len(data.user_ids)} users, {data.users.size} interactions")
        return 0

    return fill


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a command prints
