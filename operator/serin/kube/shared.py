"""Reads that many looks share: one list instead of a call for each object.

Routes and Services are not watched: which kinds there are is known only from the experiments. A look reads them, and a
thousand looks that each read one would be a thousand calls. Where few objects of a kind are read, each is read by
itself; where many are, the whole kind is listed and serves every look of the next second.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from serin.kube.client import Kube
from serin.kube.errors import Forbidden, NotFound

_FEW: Final = 8
"""Objects of a kind that are read one by one."""
_FRESH: Final = 1.0
"""Seconds for which a list is good. A look compares what it reads with what it read before: a change that it misses is
seen by the next one, and its counts are from before the list."""
_RECENT: Final = 60.0
_MOST: Final = 10_000

_Kind = tuple[str, str]
_Where = tuple[str, str]


@dataclass(slots=True)
class _Kept:
    """What is known of one kind."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    asked: OrderedDict[_Where, float] = field(default_factory=OrderedDict)
    """When each object (or namespace, with an empty name) was asked for last, the latest at the end."""
    at: float = float("-inf")
    """When the list began."""
    written: float = float("-inf")
    objects: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    """By namespace and name."""
    refused: bool = False
    """The account may not list the whole kind."""


class SharedReads(Kube):
    """An API client for looks; acts read for themselves.

    Args:
        kube: the API client.
        watched: objects that a watch keeps, by kind: given namespace and name, the object or None.
        namespace: the only one that is watched; empty: all.
        clock: seconds that only go forward.
    """

    def __init__(
        self,
        kube: Kube,
        watched: dict[_Kind, Callable[[str, str], dict[str, Any] | None]],
        namespace: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(kube._api)  # noqa: SLF001 - of its own class
        self._kube, self._watched, self._namespace, self._clock = kube, watched, namespace, clock
        self._kinds: dict[_Kind, _Kept] = {}
        self._lock = threading.Lock()

    def get(self, api_version: str, plural: str, namespace: str | None, name: str) -> dict[str, Any]:
        """As `Kube.get`, at most a second old. What is returned is not to be changed."""
        kind = api_version, plural
        if namespace and kind in self._watched:
            known = self._watched[kind](namespace, name)
        elif namespace and (found := self._shared(kind, (namespace, name))) is not None:
            known = found.get(namespace, {}).get(name)
        else:
            return self._kube.get(api_version, plural, namespace, name)
        if known is None:
            raise NotFound(f'{plural} "{name}" not found', 404, "NotFound")
        return known

    def list(
        self, api_version: str, plural: str, namespace: str | None = None, *, label_selector: str = "", limit: int = 500
    ) -> list[dict[str, Any]]:
        """As `Kube.list`, at most a second old when it is of all objects of a namespace."""
        found = self._shared((api_version, plural), (namespace, "")) if namespace and not label_selector else None
        if found is None:
            return self._kube.list(api_version, plural, namespace, label_selector=label_selector, limit=limit)
        return list(found.get(namespace or "", {}).values())

    def plural(self, api_version: str, kind: str) -> str:
        """As `Kube.plural`."""
        return self._kube.plural(api_version, kind)

    def forget(self, plural: str) -> None:
        """Something of this kind was written: the next look reads it again."""
        for (_, known), kept in list(self._kinds.items()):
            if known == plural:
                kept.written = self._clock()

    def _shared(self, kind: _Kind, where: _Where) -> dict[str, dict[str, dict[str, Any]]] | None:
        """The whole kind, when enough of it is asked for."""
        with self._lock:
            kept = self._kinds.setdefault(kind, _Kept())
        with kept.lock:
            now = self._clock()
            kept.asked[where] = now
            kept.asked.move_to_end(where)
            while kept.asked and (len(kept.asked) > _MOST or next(iter(kept.asked.values())) < now - _RECENT):
                kept.asked.popitem(last=False)
            if kept.refused or len(kept.asked) <= _FEW:
                return None
            if now - kept.at >= _FRESH or kept.at <= kept.written:
                try:
                    found = self._kube.list(*kind, self._namespace or None)
                except Forbidden:
                    kept.refused = True
                    return None
                objects: dict[str, dict[str, dict[str, Any]]] = {}
                for obj in found:
                    objects.setdefault(obj["metadata"]["namespace"], {})[obj["metadata"]["name"]] = obj
                # When it began: what is written while it is under way may not be in it.
                kept.at, kept.objects = now, objects
            return kept.objects
