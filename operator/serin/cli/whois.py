"""`kubectl serin whois EXPERIMENT USER`: which variant a user is served by, and why.

A complaint comes from a user, not from a percentage. The answer is computed from the route and the policies that are in
the cluster, by the hash that the proxy computes; nothing is asked of the proxy and nothing about users is stored.
"""

import argparse
import sys
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from serin.api.spec import Service, canary_name
from serin.cli import cluster
from serin.cli.cluster import Cluster, ClusterError, Experiment
from serin.traffic.presets import HTTP_ROUTE
from serin.traffic.splits import Labels, Pair, pair
from serin.traffic.sticky import Hashing, chosen, hashing

_ROUTES: Final = "httproutes.gateway.networking.k8s.io"
_BACKEND: Final = "backendtrafficpolicies.gateway.envoyproxy.io"
_CLIENT: Final = "clienttrafficpolicies.gateway.envoyproxy.io"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    cluster.add_arguments(parser)
    parser.add_argument("user", help="the user's id, as the request has it in its header")


def main(options: argparse.Namespace) -> int:
    """Prints the variant for each service."""
    return cluster.run(options, _whois)


def _whois(where: Cluster, experiment: Experiment, options: argparse.Namespace) -> int:
    table = Table("SERVICE", "VARIANT", "WHY", box=None, pad_edge=False, header_style="bold")
    known = True
    for service in experiment.spec.services:
        variant, why = _answer(where, experiment.obj["metadata"]["namespace"], service, options.user)
        known = known and bool(variant)
        table.add_row(service.name, variant or "-", why)
    Console(soft_wrap=not sys.stdout.isatty()).print(table)
    return cluster.DONE if known else cluster.BAD_INPUT


def _answer(where: Cluster, namespace: str, service: Service, user: str) -> tuple[str, str]:
    """(variant, why); no variant where a user has none."""
    ref = service.traffic.http_route
    if ref is None:
        return "", f"traffic.type {service.traffic.type} splits by the request: a user has no variant"
    route = where.read(_ROUTES, ref.name)
    splits = HTTP_ROUTE.splits(route, namespace)
    leads = _leads(where, service)
    reasons = []
    for split in splits:
        found = pair(split, *leads) if ref.rule in {None, split.name} else ""
        if isinstance(found, str):
            continue
        hashed = hashing(route, split.name, *_policies(where, route))
        if hashed is None:
            reasons.append(f"rule {split.name or 'without a name'} splits by the request")
        elif not hashed.user_header:
            reasons.append(f"rule {split.name} hashes {', '.join(hashed.headers)}, of which not exactly one is free")
        else:
            return _variant(found, hashed, user)
    return "", "; ".join(reasons) or f"no rule of HTTPRoute {ref.name} leads to both variants"


def _variant(found: Pair, hashed: Hashing, user: str) -> tuple[str, str]:
    name, bucket, total = chosen(found.split, hashed.number(user))
    variant = {found.canary.service: "canary", found.control.service: "control"}.get(name, name)
    salts = "".join(f" and {key}={value}" for key, value in hashed.salts.items() if key in hashed.headers)
    share = found.weight()
    has = "an unwritten share" if share is None else f"{share:.3g}%"
    return variant, f"bucket {bucket} of {total} by {hashed.user_header}{salts}; the canary has {has}"


def _leads(where: Cluster, service: Service) -> tuple[dict[str, dict[str, str]], Labels]:
    selectors = {
        each["metadata"]["name"]: each["spec"].get("selector") or {} for each in where.read("services")["items"]
    }
    labels = []
    for name in (service.control.deployment, canary_name(service)):
        try:
            labels.append(where.read("deployments.apps", name)["spec"]["template"]["metadata"].get("labels") or {})
        except ClusterError:
            labels.append(None)
    return selectors, Labels(*labels)


def _policies(where: Cluster, route: dict[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    try:
        mine = where.read(_BACKEND)["items"]
        clients = where.read(_CLIENT, "--all-namespaces")["items"]
    except ClusterError:  # another gateway than Envoy Gateway
        return [], []
    namespace = route["metadata"]["namespace"]
    return [each for each in mine if each["metadata"]["namespace"] == namespace], clients
