"""The services as processes of their own, and a PostgreSQL server."""

import contextlib
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from serin_recommendation.synthetic import synthetic
from serin_recommendation.training.train import train
from tests.bench.services.processes import NoPostgresError, Postgres
from tests.ports import free_port

Start = Callable[..., tuple[subprocess.Popen[bytes], str]]
ROOT = Path(__file__).parents[3]


def wait_until_ready(process: subprocess.Popen[bytes], url: str, seconds: float = 120.0) -> None:
    """Wait for readiness, or fail when the process ends first."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the service ended with {process.returncode}"
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/readyz", timeout=1):  # noqa: S310
            return
        time.sleep(0.05)
    pytest.fail(f"{url} was not ready within {seconds:g} s")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a recommendation model on the synthetic data, once: the image has one too."""
    folder = tmp_path_factory.mktemp("models")
    train(synthetic(), folder)
    return folder


@pytest.fixture
def start(tmp_path: Path, models: Path) -> Iterator[Start]:
    """Start a service as `python -m` does in its image, and wait until it is ready."""
    processes: list[subprocess.Popen[bytes]] = []

    def launch(service: str, *, wait: bool = True, **settings: str) -> tuple[subprocess.Popen[bytes], str]:
        port = free_port()
        path = os.pathsep.join(str(ROOT / "services" / part) for part in ("common", service))
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": path,
            "SERIN_PORT": str(port),
            "SERIN_MODEL_DIR": str(models),
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


def _server() -> Iterator[Postgres]:
    try:
        with Postgres.running() as server:
            yield server
    except NoPostgresError as error:
        pytest.skip(str(error))


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    """Run a PostgreSQL server that the test may stop."""
    yield from _server()


@pytest.fixture(scope="session")
def shared_postgres() -> Iterator[Postgres]:
    """Run one PostgreSQL server for all tests that leave it alone."""
    yield from _server()


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
