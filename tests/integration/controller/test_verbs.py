"""`kubectl serin` on a running operator: each verb does it, says what became of it, and has an exit code."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.cluster.places import REPOSITORY, from_environment
from tests.integration.controller.process import (
    TRAFFIC,
    Cluster,
    experiment,
    exporter,
    kubelet,
    operator,
    repeated,
    shop,
    sizes,
    until,
)
from tests.integration.metrics.process import prometheus

Serin = Callable[..., "Answer"]


@dataclass(frozen=True)
class Answer:
    """What a verb printed, and its exit code."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Iterator[str]:
    """A Prometheus that measures a healthy shop, on a cluster whose pods get ready, under an operator."""
    port, serve = exporter()
    with contextlib.ExitStack() as stack:
        stack.enter_context(repeated(serve))
        stack.enter_context(repeated(kubelet(cluster)))
        running = stack.enter_context(operator(cluster, "verbs"))
        yield stack.enter_context(prometheus(tmp_path_factory.mktemp("tsdb"), TRAFFIC.format(port=port)))
        assert "Traceback" not in running.log.read_text()


@pytest.fixture
def serin(cluster: Cluster) -> Serin:
    """Runs the plugin as the administrator."""
    env = {
        **os.environ,
        "PATH": f"{from_environment().bin}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(REPOSITORY / "operator"),
        "KUBECONFIG": str(cluster.admin),
    }

    def run(*words: str) -> Answer:
        command = [sys.executable, "-m", "serin.cli.main", *words]
        done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=180, check=False)
        assert "Traceback" not in done.stderr
        return Answer(done.returncode, done.stdout, done.stderr)

    return run


def test_nobody_answers(cluster: Cluster, serin: Serin) -> None:
    """Where no operator runs (the first test: none is started yet), the verb says so in its time, with exit code 4."""
    cluster.kubectl("apply", "-f", "-", given=experiment("alone", "alone", "alone-next"))
    answer = serin("retry", "alone", "--timeout", "2")
    assert answer.code == 4
    assert "Serin did not do it within 2 s" in answer.err
    assert "kubectl -n serin-system get pods,lease" in answer.err
    cluster.kubectl("delete", "canaryexperiment", "alone", "--timeout=10s")


def test_verbs_over_a_life(cluster: Cluster, address: str, serin: Serin) -> None:
    """Pause, resume, approve, retry and abort, each waited for; what makes no sense is refused with a sentence."""
    shop(cluster, "verbs")
    stages = [{"name": "half", "weight": 50, "duration": "10s"}]
    body = experiment(
        "verbs",
        "verbs",
        "verbs-next",
        stages=stages,
        promotion={"approval": "Manual", "bake": "5s"},
        analysis={"interval": "5s", "minRequests": 20},
        prometheus={"address": address},
    )
    cluster.kubectl("apply", "-f", "-", given=body)

    def phase() -> str:
        return str(cluster.status("verbs").get("phase"))

    until(lambda: phase() == "Progressing", f"a stage: {cluster.status('verbs')}", 90)
    paused = serin("pause", "verbs")
    assert (paused.code, paused.out.partition(":")[0]) == (0, "Paused"), paused
    assert serin("resume", "verbs").code == 0
    again = serin("resume", "verbs")
    assert (again.code, again.err.strip()) == (2, "verbs: spec.paused is false, so it is not paused")
    until(lambda: cluster.status("verbs").get("reason") == "WaitingForApproval", "waits for approval", 120)
    wrong = serin("approve", "verbs", "--stage", "quarter")
    assert wrong.code == 2
    assert "write --stage half" in wrong.err
    quiet = serin("approve", "verbs", "--srm")
    assert quiet.code == 2, quiet
    assert "no split waits for a person (Holding: " in quiet.err
    approved = serin("approve", "verbs")
    assert approved.code == 0, approved
    until(lambda: phase() == "Succeeded", "promoted", 120)
    first = cluster.status("verbs")["runId"]
    over = serin("pause", "verbs")
    assert over.code == 2
    assert "it is Succeeded and does not move on" in over.err
    retried = serin("retry", "verbs")
    assert retried.code == 0, retried
    assert cluster.status("verbs")["runId"] != first
    until(lambda: cluster.status("verbs").get("weight") == 50, "a stage again", 90)
    aborted = serin("abort", "verbs")
    assert aborted.code == 0, aborted
    assert aborted.out.startswith("RolledBack: Rolled back at ")
    assert sizes(cluster, "verbs") == (2, 0)
    retried = serin("retry", "verbs")
    assert retried.code == 0, retried
    assert "spec.abort was true: it is false now" in retried.out
    assert serin("retry", "verbs", "--no-wait").out.strip() == "verbs is changed"


def test_unknown_experiment(cluster: Cluster, serin: Serin) -> None:
    """What the cluster refuses is said in its own words, with exit code 1."""
    del cluster
    answer = serin("abort", "nobody")
    assert answer.code == 1
    assert "not found" in answer.err
