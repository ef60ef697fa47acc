"""The operator as a process, and what a cluster without nodes lacks: pods that get ready, and measured traffic."""

import contextlib
import json
import os
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
from tests.integration.cluster_plane import Plane
from tests.ports import free_port


def until(seen: Callable[[], Any], what: str, seconds: float = 120.0) -> Any:
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


def operators_config(plane: Plane, path: Path, server: str = "") -> Path:
    """Write a kubeconfig with the operator's account, for the API server or for what stands before it; its path."""
    config = yaml.safe_load(plane.kubeconfig.read_text())
    for user in config["users"]:
        user["user"] = {"token": plane.operator}
    if server:
        config["clusters"][0]["cluster"] = {"server": server}
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(config))
    return path


def cluster_of(plane: Plane, home: Path) -> Cluster:
    """Return a control plane on which an operator may run, with the manifest's rights and no others."""
    made = Cluster(plane.kubeconfig, operators_config(plane, home / "operator"), home)
    until(lambda: "default" in made.kubectl("get", "namespaces"), "namespace default")
    for manifest in ("namespace", "rbac"):
        made.kubectl("apply", "--server-side", "-f", str(REPOSITORY / f"manifests/base/{manifest}.yaml"))
    return made


PROGRAM = ("-m", "serin.controller")


@contextlib.contextmanager
def operator(cluster: Cluster, name: str, *program: str, **settings: str) -> Iterator[Operator]:
    """Run the operator as a process until the context ends.

    Args:
        cluster: where it works.
        name: of its pod.
        program: what Python runs instead of the operator's own entry.
        settings: of its environment, beside the usual ones or instead of them.
    """
    port, log = free_port(), cluster.logs / f"{name}.log"
    env = {
        **{key: value for key, value in os.environ.items() if not key.startswith("KUBERNETES_")},
        "KUBECONFIG": str(cluster.operator),
        "PYTHONPATH": os.pathsep.join((str(REPOSITORY / "operator"), str(REPOSITORY))),
        "POD_NAME": name,
        "POD_NAMESPACE": "serin-system",
        "SERIN_PORT": str(port),
        **settings,
    }
    with _process(log, sys.executable, *(program or PROGRAM), env=env) as process:
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


def shop(cluster: Cluster, name: str, size: int = 2) -> None:
    """Create control `name`, a canary `name`-next without pods, and the Service of both."""
    for each, role, replicas in ((name, "control", size), (f"{name}-next", "canary", 0)):
        made = deployment(each)
        for meta in (made["spec"]["selector"]["matchLabels"], made["spec"]["template"]["metadata"]["labels"]):
            meta.update({"app": name, "serin.dev/variant": role})
        made["spec"]["replicas"] = replicas
        cluster.kubectl("apply", "-f", "-", given=made)
    service = {"metadata": {"name": name}, "spec": {"selector": {"app": name}, "ports": [{"port": 80}]}}
    cluster.kubectl("apply", "-f", "-", given={"apiVersion": "v1", "kind": "Service", **service})


def sizes(cluster: Cluster, name: str) -> tuple[int, ...]:
    """Wanted pods of control `name` and its canary."""
    words = ("get", "deployment", name, f"{name}-next", "-o", "jsonpath={.items[*].spec.replicas}")
    return tuple(map(int, cluster.kubectl(*words).split()))


def refused(cluster: Cluster, name: str) -> str:
    """Return the sentence of Accepted=False, once it is there."""

    def seen() -> str:
        conditions = {each["type"]: each for each in cluster.status(name).get("conditions", ())}
        accepted = conditions.get("Accepted", {})
        return str(accepted["message"]) if accepted.get("status") == "False" else ""

    sentence: str = until(seen, f"Accepted=False of {name}: {cluster.status(name)}")
    return sentence


TRAFFIC = """
global: {{scrape_interval: 1s}}
scrape_configs:
  - {{job_name: pods, honor_labels: true, static_configs: [{{targets: ["127.0.0.1:{port}"]}}]}}
"""


@contextlib.contextmanager
def repeated(
    work: Callable[[], object],
    every: float = 0.3,
    *,
    despite: tuple[type[Exception], ...] = (AssertionError, subprocess.TimeoutExpired),
) -> Iterator[None]:
    """Do `work` again and again beside the test, a number of seconds apart; what it may raise ends only one turn."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(every):
            with contextlib.suppress(*despite):
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
