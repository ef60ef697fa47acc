"""An operator whose hours pass in seconds: its clock goes on by itself to when the next look is due.

All its parts but the watches and the process are the real ones, and so is what they ask: the API server, and a
Prometheus that has the hours from a file (`measured`).
"""

import asyncio
import heapq
import json
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

from serin.api.names import API_VERSION, PLURAL
from serin.controller.act import Actor
from serin.controller.observe import Observer
from serin.controller.reconcile import Reconciler
from serin.controller.store import Key, Store, key_of
from serin.kube.client import Kube
from serin.kube.deployments import APPS, Deployments
from serin.kube.errors import KubeError
from serin.metrics.source import MetricsSource
from serin.traffic.router import Routers
from tests.integration.controller.mortal import Life, replace
from tests.integration.controller.scene import Scene

TIMEOUT: Final = 0.4
"""Seconds that the operator waits for Prometheus."""


class Clock:
    """The operator's time: it stands still until it is moved."""

    def __init__(self, start: float) -> None:
        self.now = start

    def time(self) -> float:
        """Unix seconds."""
        return self.now

    def monotonic(self) -> float:
        """Seconds that only go forward."""
        return self.now


class Counting(Kube):
    """A client that counts the effects of its writes by namespace."""

    def __init__(self, kube: Kube) -> None:
        super().__init__(kube._api)
        self.lives: defaultdict[str, Life] = defaultdict(Life)

    def _call(self, method: str, path: str, plural: str, **rest: Any) -> dict[str, Any]:
        answer = super()._call(method, path, plural, **rest)
        if method != "GET":
            namespace = path.partition("/namespaces/")[2].partition("/")[0]
            self.lives[namespace].effect(method, plural, path, json.loads(json.dumps(rest.get("body"))))
        return answer


@dataclass
class Hours:
    """One operator over all experiments, whose hours pass in seconds.

    Attributes:
        scene: Where they are.
        clock: What the operator takes for the time.
        start: Its first moment.
    """

    scene: Scene
    clock: Clock
    start: float
    due: dict[Key, float] = field(default_factory=dict)
    versions: dict[Key, str] = field(default_factory=dict)

    async def run(self, kube: Kube, until: float, happens: list[tuple[float, Any]]) -> None:
        """Looks until `until` seconds have passed; each of `happens` is done at its time."""
        with ThreadPoolExecutor(16) as executor:
            store, source = Store(), MetricsSource(timeout=TIMEOUT)
            deployments, router = Deployments(kube), Routers(kube)
            observer = Observer(store, deployments, router, source, executor)
            actor = Actor(kube, deployments, router)
            looks = Reconciler(kube, store, observer, actor, self.scene.lease, executor, "hours")
            heapq.heapify(happens)
            while self.clock.now - self.start < until:
                while happens and happens[0][0] <= self.clock.now - self.start:
                    await asyncio.to_thread(heapq.heappop(happens)[1])
                await asyncio.get_running_loop().run_in_executor(executor, self._list, store)
                await self._turns(looks)
                await self._go_on(min((at for at, _ in happens), default=until))
            source.close()

    def _list(self, store: Store) -> None:
        for objects, what in ((store.deployments, (APPS, "deployments")), (store.experiments, (API_VERSION, PLURAL))):
            found = self.scene.admin.list(*what)
            replace(objects, found)
            for obj in found:
                key, version = key_of(obj), obj["metadata"]["resourceVersion"]
                if self.versions.get(key) != version:  # as a watch would wake it
                    self.versions[key] = version
                    for each in store.interested(key) if objects is store.deployments else (key,):
                        self.due[each] = min(self.due.get(each, self.clock.now), self.clock.now)

    async def _turns(self, looks: Reconciler) -> None:
        now = [key for key, at in self.due.items() if at <= self.clock.now]

        async def turn(key: Key) -> None:
            try:
                after = await looks.reconcile(key)
            except KubeError:  # as the scheduler does
                after = 1.0
            if after is None:
                self.due.pop(key, None)
            else:
                self.due[key] = self.clock.now + after

        await asyncio.gather(*(turn(key) for key in now))

    async def _go_on(self, event: float) -> None:
        """To the next moment at which something is due; where pods are waited for, with time for them to come."""
        ahead = max(0.0, min([*self.due.values(), self.start + event, self.clock.now + 15.0]) - self.clock.now)
        if ahead < 5.0:
            await asyncio.sleep(0.15)
        self.clock.now += max(ahead, 0.05)
