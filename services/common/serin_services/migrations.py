"""The schema of a service as a chain of Alembic scripts, applied by a command or at start.

Two releases run side by side during a rollout, on one database. So a release accepts a schema that is ahead of it (its
successor was tried and rolled back), and only one that is behind keeps it from serving.
"""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import Connection, MetaData, inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

_SCHEMA_LOCK = 0x5E1_2117
"""Key of the advisory lock under which tables are made; any constant that nobody else uses."""

log = structlog.get_logger("migrations")


class SchemaBehindError(Exception):
    """The schema lacks migrations, and this process is told to wait for them."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the schema is behind: run `python -m serin_{name} migrate`")


class UnknownRevisionError(Exception):
    """There is no such revision, or it does not lie in that direction."""


@dataclass(frozen=True, slots=True)
class Migrations:
    """The scripts of one service; several services may share a database.

    Attributes:
        package: Package that holds `migrations/versions`.
        name: The service; its version is in the table `alembic_version_<name>`.
        head: Revision that this release needs. Written down beside the tables, so that a start whose schema is right
            needs neither Alembic nor the scripts.
    """

    package: str
    name: str
    head: str

    @property
    def version_table(self) -> str:
        """Table with the revision that was applied last."""
        return f"alembic_version_{self.name}"

    def script_head(self) -> str | None:
        """Return the newest revision among the scripts; a test holds `head` to it."""
        return self._scripts().get_current_head()

    async def current(self, connection: AsyncConnection) -> str | None:
        """Return the revision that was applied last, or None."""
        return await connection.run_sync(self._current)

    def _current(self, connection: Connection) -> str | None:
        if not inspect(connection).has_table(self.version_table):
            return None
        found: str | None = connection.execute(text(f"SELECT version_num FROM {self.version_table}")).scalar()  # noqa: S608 - a constant
        return found

    async def fits(self, connection: AsyncConnection) -> bool:
        """Say whether this release can work with the schema: it is at its head, or ahead of it."""
        current = await self.current(connection)
        if current == self.head:
            return True
        if current is None or current in {script.revision for script in self._scripts().walk_revisions()}:
            return False
        log.warning("the schema is ahead of this release, as after a rollback", schema=current, release=self.head)
        return True

    async def upgrade(self, connection: AsyncConnection, revision: str = "head") -> None:
        """Apply the scripts up to `revision`, inside the connection's transaction."""
        from alembic import command  # noqa: PLC0415 - needed by few starts, and it takes memory

        await self._run(connection, lambda config: command.upgrade(config, revision))

    async def downgrade(self, connection: AsyncConnection, revision: str) -> None:
        """Undo the scripts down to `revision` (`base` undoes all), inside the connection's transaction."""
        from alembic import command  # noqa: PLC0415 - as above

        await self._run(connection, lambda config: command.downgrade(config, revision))

    async def _run(self, connection: AsyncConnection, action: Callable[["Config"], None]) -> None:
        from alembic.util import CommandError  # noqa: PLC0415 - as above

        before = await self.current(connection)
        config = self._config()

        def act(sync: Connection) -> None:
            config.attributes.update(connection=sync, version_table=self.version_table)
            action(config)

        try:
            await connection.run_sync(act)
        except CommandError as error:
            raise UnknownRevisionError(str(error)) from error
        log.info("migrated", service=self.name, before=before, after=await self.current(connection))

    async def differences(self, connection: AsyncConnection, metadata: MetaData) -> list[Any]:
        """Return in what the schema differs from `metadata`, in Alembic's words; tables of others are left out.

        Args:
            connection: A database to which the scripts were applied.
            metadata: What the code works with.
        """
        from alembic.autogenerate import compare_metadata  # noqa: PLC0415 - for tests
        from alembic.runtime.migration import MigrationContext  # noqa: PLC0415 - for tests

        def compare(sync: Connection) -> list[Any]:
            def ours(name: str | None, kind: str, parents: Any) -> bool:
                table = name if kind == "table" else parents.get("table_name")
                return kind == "schema" or table in metadata.tables

            context = MigrationContext.configure(sync, opts={"include_name": ours, "compare_type": True})
            return list(compare_metadata(context, metadata))

        return await connection.run_sync(compare)

    def _folder(self) -> Path:
        spec = importlib.util.find_spec(self.package)
        assert spec is not None
        assert spec.origin is not None
        return Path(spec.origin).parent / "migrations"

    def _config(self) -> "Config":
        from alembic.config import Config  # noqa: PLC0415 - as above

        config = Config()
        # A percent sign in a path would be taken for a reference.
        config.set_main_option("script_location", str(self._folder()).replace("%", "%%"))
        config.set_main_option("path_separator", "os")
        return config

    def _scripts(self) -> "ScriptDirectory":
        from alembic.script import ScriptDirectory  # noqa: PLC0415 - as above

        return ScriptDirectory.from_config(self._config())


async def lock_schema(connection: AsyncConnection) -> None:
    """Let nobody else change the schema until the end of the transaction.

    SQLite needs nothing: its transactions have the write lock from their beginning.
    """
    if connection.dialect.name == "postgresql":
        await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SCHEMA_LOCK})


def run_scripts() -> None:
    """Run the scripts that Alembic has chosen; a service's `migrations/env.py` calls it."""
    from alembic import context  # noqa: PLC0415 - exists while Alembic runs

    attributes = context.config.attributes
    context.configure(connection=attributes["connection"], version_table=attributes["version_table"])
    with context.begin_transaction():
        context.run_migrations()
