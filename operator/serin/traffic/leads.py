"""Reads out of a route what its gateway's statistics call control and the canary. Pure."""

from collections.abc import Iterable, Iterator
from typing import Any

from serin.api.names import CANARY, CONTROL
from serin.engine.leads import Lead
from serin.traffic.pointer import find, items, parts
from serin.traffic.splits import Backend, Pair


def leads_of(route: dict[str, Any], rules: Iterable[Pair], controls: Iterable[str]) -> tuple[Lead, ...]:
    """Where a route leads.

    Args:
        route: the resource.
        rules: those of its rules that lead to both variants.
        controls: Services that select control's pods alone, for a route that names the canary's only.
    """
    name: str = route["metadata"]["name"]
    found: list[Lead] = []
    for rule in rules:
        for variant, backend in ((CONTROL, rule.control), (CANARY, rule.canary)):
            if not backend.path:
                found += [Lead(variant, name, each) for each in sorted(controls)]
            elif route.get("kind") == "Ingress":
                found += [Lead(variant, name, backend.service, port) for port in _ports(route, backend.service)]
            else:
                found.append(_lead(route, variant, backend))
    return tuple(dict.fromkeys(found))


def _lead(route: dict[str, Any], variant: str, backend: Backend) -> Lead:
    name: str = route["metadata"]["name"]
    # /spec/rules/0/backendRefs/1/weight, for an HTTPRoute; in other resources nobody counts by place.
    numbers = [int(part) for part in parts(backend.path) if part.isdigit()]
    if len(numbers) < 2:  # noqa: PLR2004 - rule and backend
        return Lead(variant, name, backend.service)
    ref = find(route, backend.path.rpartition("/")[0])
    port, filters = (ref.get("port"), ref.get("filters")) if isinstance(ref, dict) else (None, None)
    return Lead(variant, name, backend.service, str(port or ""), numbers[0], numbers[1], filtered=bool(filters))


def _ports(ingress: dict[str, Any], service: str) -> Iterator[str]:
    """The ports of a Service that an Ingress leads to, each as it is written: a number or a name."""
    for _, rule in items(ingress, "spec", "rules"):
        for _, path in items(rule, "http", "paths"):
            backend = (path.get("backend") or {}).get("service") or {}
            if backend.get("name") == service:
                port = backend.get("port") or {}
                yield str(port.get("number") or port.get("name") or "")
