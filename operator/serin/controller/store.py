"""The latest objects by key, as the watches and our own writes bring them.

A reconcile reads from here and not from the API server: an idle look then costs no API call, however many experiments
there are. An older event never replaces the result of a newer write.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from serin.api.spec import Service, canary_name


class Key(NamedTuple):
    """Where an object is."""

    namespace: str
    name: str


def key_of(obj: dict[str, Any]) -> Key:
    """The key of a namespaced object."""
    return Key(obj["metadata"]["namespace"], obj["metadata"]["name"])


class Objects:
    """Objects of one kind."""

    def __init__(self) -> None:
        self._objects: dict[Key, dict[str, Any]] = {}

    def put(self, obj: dict[str, Any]) -> None:
        """Keeps `obj` unless a later version of the same object is known."""
        key = key_of(obj)
        known = self._objects.get(key)
        if known is None or known["metadata"]["uid"] != obj["metadata"]["uid"] or _version(obj) >= _version(known):
            obj["metadata"].pop("managedFields", None)
            self._objects[key] = obj

    def remove(self, obj: dict[str, Any]) -> None:
        """Forgets an object that was deleted; one of the same name that came after it stays."""
        known = self._objects.get(key_of(obj))
        if known is not None and known["metadata"]["uid"] == obj["metadata"]["uid"]:
            del self._objects[key_of(obj)]

    def get(self, key: Key) -> dict[str, Any] | None:
        """The object, or None."""
        return self._objects.get(key)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(list(self._objects.values()))

    def __len__(self) -> int:
        return len(self._objects)


class Store:
    """All that the operator watches."""

    def __init__(self) -> None:
        self.experiments = Objects()
        self.deployments = Objects()

    def interested(self, deployment: Key) -> list[Key]:
        """The experiments that a change of a Deployment concerns."""
        return [
            key_of(experiment)
            for experiment in self.experiments
            if experiment["metadata"]["namespace"] == deployment.namespace
            and deployment.name in deployment_names(experiment)
        ]


def deployment_names(experiment: dict[str, Any]) -> set[str]:
    """Every Deployment that an experiment names or makes; tolerant of a spec that can't be read."""
    names: set[str] = set()
    services = experiment.get("spec", {}).get("services")
    for service in services if isinstance(services, list) else ():
        control = service.get("control", {}).get("deployment", "")
        names |= {control, service.get("canary", {}).get("deployment") or f"{control}-canary"}
    return names - {""}


def names_of(service: Service) -> tuple[str, str]:
    """(control, canary) Deployment names."""
    return service.control.deployment, canary_name(service)


def _version(obj: dict[str, Any]) -> int:
    # Opaque by contract, a number in every API server there is; only used to order two views of one object.
    text = obj["metadata"].get("resourceVersion", "0")
    return int(text) if text.isdigit() else 0
