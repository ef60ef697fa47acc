"""Migrations on real databases: up, down, together, ahead and behind."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import sqlalchemy as sa

from serin_services import tables
from serin_services.cli import migrate_command
from serin_services.database import Database, patient_transaction
from serin_services.migrations import Migrations, lock_schema
from serin_services.settings import DatabaseSettings

metadata = sa.MetaData()
shops = sa.Table(
    "shop",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(20), nullable=False),
    sa.Index("shop_name", "name"),
)
tables.idempotency(metadata, "shop")
tables.goal_snapshots(metadata, "shop")

SCRIPTS = {
    "0001": """
        def upgrade():
            name = sa.Column("name", sa.String(20), nullable=False)
            op.create_table("shop", sa.Column("id", sa.Integer, primary_key=True), name)

        def downgrade():
            op.drop_table("shop")
    """,
    "0002": """
        def upgrade():
            op.create_index("shop_name", "shop", ["name"])
            tables.create_shared_1("shop")

        def downgrade():
            tables.drop_shared_1("shop")
            op.drop_index("shop_name", table_name="shop")
    """,
    "0003": """
        def upgrade():
            op.add_column("shop", sa.Column("later", sa.Integer))
            op.execute("SELECT nonsense")

        def downgrade():
            pass
    """,
}


def write(folder: Path, package: str, revisions: list[str]) -> None:
    """Write a package with the given scripts."""
    versions = folder / package / "migrations" / "versions"
    versions.mkdir(parents=True)
    (folder / package / "__init__.py").write_text('"""A service."""\n')
    (folder / package / "migrations" / "env.py").write_text(
        "from serin_services.migrations import run_scripts\n\nrun_scripts()\n"
    )
    before = None
    for revision in revisions:
        head = "import sqlalchemy as sa\nfrom alembic import op\nfrom serin_services import tables\n"
        names = f"revision = {revision!r}\ndown_revision = {before!r}\n"
        (versions / f"{revision}_step.py").write_text(head + names + dedent(SCRIPTS[revision]))
        before = revision


@pytest.fixture
def scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make the packages of three releases: one, two and (its third script fails) three scripts."""
    folder = tmp_path / "pack%ages"
    write(folder, "shop_one", ["0001"])
    write(folder, "shop_two", ["0001", "0002"])
    write(folder, "shop_bad", ["0001", "0002", "0003"])
    monkeypatch.syspath_prepend(str(folder))
    yield
    for name in ("shop_one", "shop_two", "shop_bad"):
        sys.modules.pop(name, None)


ONE = Migrations("shop_one", "shop", "0001")
TWO = Migrations("shop_two", "shop", "0002")
BAD = Migrations("shop_bad", "shop", "0003")

pytestmark = pytest.mark.usefixtures("scripts")


async def opened(url: str, migrations: Migrations, **settings: Any) -> Database:
    """Open a database with the schema of a release."""
    database = Database(DatabaseSettings(url=url, **settings), migrations, "test")
    await database.open()
    await asyncio.wait_for(database.wait_until_ready(), 20)
    return database


async def names(url: str) -> set[str]:
    """Return the tables of a database."""
    async with patient_transaction(DatabaseSettings(url=url), "test") as connection:
        return set(await connection.run_sync(lambda sync: sa.inspect(sync).get_table_names()))


async def revision(url: str) -> str | None:
    """Return the revision of a database."""
    async with patient_transaction(DatabaseSettings(url=url), "test") as connection:
        return await TWO.current(connection)


async def test_a_start_brings_the_schema_to_its_head(database_url: str) -> None:
    """An empty database and one that is behind are migrated; what the scripts make is what the code works with."""
    await (await opened(database_url, ONE)).close()
    assert await revision(database_url) == "0001"
    database = await opened(database_url, TWO)
    assert TWO.script_head() == TWO.head
    async with database.transaction() as connection:
        assert await TWO.differences(connection, metadata) == []
        assert await TWO.current(connection) == "0002"
    await database.close()


