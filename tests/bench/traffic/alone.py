"""The gateway without a cluster: API server, Envoy Gateway's controller and Envoy as plain processes.

Controller and proxy are the ones that `make gateway` installs, and so is all that they say and do. What is missing is
pods: two small servers answer for them, and an endpoint is there as long as its Deployment has ready pods, so that a
canary that is scaled down too early costs requests here too. Everything runs in a network namespace of its own, for the
controller's ports are fixed; that takes root.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from serin.kube.client import MERGE, Kube
from serin.kube.errors import Conflict, KubeError
from tests.cluster import gateway
from tests.cluster.places import HERE, REPOSITORY, from_environment
from tests.integration.cluster_plane import Plane, control_plane, install_crds

INSIDE = "SERIN_ALONE"
URL = "http://127.0.0.1:10080"
"""Where the proxy listens: the Gateway's port 80 and ten thousand."""
SERVICES = ("recommendation", "conversation")
ADDRESSES = {"control": "10.77.0.1", "canary": "10.77.0.2"}
"""Of the namespace's loopback: an endpoint may not be in 127.0.0.0/8."""
_PORT = 8000
_SYSTEM = gateway.NAMESPACE
_CERTIFICATES = Path("/certs")
_CONFIG = """
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyGateway
gateway: {controllerName: gateway.envoyproxy.io/gatewayclass-controller}
provider: {type: Kubernetes, kubernetes: {leaderElection: {disable: true}}}
logging: {level: {default: error}}
"""


def available() -> str:
    """Return why it can't be run here, or an empty text."""
    at = from_environment()
    if os.geteuid() != 0:
        return "a network namespace takes root"
    missing = [name for name in (gateway.CONTROLLER.name, "envoy", "kube-apiserver") if not (at.bin / name).exists()]
    return f"{', '.join(missing)} not built: python3 -m tests.cluster gateway-programs" if missing else ""


def inside(command: list[str]) -> "subprocess.CompletedProcess[str]":
    """Run a command in a network and mount namespace of its own, which end with it."""
    steps = [
        "ip link set lo up",
        *(f"ip addr add {address}/32 dev lo" for address in ADDRESSES.values()),
        # The API server wants to know by which way the world would reach it. There is nothing behind this one.
        "ip link add world type veth peer name nothing && ip link set nothing up && ip link set world up",
        "ip addr add 10.77.1.1/24 dev world",
        "ip route add default via 10.77.1.2",
        'exec "$@"',
    ]
    # The controller reads its certificates at a fixed path; what is mounted there is seen in the namespace alone.
    made = not _CERTIFICATES.exists()
    _CERTIFICATES.mkdir(exist_ok=True)
    try:
        return subprocess.run(
            ["unshare", "--net", "--mount", "sh", "-c", " && ".join(steps), "sh", *command],
            env={**os.environ, INSIDE: "1", "SERIN_GATEWAY_URL": URL},
            cwd=REPOSITORY,
            text=True,
            check=False,
        )
    finally:
        if made:
            _CERTIFICATES.rmdir()


@contextlib.contextmanager
def shop() -> Iterator[None]:
    """Run everything, with the shop's Deployments; `SERIN_CACHE` then leads to a kubeconfig for it."""
    real = from_environment()
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        (folder / "bin").symlink_to(real.bin)
        (folder / "keys").symlink_to(real.keys)
        os.environ["SERIN_CACHE"] = name
        plane = stack.enter_context(control_plane(folder))
        kube = plane.connect()
        stack.callback(kube.close)
        _objects(kube)
        for role in ADDRESSES:
            stack.enter_context(_answering(role))
        stack.enter_context(_repeated(lambda: _node(kube)))
        stack.enter_context(_controller(plane, real.bin, folder))
        stack.enter_context(_proxy(real.bin, folder))
        yield


def _module(name: str) -> Path:
    command = ["go", "mod", "download", "-json", name]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=HERE / "go/gateway")
    return Path(json.loads(done.stdout)["Dir"])


def _objects(kube: Kube) -> None:
    install_crds(kube, _module("sigs.k8s.io/gateway-api") / "config/crd/standard")
    install_crds(kube, _module("github.com/envoyproxy/gateway") / "charts/gateway-helm/charts/crds/crds/generated")
    for name in (_SYSTEM, "gateway", "shop"):
        kube.create("v1", "namespaces", None, {"metadata": {"name": name}})
    for service in SERVICES:
        for end, role, size in (("", "control", 4), ("-phase4", "canary", 0)):
            labels = {"app.kubernetes.io/name": service, "serin.dev/variant": role}
            pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "shop"}]}}
            spec = {"replicas": size, "selector": {"matchLabels": labels}, "template": pod}
            kube.create("apps/v1", "deployments", "shop", {"metadata": {"name": f"{service}{end}"}, "spec": spec})
    for path in sorted(gateway.MANIFESTS.glob("*.yaml")):
        for body in yaml.safe_load_all(path.read_text()):
            if body["kind"] in {"Namespace", "Kustomization"}:
                continue
            plurals = {"GatewayClass": "gatewayclasses", "EnvoyProxy": "envoyproxies", "Gateway": "gateways"}
            plural = plurals.get(body["kind"], "clienttrafficpolicies")
            kube.create(body["apiVersion"], plural, body["metadata"].get("namespace"), body)


