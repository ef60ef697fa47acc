"""A control plane of plain processes: etcd, kube-apiserver and kube-controller-manager on loopback.

There is no kubelet: Deployments get ReplicaSets and pods, and the pods stay Pending. A test that needs ready pods
writes their status itself, and the controllers count them. Everything else is the real thing, fences and RBAC included.
"""

import contextlib
import http.client
import secrets
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from kubernetes import client

from serin.kube.client import Kube
from serin.kube.errors import KubeError
from tests.cluster.places import REPOSITORY
from tests.ports import free_ports

_SECONDS = 90.0


@dataclass(frozen=True)
class Plane:
    """A running control plane, with the tokens of an administrator and of the operator's account."""

    host: str
    token: str = field(repr=False)
    operator: str = field(repr=False)
    ca: Path
    kubeconfig: Path

    def connect(self, token: str | None = None) -> Kube:
        """Return a client of its own, with the administrator's token unless another is given."""
        settings = client.Configuration(host=self.host)
        settings.ssl_ca_cert = str(self.ca)
        settings.api_key = {"authorization": f"Bearer {token or self.token}"}
        settings.retries = 0
        return Kube(client.ApiClient(settings))


def binaries() -> Path:
    """Return the folder of the programs; they are built when they are missing."""
    print("control plane: looking for its programs", file=sys.stderr, flush=True)
    found = subprocess.run(
        [sys.executable, "-m", "tests.cluster", "binaries"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    return Path(found.stdout.strip().splitlines()[-1])


@contextlib.contextmanager
def _process(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_ready(port: int, ca: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    print("control plane: waiting for the API server", file=sys.stderr, flush=True)
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"kube-apiserver ended with {process.returncode}:\n{log.read_text()[-2000:]}")
        if ca.exists():
            connection = http.client.HTTPSConnection(
                "127.0.0.1", port, timeout=2, context=ssl.create_default_context(cafile=str(ca))
            )
            with contextlib.suppress(OSError), contextlib.closing(connection):
                connection.request("GET", "/readyz")
                if connection.getresponse().status == http.client.OK:
                    return
        time.sleep(0.2)
    raise RuntimeError(f"the API server was not ready within {_SECONDS:g} s:\n{log.read_text()[-2000:]}")


def install_crds(kube: Kube, folder: Path = REPOSITORY / "crds") -> None:
    """Create the CRDs of a folder and wait until the API server serves them."""
    api, plural = "apiextensions.k8s.io/v1", "customresourcedefinitions"
    for file in sorted(folder.glob("*.yaml")):
        for body in yaml.safe_load_all(file.read_text()):
            if not body or body.get("kind") != "CustomResourceDefinition":
                continue
            name = kube.create(api, plural, None, body)["metadata"]["name"]
            print(f"control plane: waiting for {name}", file=sys.stderr, flush=True)
            _established(kube, api, plural, name)
            version, names = body["spec"]["versions"][0]["name"], body["spec"]["names"]
            _served(kube, f"{body['spec']['group']}/{version}", names["plural"])


def _established(kube: Kube, api: str, plural: str, name: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        conditions = kube.get(api, plural, None, name).get("status", {}).get("conditions") or ()
        if any(each["type"] == "Established" and each["status"] == "True" for each in conditions):
            return
        time.sleep(0.1)
    raise RuntimeError(f"{name} was not established within 30 s")


def _served(kube: Kube, api: str, plural: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(KubeError):
            kube.list(api, plural)
            return
        time.sleep(0.1)
    raise RuntimeError(f"{plural} was not served within 30 s")


def _kubeconfig(path: Path, host: str, ca: Path, token: str) -> None:
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "plane",
        "clusters": [{"name": "plane", "cluster": {"server": host, "certificate-authority": str(ca)}}],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": "plane", "context": {"cluster": "plane", "user": "admin"}}],
    }
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(document))


@contextlib.contextmanager
def control_plane(folder: Path, *, managed: bool = True, options: tuple[str, ...] = ()) -> Iterator[Plane]:
    """Start the three processes with their data in `folder`; they end with the context.

    Args:
        folder: for data and logs.
        managed: with the controllers; without them nothing happens to a Deployment but what a test does itself.
        options: more flags of the API server.
    """
    programs = binaries()
    client_port, peer_port, api_port, manager_port = free_ports(4)
    token, operator, certificates = secrets.token_hex(16), secrets.token_hex(16), folder / "certificates"
    tokens, key = folder / "tokens.csv", folder / "accounts.key"
    tokens.touch(mode=0o600)
    tokens.write_text(
        f"{token},admin,admin,system:masters\n"
        f"{operator},system:serviceaccount:serin-system:serin,operator,system:serviceaccounts\n"
    )
    subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
    etcd = [
        str(programs / "etcd"),
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls=http://127.0.0.1:{client_port}",
        f"--advertise-client-urls=http://127.0.0.1:{client_port}",
        f"--listen-peer-urls=http://127.0.0.1:{peer_port}",
        "--unsafe-no-fsync",
    ]
    server = [
        str(programs / "kube-apiserver"),
        f"--etcd-servers=http://127.0.0.1:{client_port}",
        f"--secure-port={api_port}",
        "--bind-address=127.0.0.1",
        f"--cert-dir={certificates}",
        f"--token-auth-file={tokens}",
        "--authorization-mode=RBAC",
        "--service-account-issuer=https://plane.test",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--disable-admission-plugins=ServiceAccount",
        *options,
    ]
    host, ca, config = f"https://127.0.0.1:{api_port}", certificates / "apiserver.crt", folder / "kubeconfig"
    _kubeconfig(config, host, ca, token)
    manager = [
        str(programs / "kube-controller-manager"),
        f"--kubeconfig={config}",
        f"--secure-port={manager_port}",
        "--bind-address=127.0.0.1",
        f"--cert-dir={folder / 'manager'}",
        "--leader-elect=false",
        # No kubelet: nodes would only be evicted.
        "--controllers=deployment-controller,replicaset-controller,garbage-collector-controller,namespace-controller",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
    ]
    with contextlib.ExitStack() as stack:
        stack.enter_context(_process(etcd, folder / "etcd.log"))
        api = stack.enter_context(_process(server, folder / "apiserver.log"))
        _await_ready(api_port, ca, api, folder / "apiserver.log")
        if managed:
            stack.enter_context(_process(manager, folder / "manager.log"))
        plane = Plane(host, token, operator, ca, config)
        kube = plane.connect()
        stack.callback(kube.close)
        install_crds(kube)
        print("control plane: ready", file=sys.stderr, flush=True)
        yield plane
