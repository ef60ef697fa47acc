"""Where a route is, and which of its rules lead to control and to the canary."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from serin.api.spec import Service, canary_name
from serin.engine.leads import Lead
from serin.kube.client import Kube
from serin.kube.deployments import Deployments
from serin.kube.errors import NotFound
from serin.traffic.leads import leads_of
from serin.traffic.mirrors import marked
from serin.traffic.pointer import find
from serin.traffic.presets import Address
from serin.traffic.splits import Labels, Pair, Split, kind_of, pairs

_REMEMBERED: Final = 30.0
"""Seconds for which the Services are not asked again."""


@dataclass(frozen=True, slots=True)
class _Backends:
    """Where Services lead, as last seen."""

    at: float
    selectors: dict[str, dict[str, str]]
    labels: Labels


class RouteSource:
    """Reads routes, and the Services and Deployments that give them a meaning.

    Args:
        kube: the API client.
        address: finds the resource of a service.
        clock: seconds that only go forward.
    """

    def __init__(self, kube: Kube, address: Callable[[Service], Address], clock: Callable[[], float]) -> None:
        self._kube = kube
        self._deployments = Deployments(kube)
        self._address = address
        self._clock = clock
        self._backends: dict[tuple[str, str, str], _Backends] = {}

    def find(self, namespace: str, service: Service) -> tuple[Address | None, dict[str, Any] | None]:
        """Where the route is and the route; None for a kind that the cluster does not know, or a route that is gone."""
        try:
            address = self._address(service)
        except NotFound:
            return None, None
        return address, self.get(namespace, address)

    def get(self, namespace: str, address: Address) -> dict[str, Any] | None:
        """The route as it is now, or None."""
        try:
            return self._kube.get(address.preset.api_version, address.preset.plural, namespace, address.name)
        except NotFound:
            return None

    def selectors(self, namespace: str) -> dict[str, dict[str, str]]:
        """What each Service of a namespace selects."""
        services = self._kube.list("v1", "services", namespace)
        return {each["metadata"]["name"]: each["spec"].get("selector") or {} for each in services}

    def rules(
        self, namespace: str, service: Service, address: Address, route: dict[str, Any], *, fresh: bool
    ) -> tuple[tuple[Pair, ...], tuple[str, ...], bool]:
        """(rules that lead to both, sentences, whether another rule may still lead to the canary)."""
        meant = meant_by(address, address.preset.splits(route, namespace))
        if address.preset.pointed:
            return tuple(Pair(each, *each.backends) for each in meant), (), False
        known = self._leads(namespace, service, fresh=fresh)
        found, sentences = pairs(meant, known.selectors, known.labels, rest=address.preset.rest)
        kinds = {
            kind_of(each.service, known.selectors, known.labels)
            for split in meant
            for each in split.backends
            if each.weight != 0
        }
        return found, sentences, bool(kinds & {"canary", "both", "missing"})

    def leads(self, namespace: str, service: Service) -> tuple[Lead, ...]:
        """Where the route leads to either variant; nothing without a route, or without a rule that leads to both."""
        address, route = self.find(namespace, service)
        if address is None or route is None:
            return ()
        known = self._leads(namespace, service, fresh=False)
        controls = [name for name in known.selectors if kind_of(name, known.selectors, known.labels) == "control"]
        return leads_of(route, self.rules(namespace, service, address, route, fresh=False)[0], controls)

    def _leads(self, namespace: str, service: Service, *, fresh: bool) -> _Backends:
        """Selectors and labels; what a Deployment's pods were called is remembered beyond its end."""
        names = service.control.deployment, canary_name(service)
        key, now = (namespace, *names), self._clock()
        known = self._backends.get(key)
        if known is not None and not fresh and now - known.at < _REMEMBERED:
            return known
        control, canary = (pod_labels(self._deployments.find(namespace, name)) for name in names)
        labels = Labels(control, canary)
        if known is not None:
            labels = Labels(control or known.labels.control, canary or known.labels.canary)
        self._backends[key] = found = _Backends(now, self.selectors(namespace), labels)
        return found


def meant_by(address: Address, splits: tuple[Split, ...]) -> tuple[Split, ...]:
    """The rules that the experiment is about: the named one, or all."""
    return tuple(each for each in splits if address.rule is None or each.name == address.rule)


def digest(route: dict[str, Any], rules: tuple[Pair, ...], canary: str) -> str:
    """Changes with anything in the rules, or in what is marked as copied to this canary, and with nothing else."""
    part = [route["metadata"]["uid"], [find(route, each.split.scope) for each in rules]]
    part += [sorted(marks)] if (marks := marked(route, canary)) else []
    return hashlib.sha256(json.dumps(part, sort_keys=True, default=str).encode()).hexdigest()[:12]


def pod_labels(obj: dict[str, Any] | None) -> dict[str, str] | None:
    """The labels of a Deployment's pods; None for one that is not there."""
    return None if obj is None else obj["spec"]["template"].get("metadata", {}).get("labels") or {}