class _Answer(BaseHTTPRequestHandler):
    """What every pod answers at once to a GET of an endpoint that takes POST."""

    protocol_version = "HTTP/1.1"
    variant = ""

    def do_GET(self) -> None:
        """405, and who says it."""
        self.send_response(405)
        self.send_header("x-serin-variant", self.variant)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@contextlib.contextmanager
def _answering(role: str) -> Iterator[None]:
    handler = type(role, (_Answer,), {"variant": role})
    server = ThreadingHTTPServer((ADDRESSES[role], _PORT), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def _node(kube: Kube) -> None:
    """What a node and the endpoints' controller do: pods get ready, and endpoints are where ready pods are."""
    ready = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}
    for namespace in ("shop", _SYSTEM):
        for pod in kube.list("v1", "pods", namespace):
            if pod["status"].get("phase") != "Running":
                with contextlib.suppress(KubeError):
                    kube.patch("v1", "pods", namespace, pod["metadata"]["name"], ready, MERGE, "status")
    for service in SERVICES:
        for end, role in (("", "control"), ("-phase4", "canary")):
            found = kube.get("apps/v1", "deployments", "shop", f"{service}{end}")
            alive = found["spec"]["replicas"] > 0 and found.get("status", {}).get("readyReplicas", 0) > 0
            _endpoints(kube, f"{service}-{role}", [ADDRESSES[role]] if alive else [])


def _endpoints(kube: Kube, service: str, addresses: list[str]) -> None:
    body = {
        "metadata": {"name": service, "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": _PORT, "protocol": "TCP"}],
        "endpoints": [{"addresses": [each], "conditions": {"ready": True}} for each in addresses],
    }
    slices = ("discovery.k8s.io/v1", "endpointslices", "shop")
    try:
        kube.create(*slices, body)
    except Conflict:
        kube.patch(*slices, service, {"endpoints": body["endpoints"]})


@contextlib.contextmanager
def _repeated(work: Any) -> Iterator[None]:
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(0.3):
            with contextlib.suppress(KubeError):
                work()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(10)


@contextlib.contextmanager
def _controller(plane: Plane, programs: Path, folder: Path) -> Iterator[None]:
    program = str(programs / gateway.CONTROLLER.name)
    env = {**os.environ, "KUBECONFIG": str(plane.kubeconfig), "ENVOY_GATEWAY_NAMESPACE": _SYSTEM, "HOME": str(folder)}
    home = ["--config-home", str(folder / "eg")]
    for more in (["--local", *home], ["--disable-topology-injector"]):
        subprocess.run([program, "certgen", *more], env=env, check=True, capture_output=True)
    subprocess.run(["mount", "--bind", str(folder / "eg/certs/envoy-gateway"), str(_CERTIFICATES)], check=True)
    (folder / "gateway.yaml").write_text(_CONFIG)
    command = [program, "server", "--config-path", str(folder / "gateway.yaml")]
    with _process(command, folder / "controller.log", env):
        yield


@contextlib.contextmanager
def _process(command: list[str], log: Path, env: dict[str, str] | None = None) -> Iterator[None]:
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=env)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def _proxy(programs: Path, folder: Path) -> Iterator[None]:
    certificates = folder / "eg/certs/envoy"
    pair = {
        "certificate_chain": {"filename": str(certificates / "tls.crt")},
        "private_key": {"filename": str(certificates / "tls.key")},
    }
    trusted = {"trusted_ca": {"filename": str(certificates / "ca.crt")}}
    tls = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
    http = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    address = {"socket_address": {"address": "127.0.0.1", "port_value": 18000}}
    cluster = {
        "name": "xds_cluster",
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": {
            "cluster_name": "xds_cluster",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
        "typed_extension_protocol_options": {
            http: {
                "@type": f"type.googleapis.com/{http}",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
        "transport_socket": {
            "name": "tls",
            "typed_config": {
                "@type": tls,
                "common_tls_context": {"tls_certificates": [pair], "validation_context": trusted},
            },
        },
    }
    source = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}
    ads = {
        "api_type": "DELTA_GRPC",
        "transport_api_version": "V3",
        "grpc_services": [{"envoy_grpc": {"cluster_name": "xds_cluster"}}],
        "set_node_on_first_message_only": True,
    }
    bootstrap = {
        "node": {"id": "proxy", "cluster": "gateway/serin"},
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 19500}}},
        "dynamic_resources": {"ads_config": ads, "lds_config": source, "cds_config": source},
        "static_resources": {"clusters": [cluster]},
    }
    (folder / "envoy.json").write_text(json.dumps(bootstrap))
    command = [str(programs / "envoy"), "-c", str(folder / "envoy.json"), "--concurrency", "1", "--log-level", "warn"]
    with _process([*command, "--use-dynamic-base-id"], folder / "envoy.log"):
        yield


if __name__ == "__main__":
    raise SystemExit(inside(sys.argv[1:]).returncode)
