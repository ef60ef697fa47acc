"""Pods that are awaited for a while: since when, and what they say.

Most pods are ready within seconds, and asking for them would cost a call for each look. Whoever has waited for half a
minute wants to know why.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from serin.controller.store import Kept
from serin.engine.observation import Workload
from serin.kube.errors import KubeError

_PATIENCE: Final = 30.0
_AGAIN: Final = 15.0

Ask = Callable[[dict[str, Any]], Awaitable[str]]
"""Given a Deployment, what its pods say."""


@dataclass(slots=True)
class _Wait:
    since: float
    asked: float = float("-inf")
    said: str = ""


class Waits:
    """Adds to a Deployment that is waited for what its pods say."""

    def __init__(self) -> None:
        self._waits: dict[str, _Wait] = {}

    async def explained(
        self, seen: Workload | None, obj: Kept | None, ask: Ask, now: float | None = None
    ) -> Workload | None:
        """`seen` with its trouble, when it has been incomplete for half a minute or half of a deadline under a minute.

        Asked again after a quarter.
        """
        if seen is None or obj is None:
            return seen
        if seen.ready >= seen.replicas and seen.rolled_out:
            self._waits.pop(seen.uid, None)
            return seen
        at = time.monotonic() if now is None else now
        wait = self._waits.setdefault(seen.uid, _Wait(at))
        if at - wait.since < min(_PATIENCE, seen.deadline / 2):
            return seen
        if at - wait.asked >= _AGAIN:
            wait.asked = at
            try:
                wait.said = await ask(obj.read())
            except KubeError as error:
                wait.said = "" if wait.said else f"its pods can't be read: {error}"
        return replace(seen, trouble=wait.said or seen.trouble)

    def forget(self, known: set[str]) -> None:
        """Drops the Deployments that are not in `known` (uids) any more."""
        for uid in [each for each in self._waits if each not in known]:
            del self._waits[uid]
