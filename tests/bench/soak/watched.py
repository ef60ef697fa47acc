"""The operator with a window: started by the soak as `python -X tracemalloc=1 -m tests.bench.soak.watched FOLDER`.

It is `serin.controller` and nothing else, but SIGUSR2 makes it write a snapshot of its memory, and every few seconds it
writes how many asyncio tasks there are: nobody can see either from outside.
"""

import asyncio
import sys
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import uvloop

from serin.controller import main as controller
from tests.bench.services.traced import snapshots

_EVERY = 5.0


def main() -> int:
    """Run the operator; its exit code."""
    folder = Path(sys.argv[1])
    snapshots(folder)
    run = uvloop.run

    def counted(program: Coroutine[Any, Any, int]) -> int:
        return run(_counting(program, folder / "tasks"))

    uvloop.run = counted
    return controller.main()


async def _counting(program: Coroutine[Any, Any, int], file: Path) -> int:
    loop = asyncio.get_running_loop()

    def count() -> None:
        while True:
            file.write_text(str(len(asyncio.all_tasks(loop))))
            time.sleep(_EVERY)

    threading.Thread(target=count, daemon=True).start()
    return await program


if __name__ == "__main__":
    sys.exit(main())
