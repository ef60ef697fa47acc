"""The services as processes of their own, and a PostgreSQL server."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Start = Callable[..., tuple[subprocess.Popen[bytes], str]]
ROOT = Path(__file__).parents[3]


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def wait_until_ready(process: subprocess.Popen[bytes], url: str, seconds: float = 30.0) -> None:
    """Wait for readiness, or fail when the process ends first."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the service ended with {process.returncode}"
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/readyz", timeout=1):  # noqa: S310
            return
        time.sleep(0.05)
    pytest.fail(f"{url} was not ready within {seconds:g} s")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a service as `python -m` does in its image, and wait until it is ready."""
    processes: list[subprocess.Popen[bytes]] = []

    def launch(service: str, *, wait: bool = True, **settings: str) -> tuple[subprocess.Popen[bytes], str]:
        port = free_port()
        path = os.pathsep.join(str(ROOT / "services" / part) for part in ("common", service))
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": path,
            "SERIN_PORT": str(port),
            **{f"SERIN_{name.upper()}": value for name, value in settings.items()},
        }
        process = subprocess.Popen([sys.executable, "-m", f"serin_{service}"], cwd=tmp_path, env=environment)
        processes.append(process)
        url = f"http://127.0.0.1:{port}"
        if wait:
            wait_until_ready(process, url)
        return process, url

    yield launch
    for process in processes:
        process.kill()
        process.wait()


class Postgres:
    """A PostgreSQL server of its own on a free port."""

    def __init__(self, folder: Path) -> None:
        [newest, *_] = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
        self._programs = newest
        self._folder = folder
        self.port = free_port()
        self.url = self.url_of("postgres")
        self._run("initdb", "-D", str(folder / "data"), "-A", "trust", "-U", "serin", "--no-sync")

    @classmethod
    @contextlib.contextmanager
    def running(cls) -> Iterator["Postgres"]:
        """Run a server as long as the block runs; the test is skipped where there is no PostgreSQL."""
        if not list(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
            pytest.skip("needs PostgreSQL: apt-get install postgresql")
        # Not pytest's folder: only root may enter that one, and the server runs as another user.
        folder = Path(tempfile.mkdtemp(prefix="serin-postgres-"))
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        server = cls(folder)
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
        options = f"-p {self.port} -k {self._folder} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=200"
        log = str(self._folder / "log")
        self._run("pg_ctl", "-D", str(self._folder / "data"), "-o", options, "-l", log, "-w", "start")

    def stop(self) -> None:
        """Stop the server as a crash does, its connections too; what was committed is there after the next start."""
        self._run("pg_ctl", "-D", str(self._folder / "data"), "-m", "immediate", "-w", "stop")

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


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    """Run a PostgreSQL server that the test may stop."""
    with Postgres.running() as server:
        yield server


@pytest.fixture(scope="session")
def shared_postgres() -> Iterator[Postgres]:
    """Run one PostgreSQL server for all tests that leave it alone."""
    with Postgres.running() as server:
        yield server


@pytest.fixture
def postgres_url(shared_postgres: Postgres) -> str:
    """Give the address of an empty PostgreSQL database."""
    return shared_postgres.make_database()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give the address of an empty database, once of each kind."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'serin.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url
