"""PostgreSQL and the services as processes, started as their images start them, and what they cost.

Whatever is started here ends with the block that started it; ports are free ones, addresses loopback.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.ports import free_port

ROOT = Path(__file__).parents[3]
PROGRAMS = Path("/usr/lib/postgresql")


class NoPostgresError(Exception):
    """There is no PostgreSQL on this machine."""

    def __init__(self) -> None:
        super().__init__("needs PostgreSQL: apt-get install postgresql")


class Postgres:
    """A PostgreSQL server of its own on a free port.

    Args:
        folder: Where its data is; must belong to the user that runs it.
        safe: Write to the disk before a commit is acknowledged, as in production. Tests of crashes of the process
            don't need it: what is in the operating system's cache survives those.
    """

    def __init__(self, folder: Path, *, safe: bool = False) -> None:
        [newest, *_] = sorted(PROGRAMS.glob("*/bin"), reverse=True)
        self._programs = newest
        self._folder = folder
        self._fsync = "on" if safe else "off"
        self.port = free_port()
        self.url = self.url_of("postgres")
        self._run("initdb", "-D", str(folder / "data"), "-A", "trust", "-U", "serin", "--no-sync")

    @classmethod
    @contextlib.contextmanager
    def running(cls, *, safe: bool = False) -> Iterator["Postgres"]:
        """Run a server as long as the block runs.

        Raises:
            NoPostgresError: It is not installed.
        """
        if not list(PROGRAMS.glob("*/bin/initdb")):
            raise NoPostgresError
        # Not a folder that only root may enter: the server runs as another user.
        folder = Path(tempfile.mkdtemp(prefix="serin-postgres-"))
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        server = cls(folder, safe=safe)
        server.start()
        try:
            yield server
        finally:
            with contextlib.suppress(subprocess.CalledProcessError):
                server.stop()
            shutil.rmtree(folder)

    def url_of(self, database: str) -> str:
        """Return the address of one of its databases."""
        return f"postgresql+asyncpg://serin@127.0.0.1:{self.port}/{database}"

    def make_database(self) -> str:
        """Make an empty database and return its address."""
        name = f"test_{uuid.uuid4().hex}"
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "serin", name)
        return self.url_of(name)

    def start(self) -> None:
        """Start the server and wait for it."""
        settings = {"listen_addresses": "127.0.0.1", "fsync": self._fsync, "max_connections": "200"}
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        log = str(self._folder / "log")
        options = f"-p {self.port} -k {self._folder} {options}"
        self._run("pg_ctl", "-D", str(self._folder / "data"), "-o", options, "-l", log, "-w", "start")

    def stop(self) -> None:
        """Stop the server as a crash does, its connections too; what was committed is there after the next start."""
        self._run("pg_ctl", "-D", str(self._folder / "data"), "-m", "immediate", "-w", "stop")

    def process(self) -> psutil.Process:
        """Return the server's main process."""
        return psutil.Process(int((self._folder / "data" / "postmaster.pid").read_text().split()[0]))

    def _run(self, program: str, *arguments: str) -> None:
        # PostgreSQL refuses to run as root.
        user = {"user": "postgres"} if os.geteuid() == 0 else {}
        subprocess.run(
            [str(self._programs / program), *arguments],
            check=True,
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            **user,  # type: ignore[call-overload]
        )


@dataclass(frozen=True, slots=True)
class Running:
    """A service that runs."""

    service: str
    url: str
    process: psutil.Process


def environment(service: str, settings: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a service's process: its settings, and the threads that its image has."""
    path = os.pathsep.join(str(ROOT / part) for part in ("services/common", f"services/{service}", "."))
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": path,
        "OPENBLAS_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",
        **{f"SERIN_{name.upper()}": value for name, value in settings.items()},
    }


@contextlib.contextmanager
def service_running(
    service: str, folder: Path, *, command: Sequence[str] = (), wait: float = 120.0, **settings: str
) -> Iterator[Running]:
    """Run a service as long as the block runs; its log is in `folder`.

    Args:
        service: `recommendation` or `conversation`.
        folder: Its working directory.
        command: Program and arguments instead of `python -m serin_<service>`.
        wait: Seconds within which it must be ready.
        settings: Its settings, as in `engine="phase4"`.

    Raises:
        RuntimeError: It ended, or was not ready in time.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    log = folder / f"{service}-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command or [sys.executable, "-m", f"serin_{service}"],
            cwd=folder,
            env=environment(service, {"log_level": "warning", **settings, "port": str(port)}),
            stdout=output,
            stderr=output,
        )
    try:
        wait_until_ready(process, url, wait, log)
        yield Running(service, url, psutil.Process(process.pid))
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_ready(process: subprocess.Popen[bytes], url: str, seconds: float, log: Path) -> None:
    """Wait until a service is ready.

    Raises:
        RuntimeError: It ended, or was not ready in time; its text has the end of the log.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"a service ended with {process.returncode}:\n{log.read_text()[-2000:]}")
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/readyz", timeout=1):  # noqa: S310
            return
        time.sleep(0.05)
    raise RuntimeError(f"a service was not ready within {seconds:g} s:\n{log.read_text()[-2000:]}")


def run_command(service: str, arguments: Sequence[str], folder: Path, **settings: str) -> str:
    """Run a command of a service to its end, as in `python -m serin_recommendation migrate`, and return its output.

    Raises:
        RuntimeError: It failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", f"serin_{service}", *arguments],
        cwd=folder,
        env=environment(service, settings),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{service} {' '.join(arguments)} failed:\n{done.stdout[-1000:]}{done.stderr[-2000:]}")
    return done.stdout


@dataclass(frozen=True, slots=True)
class Cost:
    """What processes used.

    Attributes:
        cpu: Seconds of CPU.
        rss: Resident bytes.
    """

    cpu: float
    rss: int


def cost(process: psutil.Process, *, family: bool = False) -> Cost:
    """Return what a process has used until now, with its children (also those that ended) if asked."""
    members = [process]
    if family:
        with contextlib.suppress(psutil.NoSuchProcess):
            members += process.children(recursive=True)
    cpu, rss = 0.0, 0
    for member in members:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = member.cpu_times()
            cpu += times.user + times.system
            if family and member is process:
                cpu += times.children_user + times.children_system
            rss += member.memory_info().rss
    return Cost(cpu, rss)