async def test_a_missing_index_is_a_difference(database_url: str) -> None:
    """The check of the scripts against the code finds what is missing, and leaves other services' tables alone."""
    database = await opened(database_url, ONE)
    async with database.transaction() as connection:
        await connection.execute(sa.text("CREATE TABLE of_another (id INTEGER)"))
        differences = await ONE.differences(connection, metadata)
    await database.close()
    assert {kind for kind, *_ in differences} == {"add_table", "add_index"}
    assert "of_another" not in str(differences)


async def test_down_undoes_up(database_url: str) -> None:
    """Every step down leaves what was there before the step up."""
    await (await opened(database_url, TWO)).close()
    for target, left in (("0001", {"shop"}), ("base", set())):
        async with patient_transaction(DatabaseSettings(url=database_url), "test") as connection:
            await TWO.downgrade(connection, target)
        assert await names(database_url) - {"alembic_version_shop"} == left


async def test_processes_that_start_together_migrate_once(database_url: str) -> None:
    """Eight starts at the same moment on an empty database: all become ready, nobody fails."""
    databases = await asyncio.gather(*(opened(database_url, TWO) for _ in range(8)))
    assert await revision(database_url) == "0002"
    for database in databases:
        await database.close()


async def test_a_migration_that_fails_leaves_nothing_behind(database_url: str) -> None:
    """The script that fails in its middle is undone whole, together with those before it in the same run."""
    settings = DatabaseSettings(url=database_url)
    await (await opened(database_url, ONE)).close()
    with pytest.raises(sa.exc.DBAPIError):
        async with patient_transaction(settings, "test") as connection:
            await BAD.upgrade(connection)
    assert await revision(database_url) == "0001"
    async with patient_transaction(settings, "test") as connection:
        columns = await connection.run_sync(lambda sync: [one["name"] for one in sa.inspect(sync).get_columns("shop")])
    assert columns == ["id", "name"]
    assert await names(database_url) == {"shop", "alembic_version_shop"}


async def test_a_release_accepts_a_schema_that_is_ahead(database_url: str) -> None:
    """After a rollback the old release serves on the schema of the new one, and changes nothing."""
    await (await opened(database_url, TWO)).close()
    old = await opened(database_url, ONE)
    assert old.ready
    await old.close()
    assert await revision(database_url) == "0002"


async def test_a_process_may_be_told_to_wait(database_url: str) -> None:
    """With `wait` a start changes no schema; it becomes ready as soon as the command has run."""
    settings = DatabaseSettings(url=database_url, migrate="wait")
    database = Database(settings, TWO, "test")
    await database.open()
    await asyncio.sleep(0.5)
    assert not database.ready
    assert await names(database_url) == set()
    assert await asyncio.to_thread(migrate_command, TWO, settings, []) == 0
    await asyncio.wait_for(database.wait_until_ready(), 20)
    await database.close()


async def test_a_migration_may_take_longer_than_a_request(postgres_url: str) -> None:
    """The limits of requests don't hold for migrations: one waits for the lock as long as another has it."""
    settings = DatabaseSettings(url=postgres_url, statement_timeout=0.1)
    async with patient_transaction(settings, "test") as connection:
        await lock_schema(connection)
        waiting = asyncio.create_task(opened(postgres_url, TWO, statement_timeout=0.1))
        await asyncio.sleep(1.5)
        assert not waiting.done()
    await (await asyncio.wait_for(waiting, 20)).close()
    assert await revision(postgres_url) == "0002"


def test_the_command(database_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`migrate` goes up, down and shows; what it does not understand is exit code 2 with a sentence."""
    settings = DatabaseSettings(url=database_url)

    def migrate(*arguments: str) -> int:
        return migrate_command(TWO, settings, arguments)

    assert migrate("up", "0001") == 0
    assert migrate() == 0
    capsys.readouterr()
    assert migrate("show") == 0
    assert "the schema is at 0002; this release needs 0002" in capsys.readouterr().out
    assert migrate("down", "base") == 0
    assert asyncio.run(revision(database_url)) is None
    assert migrate("up", "4711") == 2
    assert "4711" in capsys.readouterr().err
    assert migrate("sideways") == 2
    assert "usage" in capsys.readouterr().err
