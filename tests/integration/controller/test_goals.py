"""Goals on a real API server, with users whose sums a real Prometheus scrapes: from the spec to the promotion."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, Gauge, start_http_server

from serin.api.names import API_VERSION, APPROVE, PLURAL
from serin.cli.main import main
from serin.kube.client import Kube
from tests.integration.controller.mortal import Cemetery, Life
from tests.integration.controller.process import repeated
from tests.integration.controller.scene import Scene
from tests.integration.metrics.process import BINARIES, prometheus
from tests.ports import free_port

_SECONDS = 400.0
_LABELS = ("namespace", "service", "goal", "variant", "segment")
_CONFIG = """
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: pods
    honor_labels: true
    static_configs: [{{targets: ["127.0.0.1:{traffic}", "127.0.0.1:{users}"]}}]
"""


class Users:
    """What the services export of their users: more of them twice a second, normal values with a deviation of 1."""

    def __init__(self) -> None:
        registry, self.port = CollectorRegistry(), free_port()
        names = ("serin_goal_users", "serin_goal_sum", "serin_goal_sum_of_squares")
        self._gauges = [Gauge(name, "Of users.", _LABELS, registry=registry) for name in names]
        self._age = Gauge("serin_goals_age_seconds", "Age.", ("namespace", "service"), registry=registry)
        self._random = np.random.default_rng(1)
        self._sums: dict[tuple[str, ...], np.ndarray[Any, Any]] = {}
        self.effects: dict[str, float] = {}
        """The canary's mean minus control's, by namespace."""
        self._lock = threading.Lock()
        self._server, self._thread = start_http_server(self.port, "127.0.0.1", registry)

    def arrive(self) -> None:
        """Forty more users of each variant."""
        with self._lock:
            for namespace, effect in list(self.effects.items()):
                self._age.labels(namespace, "shop").set(1)
                for variant, mean in (("control", 3.0), ("canary", 3.0 + effect)):
                    values = self._random.normal(mean, 1.0, 40)
                    key = namespace, "shop", "satisfaction", variant, "new"
                    sums = self._sums.setdefault(key, np.zeros(3))
                    sums += (40, values.sum(), (values**2).sum())
                    for gauge, value in zip(self._gauges, sums, strict=True):
                        gauge.labels(*key).set(value)

    def stop(self) -> None:
        """Nothing is exported any more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture(scope="module")
def users(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Users, str]]:
    """Users beside the requests of the scene, and the address of a Prometheus that scrapes both."""
    made, home = Users(), Path(tmp_path_factory.mktemp("goals"))
    config = _CONFIG.format(traffic=scene.traffic.port, users=made.port)
    try:
        with prometheus(home / "tsdb", config) as address, repeated(made.arrive, 0.5):
            yield made, address
    finally:
        made.stop()


def experiment(scene: Scene, users: tuple[Users, str], effect: float | None, **goal: Any) -> str:
    """Prepare an experiment with a goal, whose users differ by `effect` (None: nobody exports any); its namespace."""
    namespace = scene.prepare()
    if effect is not None:
        users[0].effects[namespace] = effect
    wanted = {
        "goals": [{"name": "satisfaction", "minimumEffect": 0.3, **goal}],
        "stages": [{"name": "half", "weight": 50, "duration": "10s", "minSamples": 200}],
        "prometheus": {"address": users[1]},
    }
    scene.admin.patch(API_VERSION, PLURAL, namespace, "try", {"spec": wanted})
    return namespace


async def run(scene: Scene, namespace: str, *ends: str) -> dict[str, Any]:
    """Runs the operator until the phase or the reason is one of `ends`; the status."""

    def over(obj: dict[str, Any] | None) -> bool:
        status = (obj or {}).get("status", {})
        return bool({status.get("phase"), status.get("reason")} & set(ends))

    with ThreadPoolExecutor(8) as executor:
        found = await Cemetery(scene.admin, scene.lease, executor).run(namespace, Life(), over, _SECONDS)
    assert found is not None
    status: dict[str, Any] = found["status"]
    return status


async def test_no_harm_is_promoted(scene: Scene, users: tuple[Users, str]) -> None:
    """Accepted, judged on the users of the stage, promoted; status has the goal as the API server keeps it."""
    namespace = experiment(scene, users, 0.1)
    status = await run(scene, namespace, "Succeeded", "RolledBack")
    assert status["phase"] == "Succeeded", status["message"]
    goal = status["goals"][0]
    assert goal["verdict"] in {"NonInferior", "Superior"}
    assert goal["looks"] == "1 of 1"
    assert min(goal["controlUsers"], goal["canaryUsers"]) >= 200
    assert goal["segments"].startswith("exploratory: new ")
    assert status["samples"]["need"] == 200


async def test_harm_is_rolled_back(scene: Scene, users: tuple[Users, str]) -> None:
    """Users who are less content roll the canary back, with the numbers in the message."""
    namespace = experiment(scene, users, -0.8)
    status = await run(scene, namespace, "Succeeded", "RolledBack")
    assert status["phase"] == "RolledBack"
    assert "goal satisfaction is worse: canary 2." in status["message"]


@pytest.mark.timeout(1500)
async def test_an_open_question_waits_for_a_person(
    scene: Scene, users: tuple[Users, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A gain was asked for that is not there: held, until a person says so for this run and these goals."""
    monkeypatch.setenv("PATH", f"{BINARIES}{os.pathsep}{os.environ['PATH']}")
    namespace = experiment(scene, users, 0.0, promoteOn="Superior")
    verb = ["approve", "try", "--goals", "--no-wait", "-n", namespace, "--kubeconfig", str(scene.plane.kubeconfig)]
    assert main(verb) == 2
    assert "no goal waits for a person" in capsys.readouterr().err
    status = await run(scene, namespace, "GoalsInconclusive", "Succeeded", "RolledBack")
    assert (status["phase"], status["reason"]) == ("Holding", "GoalsInconclusive")
    approve(scene.admin, namespace, f"half/{status['runId']}")
    assert (await run(scene, namespace, "GoalsInconclusive", "Succeeded"))["phase"] == "Holding"
    assert main(verb) == 0
    assert (await run(scene, namespace, "Succeeded", "RolledBack"))["phase"] == "Succeeded"


def approve(admin: Kube, namespace: str, what: str) -> None:
    """Write an approval as Git would."""
    admin.patch(API_VERSION, PLURAL, namespace, "try", {"metadata": {"annotations": {APPROVE: what}}})


async def test_a_goal_that_nobody_exports_is_refused(scene: Scene, users: tuple[Users, str]) -> None:
    """Before any traffic moves, with what to write instead."""
    status = await run(scene, experiment(scene, users, None), "NoGoalSeries", "Progressing")
    assert (status["phase"], status["reason"]) == ("Pending", "NoGoalSeries")
    assert "or write count, sum and sumOfSquares" in status["message"]
