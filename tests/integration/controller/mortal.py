"""An operator that dies at a chosen write, in one process with many others, each in a namespace of its own.

The parts are the operator's own, against a real API server and a real Prometheus. A death is an exception that nothing
catches: what was in memory is gone, and another operator begins with what the API server says.
"""

import asyncio
import contextlib
import json
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from serin.api.names import API_VERSION, PLURAL
from serin.controller.act import Actor
from serin.controller.observe import Observer
from serin.controller.reconcile import Reconciler
from serin.controller.store import Key, Objects, Store
from serin.kube.client import Kube
from serin.kube.deployments import APPS, Deployments
from serin.kube.errors import KubeError, NotFound, Unavailable
from serin.kube.lease import LeaderLease
from serin.metrics.source import MetricsSource
from serin.traffic.router import Routers

When = Literal["before", "after"]
Lists = tuple[list[dict[str, Any]], list[dict[str, Any]]]
"""Deployments and experiments of a namespace."""
T = TypeVar("T")


class Killed(BaseException):
    """SIGKILL: nothing in the operator may catch it."""


@dataclass
class Life:
    """The writes of all operators of one namespace, and where one of them dies.

    Args:
        dies_at: number of the write, from 1; 0: never.
        when: before the write is sent, or after it has had its effect.
        behind: how many turns old the lists are that operators get; their own writes they do know.
        fails: share of the calls that end with `error`: reads and writes before their effect, or writes after it.
        error: what a call that fails ends with.
        pace: seconds between two turns at the most.
    """

    dies_at: int = 0
    when: When = "before"
    behind: int = 0
    fails: float = 0.0
    error: KubeError = field(default_factory=lambda: Unavailable("the API server answered 503", 503))
    pace: float = 0.5
    calls: int = 0
    chance: random.Random = field(default_factory=lambda: random.Random(1))
    writes: list[str] = field(default_factory=list)
    effects: Counter[str] = field(default_factory=Counter)
    died: bool = False

    def effect(self, method: str, plural: str, path: str, body: Any) -> None:
        """Counts what a write that succeeded has changed; statuses and Events may differ from run to run."""
        name = path.rpartition("/")[2]
        if plural == "controllerrevisions":
            name = "kept"  # its real name has the run's id
        elif method == "POST":
            name = body["metadata"]["name"]
        if method in {"POST", "DELETE"} and plural != "events":
            self.effects[f"{method} {plural} {name}"] += 1
        if plural == "deployments" and method == "PATCH":
            for change in body:
                if change["op"] == "add":
                    what = f"={change['value']}" if change["path"].endswith("replicas") else ""
                    self.effects[f"{name} {change['path']}{what}"] += 1
        if plural == PLURAL and not path.endswith("/status"):
            self.effects[f"finalizers {len(body['metadata']['finalizers'])}"] += 1


class Mortal(Kube):
    """An API client that dies.

    Args:
        kube: whose connections it uses.
        life: told about every write.
    """

    def __init__(self, kube: Kube, life: Life) -> None:
        super().__init__(kube._api)
        self._life, self._lock, self._dead = life, threading.Lock(), False

    def _call(self, method: str, path: str, plural: str, **rest: Any) -> dict[str, Any]:
        if self._dead:
            raise Killed
        life = self._life
        life.calls += 1
        fails = life.chance.random() < life.fails
        if method == "GET":
            if fails:
                raise life.error
            return super()._call(method, path, plural, **rest)
        with self._lock:
            late = fails and life.chance.random() < 0.5
            if fails and not late:
                raise life.error
            life.writes.append(f"{method} {path}")
            dies = len(life.writes) == life.dies_at
            if dies and life.when == "before":
                self._die()
            answer = super()._call(method, path, plural, **rest)
            life.effect(method, plural, path, json.loads(json.dumps(rest.get("body"))))
            if dies:
                self._die()
            if late:
                raise life.error
            return answer

    def _die(self) -> None:
        self._dead = self._life.died = True
        raise Killed


@dataclass
class Cemetery:
    """What the operators of all namespaces share.

    Args:
        admin: the administrator's client.
        lease: a Lease that is held.
        executor: for calls that block.
    """

    admin: Kube
    lease: LeaderLease
    executor: ThreadPoolExecutor

    async def run(
        self, namespace: str, life: Life, over: Callable[[dict[str, Any] | None], bool], seconds: float
    ) -> dict[str, Any] | None:
        """Operators, one after the other as they die, until `over` says so of the experiment; the experiment."""
        lists: deque[Lists] = deque(maxlen=life.behind + 1)
        async with asyncio.timeout(seconds):
            while True:
                source = MetricsSource()
                try:
                    return await self._live(lists, namespace, life, over, source)
                except Killed:
                    continue
                finally:
                    source.close()

    async def _live(
        self,
        lists: deque[Lists],
        namespace: str,
        life: Life,
        over: Callable[[dict[str, Any] | None], bool],
        source: MetricsSource,
    ) -> dict[str, Any] | None:
        kube, store, key = Mortal(self.admin, life), Store(), Key(namespace, "try")
        deployments, router = Deployments(kube), Routers(kube)
        observer = Observer(store, deployments, router, source, self.executor)
        actor = Actor(kube, deployments, router)
        reconciler = Reconciler(kube, store, observer, actor, self.lease, self.executor, "mortal")
        while True:
            try:
                lists.append(await asyncio.get_running_loop().run_in_executor(self.executor, self._list, namespace))
            except KubeError:  # a busy machine; operators list again too
                await asyncio.sleep(1.0)
                continue
            # The oldest that is kept: an API server's cache, or a watch, that lags behind. It outlives the operator.
            replace(store.deployments, lists[0][0])
            replace(store.experiments, lists[0][1])
            if over(next(iter(lists[-1][1]), None)):
                return next(iter(lists[-1][1]), None)
            try:
                after = await reconciler.reconcile(key)
            except KubeError:  # as the scheduler does: a turn that fails is tried again
                after = 0.5
            await asyncio.sleep(min(after if after is not None else life.pace, life.pace))

    def _list(self, namespace: str) -> Lists:
        return self.admin.list(APPS, "deployments", namespace), self.admin.list(API_VERSION, PLURAL, namespace)


def replace(objects: Objects, found: list[dict[str, Any]]) -> None:
    """Make `objects` what a list has found."""
    present = {obj["metadata"]["uid"] for obj in found}
    for obj in list(objects):
        if obj["metadata"]["uid"] not in present:
            objects.remove(obj)
    for obj in found:
        objects.put(obj)


def patiently(work: Callable[[], T]) -> T:
    """What `work` gives; again when a busy API server did not answer in time."""
    for _ in range(10):
        with contextlib.suppress(Unavailable):
            return work()
        time.sleep(1.0)
    return work()


def state(admin: Kube, namespace: str) -> dict[str, Any]:
    """What is left at the end: sizes and images of Deployments, kept templates, and where the experiment is."""
    found: dict[str, Any] = {
        each["metadata"]["name"]: (each["spec"]["replicas"], each["spec"]["template"]["spec"]["containers"][0]["image"])
        for each in admin.list(APPS, "deployments", namespace)
    }
    found["kept"] = len(admin.list(APPS, "controllerrevisions", namespace))
    try:
        obj = admin.get(API_VERSION, PLURAL, namespace, "try")
    except NotFound:
        return {**found, "phase": "gone"}
    status = obj["status"]
    numbers = status["weight"], [each["weight"] for each in status["services"]]
    return {**found, "phase": status["phase"], "weights": numbers, "finalizers": obj["metadata"].get("finalizers", [])}
