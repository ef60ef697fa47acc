"""The operator is killed before and after every single write of a rollout; the end is always the undisturbed one's.

In the manner of Sieve: a reference run is recorded on a real API server, then one run for each write and each side of
it. Many of them run at once, each in a namespace of its own. A usual run tries some of them, evenly spread, and prints
how many; `CRASH_POINTS=1000` tries all.
"""

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server

from serin.api.names import API_VERSION, PLURAL
from serin.kube.client import Kube
from serin.kube.errors import KubeError
from serin.kube.lease import LeaderLease
from tests.integration.cluster_plane import Plane, control_plane
from tests.integration.controller.mortal import Cemetery, Life, state
from tests.integration.controller.process import TRAFFIC
from tests.integration.metrics.process import free_port, prometheus

_SECONDS = 400.0
_AT_ONCE = 24
_POINTS = int(os.environ.get("CRASH_POINTS", "12"))
Experiment = dict[str, Any] | None


class Traffic:
    """A healthy shop in any number of namespaces."""

    def __init__(self) -> None:
        registry, labels, self.port = CollectorRegistry(), ("namespace", "service", "variant"), free_port()
        self._requests = Counter("http_requests_total", "Requests.", (*labels, "code"), registry=registry)
        self._latency = Histogram(
            "http_request_duration_seconds", "Latency.", labels, registry=registry, buckets=(0.15, 1.0)
        )
        self.namespaces: set[str] = set()
        self._server, self._thread = start_http_server(self.port, "127.0.0.1", registry)

    def serve(self) -> None:
        """Some requests of both variants."""
        for namespace in list(self.namespaces):
            for variant in ("control", "canary"):
                self._requests.labels(namespace, "shop", variant, "200").inc(20)
                for _ in range(20):
                    self._latency.labels(namespace, "shop", variant).observe(0.05)

    def stop(self) -> None:
        """Nothing is exported any more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def kubelet(kube: Kube) -> None:
    """Mark every pod that waits as ready."""
    ready = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}
    waiting = kube._call("GET", "/api/v1/pods", "pods", query=[("fieldSelector", "status.phase=Pending")])
    for pod in waiting["items"]:
        meta = pod["metadata"]
        with contextlib.suppress(KubeError):
            kube.patch("v1", "pods", meta["namespace"], meta["name"], ready, subresource="status")


@contextlib.contextmanager
def _repeated(work: Callable[[], object], every: float) -> Iterator[None]:
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(every):
            with contextlib.suppress(KubeError):
                work()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(10)


@dataclass
class Scene:
    """Where the rollouts are."""

    plane: Plane
    admin: Kube
    address: str
    traffic: Traffic
    lease: LeaderLease
    serial: int = field(default=0)

    def prepare(self) -> str:
        """A namespace with a shop, and an experiment whose canary Serin makes; its name."""
        self.serial += 1
        namespace = f"crash-{self.serial}"
        self.admin.create("v1", "namespaces", None, {"metadata": {"name": namespace}})
        labels = {"app": "shop"}
        pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "shop:1"}]}}
        spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": pod}
        body: dict[str, Any] = {"metadata": {"name": "shop"}, "spec": spec}
        self.admin.create("apps/v1", "deployments", namespace, body)
        service = {"metadata": {"name": "shop"}, "spec": {"selector": labels, "ports": [{"port": 80}]}}
        self.admin.create("v1", "services", namespace, service)
        patch = {"spec": {"containers": [{"name": "main", "image": "shop:2"}]}}
        wanted = {
            "services": [{"name": "shop", "control": {"deployment": "shop"}, "canary": {"patch": patch}}],
            "stages": [{"name": "half", "weight": 50, "duration": "5s"}],
            "promotion": {"bake": "5s"},
            "analysis": {"interval": "5s", "minRequests": 20},
            "prometheus": {"address": self.address},
        }
        kind = {"apiVersion": API_VERSION, "kind": "CanaryExperiment", "metadata": {"name": "try"}, "spec": wanted}
        self.admin.create(API_VERSION, PLURAL, namespace, kind)
        self.traffic.namespaces.add(namespace)
        return namespace


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A control plane, pods that get ready, traffic and its Prometheus."""
    home = tmp_path_factory.mktemp("crashes")
    with contextlib.ExitStack() as stack:
        plane = stack.enter_context(control_plane(home))
        admin, traffic = plane.connect(), Traffic()
        stack.callback(admin.close)
        stack.callback(traffic.stop)
        admin.create("v1", "namespaces", None, {"metadata": {"name": "serin-system"}})
        lease = LeaderLease(admin, "serin-system", "serin", "mortal")
        assert lease.acquire()
        stack.enter_context(_repeated(lease.acquire, 2.0))
        stack.enter_context(_repeated(traffic.serve, 0.5))
        stack.enter_context(_repeated(lambda: kubelet(admin), 0.3))
        config = TRAFFIC.format(port=traffic.port)
        address = stack.enter_context(prometheus(Path(home) / "tsdb", config))
        yield Scene(plane, admin, address, traffic, lease)


