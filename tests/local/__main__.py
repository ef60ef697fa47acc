"""`make services`: starts both services on SQLite, says how to call them, and ends both with Ctrl-C.

The data stays in build/services between two runs; deleting the folder begins anew. What is printed are the lines of the
README, so that there is one place where they can be wrong, and a test runs them as they are.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.services.processes import ROOT, environment, run_command, wait_until_ready

SERVICES = {"recommendation": 8001, "conversation": 8002}
FOLDER = ROOT / "build" / "services"
_BLOCK = re.compile(r"^```[a-z]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def curl_lines() -> str:
    """Return the block of the README that calls both services."""
    blocks: list[str] = _BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    return next(block for block in blocks if f"localhost:{SERVICES['recommendation']}" in block)


class Local:
    """Both services as processes.

    Args:
        folder: Their database, models and logs.
        ports: A port for each service.
        engine: `phase3` or `phase4`, for both.
        say: Told what goes on.
    """

    def __init__(self, folder: Path, ports: dict[str, int], engine: str, say: Callable[[str], None] = print) -> None:
        self._folder = folder
        self._ports = ports
        self._engine = engine
        self._say = say
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Bring the schema up, fill an empty database, and start both.

        Raises:
            RuntimeError: A command or a service failed; its text has the end of the log.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        settings = {
            "database_url": f"sqlite+aiosqlite:///{self._folder / 'serin.db'}",
            "engine": self._engine,
            "recommendation_url": f"http://127.0.0.1:{self._ports['recommendation']}",
        }
        for service in self._ports:
            for command in ("migrate", "seed"):
                self._say(f"python -m serin_{service} {command}")
                run_command(service, [command], self._folder, **settings)
        for service, port in self._ports.items():
            variables = environment(service, {**settings, "port": str(port)})
            with self._log(service).open("wb") as log:
                self.processes[service] = subprocess.Popen(
                    [sys.executable, "-m", f"serin_{service}"],
                    cwd=self._folder,
                    env=variables,
                    stdout=log,
                    stderr=log,
                    # Ctrl-C is for this program; it ends the services in order.
                    start_new_session=True,
                )
        for service, port in self._ports.items():
            wait_until_ready(self.processes[service], f"http://127.0.0.1:{port}", 60, self._log(service))
            self._say(f"{service} is ready on http://localhost:{port}, its log is {self._log(service)}")

    def _log(self, service: str) -> Path:
        return self._folder / f"{service}.log"

    def ended(self) -> str | None:
        """Return the name of a service that has ended, or None."""
        return next((name for name, process in self.processes.items() if process.poll() is not None), None)

    def stop(self) -> None:
        """End both at once: nobody else uses them."""
        for process in self.processes.values():
            for _ in range(2):  # The second signal leaves the drain out.
                process.send_signal(signal.SIGTERM)
                time.sleep(0.1)
        for process in self.processes.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def main() -> int:
    """Run until told to stop; exit code 1 when a service can't run."""
    parser = argparse.ArgumentParser(
        prog="make services", description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    for service, port in SERVICES.items():
        parser.add_argument(f"--{service}-port", type=int, default=port, help=f"port of the {service} service")
    parser.add_argument("--engine", choices=("phase3", "phase4"), default="phase4", help="engine of both")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="database, models and logs")
    options = parser.parse_args()
    ports = {service: getattr(options, f"{service}_port") for service in SERVICES}
    local = Local(options.folder.absolute(), ports, options.engine, lambda text: print(text, flush=True))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        local.start()
        lines = curl_lines()
        for service, port in SERVICES.items():
            lines = lines.replace(f"localhost:{port}", f"localhost:{ports[service]}")
        print(f"\n{lines}\nCtrl-C ends both.", flush=True)
        while (name := local.ended()) is None:
            time.sleep(0.2)
        print(f"error: {name} has ended; its log is in {options.folder}", file=sys.stderr)
    except KeyboardInterrupt:
        print()
        return 0
    except RuntimeError as error:
        print(f"error: {error}", file=sys.stderr)
    finally:
        local.stop()
    return 1


if __name__ == "__main__":
    os.chdir(ROOT)
    raise SystemExit(main())
