"""The operator as a process against a real API server, with the rights of its manifest and no others.

There are no nodes: what is tested here is what it says, and how it starts and stops.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server

from tests.cluster.places import REPOSITORY, from_environment
from tests.integration.cluster_plane import control_plane
from tests.integration.metrics.process import free_port, prometheus


def until(seen: Callable[[], Any], what: str, seconds: float = 30.0) -> Any:
    """Return the first true answer of `seen`; fail with `what` when there is none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := seen():
            return found
        time.sleep(0.1)
    return pytest.fail(f"not within {seconds:g} s: {what}")


@dataclass
class Cluster:
    """A control plane, and who may ask it."""

    admin: Path
    operator: Path
    logs: Path

    def kubectl(self, *words: str, given: object = None) -> str:
        """Run kubectl as the administrator; its output."""
        command = [str(from_environment().bin / "kubectl"), f"--kubeconfig={self.admin}", *words]
        text = None if given is None else json.dumps(given)
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def status(self, name: str) -> dict[str, Any]:
        """Return the status of an experiment in `default`."""
        found = json.loads(self.kubectl("get", "canaryexperiment", name, "-o", "json"))
        status: dict[str, Any] = found.get("status") or {}
        return status

    def holder(self) -> str:
        """Who holds the operator's Lease; empty when nobody does."""
        words = ("-n", "serin-system", "get", "lease", "serin", "--ignore-not-found", "-o")
        return self.kubectl(*words, "jsonpath={.spec.holderIdentity}")


@contextlib.contextmanager
def _process(log: Path, *command: str, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out, env=env) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A control plane of its own, for an operator acts on whatever it finds; with the manifest's rights."""
    home = tmp_path_factory.mktemp("controller")
    with control_plane(home) as plane:
        config = yaml.safe_load(plane.kubeconfig.read_text())
        for user in config["users"]:
            user["user"] = {"token": plane.operator}
        (home / "operator").touch(mode=0o600)
        (home / "operator").write_text(yaml.safe_dump(config))
        made = Cluster(plane.kubeconfig, home / "operator", home)
        until(lambda: "default" in made.kubectl("get", "namespaces"), "namespace default")
        made.kubectl("create", "namespace", "serin-system")
        made.kubectl("apply", "-f", str(REPOSITORY / "manifests/base/rbac.yaml"))
        yield made


@dataclass
class Operator:
    """A running operator."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of one of its pages; 0 while it does not listen."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, ""
        except OSError:
            return 0, ""

    def leads(self) -> bool:
        """Whether it has the Lease and knows all objects."""
        return self.get("/readyz")[0] == 200 and "serin_leader 1.0" in self.get("/metrics")[1]


@contextlib.contextmanager
def operator(cluster: Cluster, name: str) -> Iterator[Operator]:
    """Run the operator as a process until the context ends."""
    port, log = free_port(), cluster.logs / f"{name}.log"
    env = {
        **{key: value for key, value in os.environ.items() if not key.startswith("KUBERNETES_")},
        "KUBECONFIG": str(cluster.operator),
        "PYTHONPATH": str(REPOSITORY / "operator"),
        "POD_NAME": name,
        "POD_NAMESPACE": "serin-system",
        "SERIN_PORT": str(port),
    }
    with _process(log, sys.executable, "-m", "serin.controller", env=env) as process:
        yield Operator(process, port, log)


def deployment(name: str) -> dict[str, Any]:
    """Return a Deployment of two pods."""
    labels = {"app": "shop", "version": name}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "shop"}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": pod},
    }


def experiment(name: str, control: str, canary: str, **spec: Any) -> dict[str, Any]:
    """Return an experiment with one service."""
    services = [{"name": "shop", "control": {"deployment": control}, "canary": {"deployment": canary}}]
    return {
        "apiVersion": "serin.dev/v1alpha1",
        "kind": "CanaryExperiment",
        "metadata": {"name": name},
        "spec": {"services": services, **spec},
    }


def refused(cluster: Cluster, name: str) -> str:
    """Return the sentence of Accepted=False, once it is there."""

    def seen() -> str:
        conditions = {each["type"]: each for each in cluster.status(name).get("conditions", ())}
        accepted = conditions.get("Accepted", {})
        return str(accepted["message"]) if accepted.get("status") == "False" else ""

    sentence: str = until(seen, f"Accepted=False of {name}: {cluster.status(name)}")
    return sentence


@pytest.fixture(scope="module")
def running(cluster: Cluster) -> Iterator[Operator]:
    """One operator that leads, for the tests that do not stop it."""
    with operator(cluster, "first") as started:
        until(started.leads, f"the operator leads: {started.log.read_text()[-2000:]}")
        yield started
        # Whatever a test provokes is answered, not thrown: the log of the whole module has no traceback.
        assert "Traceback" not in started.log.read_text()


def test_missing_deployment_is_refused_with_a_sentence(cluster: Cluster, running: Operator) -> None:
    """An experiment on a Deployment that is not there says which, and that it can be created or corrected."""
    del running
    cluster.kubectl("apply", "-f", "-", given=experiment("lost", "nobody", "nobody-next"))
    assert "no Deployment nobody in default: create it or correct control.deployment" in refused(cluster, "lost")
    assert cluster.status("lost")["phase"] == "Pending"


def test_no_rights_are_missing(cluster: Cluster, running: Operator) -> None:
    """Two Deployments without a common Service pass every read of the checks; the manifest's rights are enough."""
    for name in ("alone", "alone-next"):
        cluster.kubectl("apply", "-f", "-", given=deployment(name))
    cluster.kubectl("apply", "-f", "-", given=experiment("alone", "alone", "alone-next"))
    assert "no Service in default selects the pods of both" in refused(cluster, "alone")
    assert 'code="403"' not in running.get("/metrics")[1]


