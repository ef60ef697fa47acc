"""Runs a service with tracemalloc on; SIGUSR2 makes it write a snapshot. Started by the memory bench.

    python -X tracemalloc=1 -m tests.bench.services.traced SERVICE FOLDER

The snapshot is taken by a fork of the process that serves: it has the same blocks, and neither the time nor the memory
that a snapshot takes is the service's.
"""

import gc
import os
import runpy
import signal
import sys
import tracemalloc
from pathlib import Path


def main() -> None:
    """Serve, and write FOLDER/<number>.snapshot at each signal."""
    service, folder = sys.argv[1], Path(sys.argv[2])
    snapshots(folder)
    sys.argv = [f"serin_{service}"]
    runpy.run_module(f"serin_{service}", run_name="__main__", alter_sys=True)


def snapshots(folder: Path) -> None:
    """Write `folder`/<number>.snapshot at each SIGUSR2 from now on."""
    number = 0

    def write(_signal: int, _frame: object) -> None:
        nonlocal number
        number += 1
        if os.fork():
            return
        try:
            gc.collect()
            snapshot = tracemalloc.take_snapshot()
            # Written beside its name first: whoever waits for the file must not find half of it.
            unfinished = folder / f"{number}.unfinished"
            snapshot.dump(str(unfinished))
            unfinished.replace(folder / f"{number}.snapshot")
        finally:
            # Nothing of the service's own end: its sockets and connections belong to the parent.
            os._exit(0)

    signal.signal(signal.SIGUSR2, write)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # Nobody waits for the forks.


if __name__ == "__main__":
    main()
