"""Both services on one PostgreSQL, filled and trained, ready for a load."""

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from tests.bench.services.processes import Cost, Postgres, Running, cost, run_command, service_running

Engine = Literal["phase3", "phase4"]
ENGINES: tuple[Engine, ...] = ("phase3", "phase4")
VARIANTS: dict[Engine, str] = {"phase3": "control", "phase4": "canary"}


@dataclass(frozen=True, slots=True)
class Place:
    """A database with data, and a folder with models.

    Attributes:
        postgres: The server.
        url: Address of the database.
        folder: Models, and the services' working directory.
    """

    postgres: Postgres
    url: str
    folder: Path

    def settings(self, engine: Engine) -> dict[str, str]:
        """Return the settings of a service that runs `engine` here."""
        return {
            "engine": engine,
            "variant": VARIANTS[engine],
            "database_url": self.url,
            "model_dir": str(self.folder / "models"),
        }

    @contextlib.contextmanager
    def services(self, engine: Engine) -> Iterator[tuple[Running, Running]]:
        """Run both services with one engine."""
        settings = self.settings(engine)
        with service_running("recommendation", self.folder, **settings) as recommendation:
            settings["recommendation_url"] = recommendation.url
            with service_running("conversation", self.folder, **settings) as conversation:
                yield recommendation, conversation


@contextlib.contextmanager
def made() -> Iterator[Place]:
    """Make a place: a server that writes to the disk, both schemas, the synthetic data set, and a model of it."""
    with Postgres.running(safe=True) as postgres, tempfile.TemporaryDirectory(prefix="serin-bench-") as folder:
        place = Place(postgres, postgres.make_database(), Path(folder))
        for service in ("recommendation", "conversation"):
            for command in ("migrate", "seed"):
                run_command(service, [command], place.folder, database_url=place.url)
        run_command("recommendation", ["train"], place.folder, **place.settings("phase4"))
        yield place


@dataclass(frozen=True, slots=True)
class Meter:
    """What every process has used until some moment.

    Attributes:
        services: Each service by its name.
        postgres: The server with its children.
        generator: This process.
        busy: Seconds of CPU of everything that runs on the machine.
    """

    services: dict[str, Cost]
    postgres: Cost
    generator: Cost
    busy: float

    @classmethod
    def read(cls, place: Place, services: tuple[Running, ...]) -> "Meter":
        """Read the processes' use until now."""
        return cls(
            {running.service: cost(running.process) for running in services},
            cost(place.postgres.process(), family=True),
            cost(psutil.Process()),
            _busy(),
        )


def _busy() -> float:
    times = psutil.cpu_times()
    return float(sum(times[:8]) - times.idle - times.iowait)
