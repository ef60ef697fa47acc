"""Kopf's part: two watches that put objects into the store and wake their experiments.

`kopf.on.event` alone: it writes nothing into the objects. Kopf's other handlers keep their progress in annotations and
finalizers of the objects, which GitOps tools see as drift and which cost writes for every change.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import kopf

from serin.api.names import GROUP, PLURAL, VERSION
from serin.controller.scheduler import Scheduler
from serin.controller.store import Objects, Store, key_of
from serin.kube.client import PAGE

_SETTLING: Final = 0.3
"""A rollout changes its Deployment's status many times a second; one look serves a burst of them."""


_IDLE: Final = 0.1
"""Seconds for which a worker of Kopf's waits for more of an object. The usual ones are long enough to hold all objects
of a list at once."""


class _NoDifferences(kopf.DiffBaseStorage):
    """Kopf copies each object to see what changed in it, for handlers that there are none of here."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        """Nothing of the object."""
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        """Nothing was stored."""
        return None

    def store(self, **_: Any) -> None:
        """Stores nothing."""


def configured(settings: kopf.OperatorSettings) -> None:
    """What Kopf does and keeps, so that thousands of objects cost little memory."""
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.watching.chunk_size = PAGE
    settings.networking.request_timeout = 15
    settings.persistence.diffbase_storage = _NoDifferences()
    # Each object that a list brings has a worker, which keeps the object until it ends.
    settings.queueing.idle_timeout = _IDLE


def registry(store: Store, scheduler: Scheduler) -> kopf.OperatorRegistry:
    """The handlers, bound to one store and one scheduler."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.startup(registry=handlers)
    async def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
        configured(settings)

    @kopf.on.login(registry=handlers)
    async def login(**arguments: Any) -> Any:
        # A registry of one's own has no default login.
        return await asyncio.to_thread(kopf.login_via_client, **arguments)

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=handlers)
    async def experiment(event: Any, **_: Any) -> None:
        obj, news = _take(store.experiments, event)
        if news:
            # Somebody else's change: an abort, a deletion, another spec.
            scheduler.wake(key_of(obj), urgent=True)

    @kopf.on.event("apps", "v1", "deployments", registry=handlers)
    async def deployment(event: Any, **_: Any) -> None:
        obj, news = _take(store.deployments, event)
        for key in store.interested(key_of(obj)) if news else ():
            scheduler.wake(key, _SETTLING)

    return handlers


def _take(objects: Objects, event: Any) -> tuple[Mapping[str, Any], bool]:
    """The object, and whether it is news: the echo of our own write wakes nobody."""
    found: Mapping[str, Any] = event["object"]
    if event["type"] == "DELETED":
        objects.remove(found)
        return found, True
    return found, objects.put(found)