def test_second_experiment_on_a_deployment_waits(cluster: Cluster, running: Operator) -> None:
    """Of two experiments on one Deployment, the later one is refused and names the earlier."""
    del running
    cluster.kubectl("apply", "-f", "-", given=experiment("one", "shared", "shared-next"))
    refused(cluster, "one")
    cluster.kubectl("apply", "-f", "-", given=experiment("two", "shared", "other-next"))
    assert "Deployment shared belongs to experiment one" in refused(cluster, "two")


def test_no_annotations_no_finalizer_and_no_idle_writes(cluster: Cluster, running: Operator) -> None:
    """An experiment that waits is not written again and again, and carries nothing of kopf's."""
    del running
    cluster.kubectl("apply", "-f", "-", given=experiment("idle", "absent", "absent-next"))
    refused(cluster, "idle")
    time.sleep(2.0)
    before = json.loads(cluster.kubectl("get", "canaryexperiment", "idle", "-o", "json"))["metadata"]
    time.sleep(12.0)
    after = json.loads(cluster.kubectl("get", "canaryexperiment", "idle", "-o", "json"))["metadata"]
    assert before["resourceVersion"] == after["resourceVersion"]
    assert "finalizers" not in after
    assert set(after["annotations"]) == {"kubectl.kubernetes.io/last-applied-configuration"}


def test_deleted_experiment_is_forgotten(cluster: Cluster, running: Operator) -> None:
    """An experiment that never moved traffic goes at once, and the operator counts it no more."""
    cluster.kubectl("apply", "-f", "-", given=experiment("brief", "gone", "gone-next"))
    refused(cluster, "brief")

    def pending() -> float:
        line = next(x for x in running.get("/metrics")[1].splitlines() if x.startswith('serin_experiments{phase="P'))
        return float(line.split()[1])

    before = pending()
    cluster.kubectl("delete", "canaryexperiment", "brief", "--timeout=10s")
    until(lambda: pending() == before - 1, "one experiment less")


def test_sigterm_hands_the_lease_over(cluster: Cluster, running: Operator) -> None:
    """A leader that is told to stop exits with 0 and releases the Lease, and the one that stood by leads at once."""
    assert cluster.holder() == "first"
    with operator(cluster, "second") as other:
        until(lambda: other.get("/readyz")[0] == 200, "standing by is ready")
        assert "serin_leader 0.0" in other.get("/metrics")[1]
        begun = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(20) == 0, running.log.read_text()[-3000:]
        until(other.leads, "the second one leads", 10)
        # An unreleased Lease would have to run out first, which takes 15 s from its last renewal.
        assert time.monotonic() - begun < 10
        assert cluster.holder() == "second"
        cluster.kubectl("-n", "serin-system", "delete", "lease", "serin")


def test_lost_lease_ends_the_process(cluster: Cluster) -> None:
    """A leader whose Lease somebody else holds stops with a code of its own, so that kubelet starts it again."""
    with operator(cluster, "third") as leader:
        until(leader.leads, "the third one leads", 30)
        taken = {"spec": {"holderIdentity": "thief", "renewTime": "2100-01-01T00:00:00.000000Z"}}
        cluster.kubectl("-n", "serin-system", "patch", "lease", "serin", "--type=merge", "-p", json.dumps(taken))
        assert leader.process.wait(30) == 3, leader.log.read_text()[-2000:]
        assert cluster.holder() == "thief"


TRAFFIC = """
global: {{scrape_interval: 1s}}
scrape_configs:
  - {{job_name: pods, honor_labels: true, static_configs: [{{targets: ["127.0.0.1:{port}"]}}]}}
"""


