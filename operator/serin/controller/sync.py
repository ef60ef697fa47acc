"""Lists what the watches follow: once before the first look, then now and then.

A look between two watches that start (experiments known, Deployments not yet) would take a running Deployment for a
missing one. And kopf does not tell what was deleted while a watch was interrupted: only a list shows that.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import structlog

from serin.api.names import API_VERSION, PLURAL
from serin.controller.scheduler import Scheduler
from serin.controller.store import Key, Objects, Store, key_of
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
        register: told about every experiment after the first list, before any of them is looked at; it says whose looks
            are asked for together.
    """

    kube: Kube
    store: Store
    scheduler: Scheduler
    namespace: str
    register: Callable[[dict[str, Any]], float] = lambda _: 0.0
    done: bool = False

    async def once(self) -> None:
        """Lists everything; retries until the API server has answered.

        Deployments come first, so that no experiment is looked at without them.
        """
        concerned: set[Key] = set()
        while True:
            try:
                concerned |= await self._list(self.store.deployments, APPS, "deployments")
                concerned |= await self._list(self.store.experiments, API_VERSION, PLURAL)
            except KubeError as error:
                _log.warning("can't list, trying again", error=str(error))
                await asyncio.sleep(_RETRY)
                continue
            break
        slots: dict[Key, float] = {}
        if not self.done:
            self.done = True
            slots = {key_of(experiment): self.register(experiment) for experiment in self.store.experiments}
        # Whoever has not changed is not looked at: a thousand looks at once would make all others late. After a start
        # those who share queries come together, while the answers are kept.
        for key in sorted(concerned, key=lambda each: slots.get(each, 0.0)):
            self.scheduler.wake(key)

    async def forever(self) -> None:
        """Lists again every ten minutes."""
        while True:
            await asyncio.sleep(_EVERY)
            await self.once()

    async def _list(self, objects: Objects, api_version: str, plural: str) -> set[Key]:
        """The experiments that something new concerns."""
        # What a watch brings while the list is under way is not in `before`, and so never taken for deleted.
        before = objects.uids()
        present: set[str] = set()
        keys: set[Key] = set()
        pages = self.kube.pages(api_version, plural, self.namespace or None)
        while (page := await asyncio.to_thread(next, pages, None)) is not None:
            present |= {obj["metadata"]["uid"] for obj in page}
            keys |= {key_of(obj) for obj in page if objects.put(obj)}
        for key, uid in before.items():
            if uid not in present:
                objects.forget(key, uid)
                keys.add(key)
        if objects is self.store.experiments:
            return keys
        return {experiment for key in keys for experiment in self.store.interested(key)}