Meddle = Callable[[Scene, str, dict[str, Any]], None]


def _nothing(scene: Scene, namespace: str, obj: dict[str, Any]) -> None:
    del scene, namespace, obj


def _abort_in_the_bake(scene: Scene, namespace: str, obj: dict[str, Any]) -> None:
    if obj.get("status", {}).get("phase") == "Baking" and not obj["spec"].get("abort"):
        scene.admin.patch(API_VERSION, PLURAL, namespace, "try", {"spec": {"abort": True}})


def _delete_in_the_stage(scene: Scene, namespace: str, obj: dict[str, Any]) -> None:
    counted = obj.get("status", {}).get("countedUntil")
    if counted and "deletionTimestamp" not in obj["metadata"]:
        scene.admin.delete(API_VERSION, PLURAL, namespace, "try")


@pytest.mark.timeout(1500)
@pytest.mark.parametrize(
    ("meddle", "phase", "image"),
    [
        (_nothing, "Succeeded", "shop:2"),
        (_abort_in_the_bake, "RolledBack", "shop:1"),
        (_delete_in_the_stage, "gone", "shop:1"),
    ],
    ids=["promoted", "aborted in the bake", "deleted in a stage"],
)
async def test_a_crash_at_every_write(scene: Scene, meddle: Meddle, phase: str, image: str) -> None:
    """Killed before and after each write: the same end, and no create, delete, scale or template twice."""

    def watching(namespace: str) -> Callable[[Experiment], bool]:
        def over(obj: Experiment) -> bool:
            if obj is None:
                return True
            meddle(scene, namespace, obj)
            ended = obj.get("status", {}).get("phase") in {"Succeeded", "RolledBack", "Failed"}
            return ended and not obj["metadata"].get("finalizers")

        return over

    with ThreadPoolExecutor(_AT_ONCE) as executor:
        graveyard, free = Cemetery(scene.admin, scene.lease, executor), asyncio.Semaphore(_AT_ONCE)

        async def run(life: Life) -> tuple[Life, dict[str, Any]]:
            async with free:
                namespace = await asyncio.to_thread(scene.prepare)
                await graveyard.run(namespace, life, watching(namespace), _SECONDS)
                scene.traffic.namespaces.discard(namespace)
                return life, await asyncio.to_thread(state, scene.admin, namespace)

        begun = time.monotonic()
        reference, end = await run(Life())
        assert end["phase"] == phase
        assert end["shop"] == (2, image)
        assert "shop-canary" not in end
        assert end["kept"] == 0
        points = [(number, when) for number in range(1, len(reference.writes) + 1) for when in ("before", "after")]
        points = points[:: max(1, len(points) // _POINTS)]
        trials = await asyncio.gather(*(run(Life(number, when)) for number, when in points))  # type: ignore[arg-type]
    died = sum(life.died for life, _ in trials)
    wrong = [
        f"killed {life.when} write {life.dies_at} ({life.writes[life.dies_at - 1]}): {found},"
        f" more: {life.effects - reference.effects}, less: {reference.effects - life.effects}"
        for life, found in trials
        if found != end or life.effects != reference.effects
    ]
    print(
        f"{phase}: {len(reference.writes)} writes, {len(points)} points tried, {died} died,"
        f" {len(wrong)} ended otherwise; {time.monotonic() - begun:.0f} s"
    )
    assert not wrong, "\n".join(wrong)
    assert died >= len(points) * 0.8, "too few operators died where they should"
