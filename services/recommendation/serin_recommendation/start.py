"""What a start needs before it can answer: a model, and on a laptop data.

A first start has neither. It makes both from the synthetic set, which is the same everywhere, in seconds. The training
runs in a process of its own, so that its libraries don't stay in this one.
"""

import asyncio
import contextlib
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import structlog
from sqlalchemy.exc import DBAPIError
from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from serin_recommendation.model.store import ModelError, versions
from serin_recommendation.store.bulk import is_empty, write
from serin_recommendation.synthetic import now_synthetic
from serin_services.database import Database, DatabaseUnavailableError, patient_transaction
from serin_services.migrations import lock_schema
from serin_services.settings import DatabaseSettings

_LONGEST_PAUSE_SECONDS = 3.0

log = structlog.get_logger("start")


@contextlib.asynccontextmanager
async def model_folder(given: Path | None) -> AsyncIterator[Path]:
    """Give a folder with a model: the given one, or one that is trained now and goes with the process.

    Raises:
        ModelError: The training failed.
    """
    if given is not None and versions(given):
        yield given
        return
    folder = given or Path(tempfile.mkdtemp(prefix="serin-model-"))
    try:
        log.info("there is no model yet: training on the synthetic data", folder=str(folder))
        command = (sys.executable, "-m", "serin_recommendation", "train", "--synthetic", "--model-dir", str(folder))
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        output, _ = await process.communicate()
        if process.returncode != 0:
            raise ModelError(f"the first training ended with {process.returncode}: {output.decode()[-500:]}")
        yield folder
    finally:
        if given is None:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def seed_empty(database: Database, settings: DatabaseSettings, *, also_postgresql: bool) -> None:
    """Give an empty database the synthetic data; return when it has data, or is none that is seeded at a start.

    Args:
        database: The database of this process.
        settings: Where it is.
        also_postgresql: Whether PostgreSQL is seeded too, and not only a laptop's SQLite.
    """
    await database.wait_until_ready()
    if database.kind != "sqlite" and not also_postgresql:
        return
    attempts = AsyncRetrying(
        retry=retry_if_exception_type((OSError, DBAPIError, DatabaseUnavailableError)),
        wait=wait_random_exponential(multiplier=0.25, max=_LONGEST_PAUSE_SECONDS),
    )
    await attempts(_seed, database, settings)


async def _seed(database: Database, settings: DatabaseSettings) -> None:
    async with database.read() as connection:
        if not await is_empty(connection):
            return
    data = await asyncio.to_thread(now_synthetic)
    async with patient_transaction(settings, "recommendation seed") as connection:
        # Many pods start together: one seeds, and the others wait for it and find that it was done.
        await lock_schema(connection)
        if await is_empty(connection):
            await write(connection, data)
            log.info("seeded the database with the synthetic data", users=len(data.user_ids), items=len(data.items))
