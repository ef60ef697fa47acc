"""The latest objects by key, as the watches and our own writes bring them.

A reconcile reads from here and not from the API server: an idle look then costs no API call, however many experiments
there are. An older event never replaces the result of a newer write.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec

from serin.api.names import FINALIZER
from serin.api.spec import Service, canary_name

_REPEATS: Final = frozenset({"managedFields", "kubectl.kubernetes.io/last-applied-configuration"})
"""They repeat the object, and nothing is decided on them."""


class Key(NamedTuple):
    """Where an object is."""

    namespace: str
    name: str


def key_of(obj: Mapping[str, Any]) -> Key:
    """The key of a namespaced object."""
    return Key(obj["metadata"]["namespace"], obj["metadata"]["name"])


@dataclass(frozen=True, slots=True)
class Kept:
    """One version of an object, as text: of thousands of objects that is a fifth of what it takes as dicts."""

    uid: str
    version: int
    """resourceVersion: it changes with anything in the object."""
    text: bytes

    @classmethod
    def of(cls, obj: Mapping[str, Any]) -> "Kept":
        """`obj` without what repeats it."""
        meta = {key: value for key, value in obj["metadata"].items() if key not in _REPEATS}
        if meta.get("annotations"):
            meta["annotations"] = {key: value for key, value in meta["annotations"].items() if key not in _REPEATS}
        return cls(meta["uid"], _version(obj), msgspec.json.encode({**obj, "metadata": meta}))

    def read(self) -> dict[str, Any]:
        """The object, the caller's own copy; reading it costs more than what most looks do with it."""
        found: dict[str, Any] = msgspec.json.decode(self.text)
        return found


class Objects:
    """Objects of one kind. What is given out is the caller's own copy."""

    def __init__(self) -> None:
        self._objects: dict[Key, Kept] = {}

    def is_news(self, obj: Mapping[str, Any]) -> bool:
        """False when this version of the object, or a later one, is known."""
        known = self._objects.get(key_of(obj))
        return known is None or known.uid != obj["metadata"]["uid"] or _version(obj) > known.version

    def put(self, obj: Mapping[str, Any]) -> bool:
        """Keeps `obj` unless it, or a later version of the same object, is known; True when it was news."""
        if not self.is_news(obj):
            return False
        self._objects[key_of(obj)] = Kept.of(obj)
        return True

    def remove(self, obj: Mapping[str, Any]) -> None:
        """Forgets an object that was deleted; one of the same name that came after it stays."""
        self.forget(key_of(obj), obj["metadata"]["uid"])

    def forget(self, key: Key, uid: str) -> None:
        """As `remove`."""
        known = self._objects.get(key)
        if known is not None and known.uid == uid:
            del self._objects[key]

    def get(self, key: Key) -> dict[str, Any] | None:
        """The object, or None."""
        known = self._objects.get(key)
        return None if known is None else known.read()

    def kept(self, key: Key) -> Kept | None:
        """The object unread, or None: who remembers what a version of it came to need not read it again."""
        return self._objects.get(key)

    def uids(self) -> dict[Key, str]:
        """The uid of each object."""
        return {key: each.uid for key, each in self._objects.items()}

    def versions(self) -> dict[Key, Kept]:
        """All objects, unread, as they are now; a version of an object is the same one until it changes."""
        return dict(self._objects)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (each.read() for each in list(self._objects.values()))

    def __len__(self) -> int:
        return len(self._objects)


class Experiments(Objects):
    """Experiments, and an index from Deployments to those that name them: a Deployment changes often."""

    def __init__(self) -> None:
        super().__init__()
        self._names: dict[Key, set[Key]] = {}
        self._users: dict[Key, set[Key]] = {}

    def put(self, obj: Mapping[str, Any]) -> bool:
        """As `Objects.put`."""
        news = super().put(obj)
        if news:
            self._index(key_of(obj), {Key(obj["metadata"]["namespace"], name) for name in deployment_names(obj)})
        return news

    def forget(self, key: Key, uid: str) -> None:
        """As `Objects.forget`."""
        super().forget(key, uid)
        if key not in self._objects:
            self._index(key, set())

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


def deployment_names(experiment: Mapping[str, Any]) -> set[str]:
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
