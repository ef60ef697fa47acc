"""The commands of a service: `python -m serin_<service> serve|migrate|...`, the same way for both."""

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.exc import DBAPIError
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from serin_services import logs
from serin_services.database import patient_transaction
from serin_services.migrations import Migrations, UnknownRevisionError, lock_schema
from serin_services.settings import DatabaseSettings

_WAIT_SECONDS = 120.0
"""How long a migration waits for a database that starts at the same time."""
_MIGRATE_USAGE = "usage: migrate [up [REVISION] | down REVISION | show]   (down base undoes everything)"


@dataclass(frozen=True, slots=True)
class Command:
    """One command: what it does with its arguments (it returns the exit code), and a line of help."""

    run: Callable[[list[str]], int]
    help: str


def run_cli(service: str, commands: Mapping[str, Command], arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name; without any, the first one.

    Args:
        service: Name of the service.
        commands: Commands by name; the first is the default.
        arguments: Command line; that of the process when not given.

    Returns:
        The exit code; 2 for a command that there is not.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    name = given.pop(0) if given else next(iter(commands))
    if name in commands:
        return commands[name].run(given)
    lines = [f"usage: python -m serin_{service} COMMAND", *(f"  {key:<10} {it.help}" for key, it in commands.items())]
    asked = name in {"-h", "--help", "help"}
    print("\n".join(lines), file=sys.stdout if asked else sys.stderr)
    return 0 if asked else 2


def migrate_command(migrations: Migrations, settings: DatabaseSettings, arguments: Sequence[str]) -> int:
    """Run `migrate`: bring the schema to a revision, or say which one it has.

    Returns:
        0; 1 when the database can't be reached; 2 for a wrong command line.
    """
    match list(arguments):
        case [] | ["up"]:
            action, revision = "up", "head"
        case ["up" | "down" as action, revision]:
            pass
        case ["show"]:
            action, revision = "show", ""
        case _:
            print(_MIGRATE_USAGE, file=sys.stderr)  # noqa: T201 - a command prints
            return 2
    logs.configure("info")
    try:
        current = asyncio.run(_migrate(migrations, settings, action, revision))
    except (OSError, DBAPIError) as error:
        print(f"error: the database can't be migrated: {error}", file=sys.stderr)  # noqa: T201 - a command prints
        return 1
    except UnknownRevisionError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - a command prints
        return 2
    print(f"{migrations.name}: the schema is at {current or 'nothing'}; this release needs {migrations.head}")  # noqa: T201
    return 0


async def _migrate(migrations: Migrations, settings: DatabaseSettings, action: str, revision: str) -> str | None:
    async def attempt() -> str | None:
        async with patient_transaction(settings, f"{migrations.name} migrate") as connection:
            await lock_schema(connection)
            if action == "up":
                await migrations.upgrade(connection, revision)
            elif action == "down":
                await migrations.downgrade(connection, revision)
            return await migrations.current(connection)

    retrying = AsyncRetrying(
        # Only "nobody answers yet": a script that fails would fail again.
        retry=retry_if_exception_type(OSError),
        stop=stop_after_delay(_WAIT_SECONDS),
        wait=wait_random_exponential(multiplier=0.5, max=5),
        reraise=True,
    )
    return await retrying(attempt)
