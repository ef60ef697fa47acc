"""The latest objects by key, as the watches and our own writes bring them.

A reconcile reads from here and not from the API server: an idle look then costs no API call, however many experiments
there are. An older event never replaces the result of a newer write.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from serin.api.names import FINALIZER
from serin.api.spec import Service, canary_name

_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"


class Key(NamedTuple):
    """Where an object is."""

    namespace: str
    name: str


def key_of(obj: Mapping[str, Any]) -> Key:
    """The key of a namespaced object."""
    return Key(obj["metadata"]["namespace"], obj["metadata"]["name"])


class Objects:
    """Objects of one kind."""

    def __init__(self) -> None:
        self._objects: dict[Key, dict[str, Any]] = {}

    def is_news(self, obj: Mapping[str, Any]) -> bool:
        """False when this version of the object, or a later one, is known."""
        known = self._objects.get(key_of(obj))
        if known is None or known["metadata"]["uid"] != obj["metadata"]["uid"]:
            return True
        return _version(obj) > _version(known)

    def put(self, obj: dict[str, Any]) -> bool:
        """Keeps `obj` unless it, or a later version of the same object, is known; True when it was news."""
        if not self.is_news(obj):
            return False
        meta = obj["metadata"]
        # Both repeat the object, and nothing is decided on them: of thousands of objects that is most of the memory.
        meta.pop("managedFields", None)
        if _LAST_APPLIED in (meta.get("annotations") or ()):
            del meta["annotations"][_LAST_APPLIED]
        self._objects[key_of(obj)] = obj
        return True

    def remove(self, obj: Mapping[str, Any]) -> None:
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


class Experiments(Objects):
    """Experiments, and an index from Deployments to those that name them: a Deployment changes often."""

    def __init__(self) -> None:
        super().__init__()
        self._names: dict[Key, set[Key]] = {}
        self._users: dict[Key, set[Key]] = {}

    def put(self, obj: dict[str, Any]) -> bool:
        """As `Objects.put`."""
        news = super().put(obj)
        if news:
            self._index(key_of(obj), {Key(obj["metadata"]["namespace"], name) for name in deployment_names(obj)})
        return news

    def remove(self, obj: Mapping[str, Any]) -> None:
        """As `Objects.remove`."""
        super().remove(obj)
        if self.get(key_of(obj)) is None:
            self._index(key_of(obj), set())

    def users(self, deployment: Key) -> list[Key]:
        """The experiments that name a Deployment."""
        return sorted(self._users.get(deployment, ()))

    def _index(self, experiment: Key, names: set[Key]) -> None:
        for name in self._names.pop(experiment, set()) - names:
            self._users[name].discard(experiment)
            if not self._users[name]:
                del self._users[name]
        for name in names:
            self._users.setdefault(name, set()).add(experiment)
        if names:
            self._names[experiment] = names


class Store:
    """All that the operator watches."""

    def __init__(self) -> None:
        self.experiments = Experiments()
        self.deployments = Objects()

    def interested(self, deployment: Key) -> list[Key]:
        """The experiments that a change of a Deployment concerns."""
        return self.experiments.users(deployment)


def deployment_names(experiment: dict[str, Any]) -> set[str]:
    """Every Deployment that an experiment names, makes, or still has to give back; tolerant of an unreadable spec."""
    names: set[str] = set()
    if FINALIZER in experiment["metadata"].get("finalizers", ()):
        for each in experiment.get("status", {}).get("services", ()):
            names |= {each.get("control", ""), each.get("canary", "")}
    services = experiment.get("spec", {}).get("services")
    for service in services if isinstance(services, list) else ():
        control = service.get("control", {}).get("deployment", "")
        names |= {control, service.get("canary", {}).get("deployment") or f"{control}-canary"}
    return names - {""}


def names_of(service: Service) -> tuple[str, str]:
    """(control, canary) Deployment names."""
    return service.control.deployment, canary_name(service)


def _version(obj: Mapping[str, Any]) -> int:
    # Opaque by contract, a number in every API server there is; only used to order two views of one object.
    text = obj["metadata"].get("resourceVersion", "0")
    return int(text) if text.isdigit() else 0
