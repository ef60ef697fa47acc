"""Faults of the API server and of the operator's own process, under three experiments that are on their way.

The operator is the real process with its manifest's rights; it reaches the real API server through a proxy that
misbehaves. Nothing is scaled but the lengths: with FAULTS=whole the API server is gone for two minutes and the operator
is stopped for ten, else each for forty seconds. That is as long as it takes for what depends on the length: the Lease
(15 s) runs out, every call's time limit (10 s) and every connection ends, more looks than a stage has (5 s each) are
missed. What is longer only adds looks that are made up for, as the hour without Prometheus shows.
"""

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from tests.integration.controller.judging import judged, whole, wrong_end
from tests.integration.controller.ledger import show
from tests.integration.controller.process import Cluster, cluster_of
from tests.integration.controller.scene import Scene
from tests.integration.controller.trial import Trial
from tests.integration.proxy import Fault, hangs, passes, refuses, watches_expire

_WHOLE: Final = os.environ.get("FAULTS", "") == "whole"
_AT_ONCE: Final = int(os.environ.get("FAULTS_AT_ONCE", "7"))
_SHORT: Final = 40.0
_GONE, _STOPPED = (120.0, 600.0) if _WHOLE else (_SHORT, _SHORT)
_HOUR: Final = 3600.0

Act = Callable[[Trial], None]


@pytest.fixture(scope="module")
def place(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """The scene for processes."""
    return cluster_of(scene.plane, tmp_path_factory.mktemp("faults"))


def answered(fault: Fault, *, dropped: bool = False) -> Act:
    """The leader's API server misbehaves from now on; open streams end first when `dropped`."""

    def strike(trial: Trial) -> None:
        trial.leader.proxy.fault = fault
        if dropped:
            trial.leader.proxy.drop()

    return strike


def _well(trial: Trial) -> None:
    trial.leader.proxy.fault = passes


def _gone(trial: Trial) -> None:
    trial.leader.proxy.vanish()


def _back(trial: Trial) -> None:
    trial.leader.proxy.come_back()


def _signalled(number: signal.Signals) -> Act:
    return lambda trial: trial.leader.now.process.send_signal(number)


def _stepped(seconds: float) -> Act:
    return lambda trial: _clock(trial.cluster, trial.name).write_text(f"{seconds}") and None


def _clock(cluster: Cluster, name: str) -> Path:
    return cluster.logs / f"clock of {name}"


def _nothing(trial: Trial) -> None:
    del trial


def trials(scene: Scene, cluster: Cluster) -> list[Trial]:
    """Every fault; the first is none, which the others are compared with."""
    stop, go_on = _signalled(signal.SIGSTOP), _signalled(signal.SIGCONT)
    lease = hangs(only="/leases/")
    made = [
        Trial("none", scene, cluster, 0.0, _nothing, _nothing),
        Trial("operator stopped", scene, cluster, _STOPPED, stop, go_on),
        Trial("API server gone", scene, cluster, _GONE, _gone, _back),
        Trial("leader stopped, another leads", scene, cluster, _SHORT, stop, go_on, operators=2),
        Trial("leader partitioned, another leads", scene, cluster, _SHORT, _gone, _back, operators=2),
        Trial("leader's Lease unanswered", scene, cluster, _SHORT, answered(lease), _well, operators=2),
        Trial("409", scene, cluster, _SHORT, answered(refuses(409, 0.3, "Conflict", writes=True)), _well),
        Trial("429", scene, cluster, _SHORT, answered(refuses(429, 0.3, "TooManyRequests")), _well),
        Trial("500", scene, cluster, _SHORT, answered(refuses(500, 0.3, "InternalError")), _well),
        Trial("503", scene, cluster, _SHORT, answered(refuses(503, 0.3, "ServiceUnavailable")), _well),
        Trial("timeouts", scene, cluster, _SHORT, answered(hangs(0.2)), _well),
        Trial("watches 410", scene, cluster, _SHORT, answered(watches_expire, dropped=True), _well),
    ]
    for name, seconds in (("clock an hour ahead", _HOUR), ("clock an hour behind", -_HOUR)):
        file = _clock(cluster, name)
        file.write_text("0")
        program = ("-m", "tests.integration.controller.stepped", str(file))
        made.append(Trial(name, scene, cluster, _SHORT, _stepped(seconds), _stepped(0.0), program=program))
    return made


@pytest.mark.timeout(1800)
def test_faults_of_the_api_server_and_of_the_process(scene: Scene, place: Cluster) -> None:
    """No healthy one goes back, none goes forward unmeasured, nothing is done twice, and all end as without it."""
    begun, found = time.monotonic(), trials(scene, place)
    with ThreadPoolExecutor(_AT_ONCE) as executor:
        for each in [executor.submit(trial.run) for trial in found]:
            each.result()
    assert whole(found[0])
    rows = [judged(trial, found[0]) for trial in found[1:]]
    show(f"Faults of the API server and of the operator: {time.monotonic() - begun:.0f} s", rows)
    wrong = [each for row in rows for each in row.wrong] + [each for trial in found for each in wrong_end(trial)]
    assert not wrong, "\n".join(wrong)
