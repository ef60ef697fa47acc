"""The commands of the conversation service."""

import asyncio
from typing import Final

from serin_conversation.main import ConversationSettings, create_app
from serin_conversation.schema import MIGRATIONS, SERVICE
from serin_conversation.seed import seed_command
from serin_services.cli import Command, migrate_command, run_cli
from serin_services.serve import serve
from serin_services.settings import DatabaseSettings


def _serve(_arguments: list[str]) -> int:
    settings = ConversationSettings()
    serve(create_app(settings), settings)
    return 0


COMMANDS: Final = {
    "serve": Command(_serve, "answer requests until told to stop (default)"),
    "migrate": Command(
        lambda arguments: migrate_command(MIGRATIONS, DatabaseSettings(), arguments), "make or change the tables"
    ),
    "seed": Command(
        lambda arguments: asyncio.run(seed_command(DatabaseSettings(), arguments)), "write synthetic conversations"
    ),
}


def main(arguments: list[str] | None = None) -> int:
    """Run the command that the arguments name, and return the exit code."""
    return run_cli(SERVICE, COMMANDS, arguments)
