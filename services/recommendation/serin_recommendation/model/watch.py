"""Which version a process serves: the current one of its folder, or the last one that was good.

A new version comes in without a restart. A broken one changes nothing but a metric, a line in the log and a sentence
in health: an engine with yesterday's model is worth more than none.
"""

import asyncio
import time
from pathlib import Path
from typing import Any, Final, Protocol

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from serin_recommendation.model.arrays import Model
from serin_recommendation.model.store import CURRENT, ModelError, load, newest, versions

POLL_SECONDS: Final = 5.0

log = structlog.get_logger("model")


class ModelSource(Protocol):
    """Gives an engine the model to answer with."""

    @property
    def model(self) -> Model:
        """The version to answer with; ask again for each request."""

    @property
    def age(self) -> float:
        """Seconds since it was trained."""


class ModelWatch:
    """The model of this process.

    Exports `serin_model_made_timestamp_seconds`, `serin_model_refused` (1 while the folder's current version is broken)
    and `serin_model_loads_total{result}`.

    Args:
        folder: The folder of all versions.
        registry: Where the series go.

    Raises:
        ModelError: There is no version that can be served.
    """

    def __init__(self, folder: Path, registry: CollectorRegistry) -> None:
        self._folder = folder
        self._loads = Counter("serin_model_loads_total", "Versions that were read.", ("result",), registry=registry)
        for result in ("loaded", "refused"):
            self._loads.labels(result)
        self._made = Gauge("serin_model_made_timestamp_seconds", "When the model was trained.", registry=registry)
        self._broken = Gauge(
            "serin_model_refused", "1 while the current version is refused and an older one serves.", registry=registry
        )
        self._refused: str | None = None
        self._seen: tuple[int, int] | None = None
        self._loaded_at = time.time()
        self._model = self._first()
        self._made.set(self._model.made_at)

    @property
    def model(self) -> Model:
        """The version to answer with; ask again for each request."""
        return self._model

    @property
    def age(self) -> float:
        """Seconds since it was trained."""
        return max(0.0, time.time() - self._model.made_at)

    def status(self) -> dict[str, Any]:
        """Return what health shows."""
        return {
            "version": self._model.version,
            "items": len(self._model.items),
            "loaded_seconds_ago": round(time.time() - self._loaded_at, 1),
            "refused": self._refused,
        }

    async def refresh(self) -> None:
        """Take over a new version, if there is one; the work is done beside the event loop."""
        await asyncio.to_thread(self.refresh_now)

    def refresh_now(self) -> None:
        """Take over a new version, if there is one; one look at a file when there is not."""
        stamp = self._stamp()
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            version = newest(self._folder)
            if version is None or version == self._model.version:
                self._accept(self._model)
                return
            self._accept(load(self._folder, version))
        except ModelError as error:
            self._refuse(error)
            return
        self._loads.labels("loaded").inc()
        self._loaded_at = time.time()
        log.info("a new model serves", version=version)

    def _first(self) -> Model:
        self._seen = self._stamp()
        try:
            current = newest(self._folder)
        except ModelError as error:
            self._refuse(error)
            current = None
        for version in dict.fromkeys([*([current] if current else []), *versions(self._folder)]):
            try:
                model = load(self._folder, version)
            except ModelError as error:
                self._refuse(error)
                continue
            self._loads.labels("loaded").inc()
            return model
        raise ModelError(self._refused or f"there is no model in {self._folder}: make one with the command train")

    def _accept(self, model: Model) -> None:
        # One assignment: a request that has begun keeps the version that it took.
        self._model = model
        self._refused = None
        self._broken.set(0)
        self._made.set(model.made_at)

    def _refuse(self, error: ModelError) -> None:
        self._refused = str(error)
        self._broken.set(1)
        self._loads.labels("refused").inc()
        log.error("a model was refused", reason=str(error))

    def _stamp(self) -> tuple[int, int] | None:
        try:
            found = (self._folder / CURRENT).stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino


class FixedModel:
    """A model that never changes, for evaluation and for tests of an engine.

    Args:
        model: The model.
    """

    def __init__(self, model: Model) -> None:
        self.model = model

    @property
    def age(self) -> float:
        """Seconds since it was trained."""
        return max(0.0, time.time() - self.model.made_at)
