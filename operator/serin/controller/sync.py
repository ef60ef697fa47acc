"""Lists what the watches follow: once before the first look, then now and then.

A look between two watches that start (experiments known, Deployments not yet) would take a running Deployment for a
missing one. And kopf does not tell what was deleted while a watch was interrupted: only a list shows that.
"""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

import structlog

from serin.api.names import API_VERSION, PLURAL
from serin.controller.scheduler import Scheduler
from serin.controller.store import Objects, Store, key_of
from serin.kube.client import Kube
from serin.kube.deployments import APPS
from serin.kube.errors import KubeError

_EVERY: Final = 600.0
_RETRY: Final = 2.0

_log = structlog.get_logger("serin.sync")


@dataclass(slots=True)
class Sync:
    """Keeps the store complete.

    Args:
        kube: the API client.
        store: what is filled.
        scheduler: told about every experiment after a list.
        namespace: the only one that is watched; empty: all.
    """

    kube: Kube
    store: Store
    scheduler: Scheduler
    namespace: str
    done: bool = False

    async def once(self) -> None:
        """Lists everything; retries until the API server has answered.

        Deployments come first, so that no experiment is looked at without them.
        """
        while True:
            try:
                await self._list(self.store.deployments, APPS, "deployments")
                await self._list(self.store.experiments, API_VERSION, PLURAL)
            except KubeError as error:
                _log.warning("can't list, trying again", error=str(error))
                await asyncio.sleep(_RETRY)
                continue
            break
        self.done = True
        for experiment in self.store.experiments:
            self.scheduler.wake(key_of(experiment))

    async def forever(self) -> None:
        """Lists again every ten minutes."""
        while True:
            await asyncio.sleep(_EVERY)
            await self.once()

    async def _list(self, objects: Objects, api_version: str, plural: str) -> None:
        # What a watch brings while the list is under way is not in `before`, and so never taken for deleted.
        before = list(objects)
        found: list[dict[str, Any]] = await asyncio.to_thread(
            self.kube.list, api_version, plural, self.namespace or None
        )
        present = {obj["metadata"]["uid"] for obj in found}
        for obj in found:
            objects.put(obj)
        for obj in before:
            if obj["metadata"]["uid"] not in present:
                objects.remove(obj)
                if objects is self.store.experiments:
                    self.scheduler.wake(key_of(obj))