@contextlib.contextmanager
def repeated(work: Callable[[], object]) -> Iterator[None]:
    """Do `work` several times a second beside the test."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(0.3):
            work()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(10)


def exporter() -> tuple[int, Callable[[], None]]:
    """Start the metrics of a healthy service, both variants; its port, and what adds some requests."""
    registry, labels, port = CollectorRegistry(), ("namespace", "service", "variant"), free_port()
    requests = Counter("http_requests_total", "Requests.", (*labels, "code"), registry=registry)
    latency = Histogram("http_request_duration_seconds", "Latency.", labels, registry=registry, buckets=(0.15, 1.0))
    start_http_server(port, "127.0.0.1", registry)

    def serve() -> None:
        for variant in ("control", "canary"):
            requests.labels("default", "shop", variant, "200").inc(20)
            for _ in range(20):
                latency.labels("default", "shop", variant).observe(0.05)

    return port, serve


def kubelet(cluster: Cluster) -> Callable[[], None]:
    """Return what marks the pods that wait as ready, as a node would."""
    ready = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}

    def mark() -> None:
        for pod in json.loads(cluster.kubectl("get", "pods", "-o", "json"))["items"]:
            if pod["status"].get("phase") == "Pending":
                with contextlib.suppress(AssertionError):
                    words = ("patch", "pod", pod["metadata"]["name"], "--subresource=status", "--type=merge", "-p")
                    cluster.kubectl(*words, json.dumps(ready))

    return mark


def test_a_killed_operator_goes_on_and_an_abort_needs_no_prometheus(cluster: Cluster, tmp_path: Path) -> None:
    """After SIGKILL the same run counts on at its weight; an abort without Prometheus gives control all traffic."""
    cluster.kubectl("-n", "serin-system", "delete", "lease", "serin", "--ignore-not-found")
    for name, role, size in (("life", "control", 2), ("life-next", "canary", 0)):
        made = deployment(name)
        for meta in (made["spec"]["selector"]["matchLabels"], made["spec"]["template"]["metadata"]["labels"]):
            meta.update({"app": "life", "serin.dev/variant": role})
        made["spec"]["replicas"] = size
        cluster.kubectl("apply", "-f", "-", given=made)
    shop = {"metadata": {"name": "life"}, "spec": {"selector": {"app": "life"}, "ports": [{"port": 80}]}}
    cluster.kubectl("apply", "-f", "-", given={"apiVersion": "v1", "kind": "Service", **shop})
    port, serve = exporter()

    def sizes() -> tuple[int, ...]:
        words = ("get", "deployment", "life", "life-next", "-o", "jsonpath={.items[*].spec.replicas}")
        return tuple(map(int, cluster.kubectl(*words).split()))

    with contextlib.ExitStack() as stack:
        stack.enter_context(repeated(serve))
        stack.enter_context(repeated(kubelet(cluster)))
        measured = stack.enter_context(contextlib.ExitStack())
        address = measured.enter_context(prometheus(tmp_path / "data", TRAFFIC.format(port=port)))
        body = experiment(
            "life",
            "life",
            "life-next",
            stages=[{"name": "half", "weight": 50, "duration": "1h"}],
            analysis={"interval": "5s"},
            prometheus={"address": address},
        )
        cluster.kubectl("apply", "-f", "-", given=body)

        def counted() -> str:
            status = cluster.status("life")
            measuring = status.get("phase") == "Progressing" and status.get("checkpoint")
            return str(status["countedUntil"]) if measuring else ""

        with operator(cluster, "same-pod") as killed:
            first = until(counted, f"looks are counted: {killed.log.read_text()[-500:]}", 90)
            run = cluster.status("life")["runId"]
            assert sizes() == (1, 1)
            killed.process.kill()
            killed.process.wait(10)
        with operator(cluster, "same-pod") as again:
            until(lambda: counted() > first, "counting goes on", 90)
            assert cluster.status("life")["runId"] == run
            assert cluster.status("life")["weight"] == 50
            assert sizes() == (1, 1)
            measured.close()
            cluster.kubectl("patch", "cex", "life", "--type=merge", "-p", json.dumps({"spec": {"abort": True}}))
            until(lambda: cluster.status("life")["phase"] == "RolledBack", "rolled back without Prometheus", 60)
            assert sizes() == (2, 0)
            meta = ("get", "cex", "life", "-o", "jsonpath={.metadata.finalizers}")
            until(lambda: cluster.kubectl(*meta) in {"", "[]"}, "nothing is left to restore")
            again.process.send_signal(signal.SIGTERM)
            assert again.process.wait(20) == 0
            assert "Traceback" not in again.log.read_text()
