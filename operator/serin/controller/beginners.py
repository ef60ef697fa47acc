"""Whose turn it is among experiments on their way into a first stage.

Each asks Prometheus some ten times on it (checks, a day of history), and those that are in a stage ask there too: when
thousands are applied at once, their looks would come late.
"""

from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from serin.api.spec import Spec
from serin.api.status import Phase, Status
from serin.controller.scheduler import jittered
from serin.controller.store import Key
from serin.engine import run

AT_ONCE: Final = 16
"""Turns of one server."""
_LONGEST: Final = 30.0
"""Seconds after which who waits asks for a turn by itself, should nobody have woken it."""
_BEGINS: Final = frozenset({Phase.PENDING, Phase.PREPARING})


def begins(obj: dict[str, Any], spec: Spec, status: Status) -> bool:
    """Whether an experiment is on its way into a first stage, with no user on its canary and nothing to take back."""
    if run.position(status) not in _BEGINS or spec.abort or "deletionTimestamp" in obj["metadata"]:
        return False
    away = (status.weight, status.mirror, *(each.observed_weight for each in status.services))
    return not any(away)


@dataclass(slots=True)
class Beginners:
    """First come, first served, for each server by itself: one that does not answer keeps only those that ask it.

    Args:
        wake: makes a key due.
    """

    wake: Callable[[Key], None] = lambda _: None
    _running: Counter[str] = field(default_factory=Counter)
    _waiting: defaultdict[str, dict[Key, None]] = field(default_factory=lambda: defaultdict(dict))

    async def turn(self, key: Key, server: str, turn: Callable[[], Awaitable[float]]) -> float:
        """What `turn` gives when there is room at `server`; else the seconds until it may be asked for again."""
        waiting = self._waiting[server]
        if self._running[server] >= AT_ONCE:
            waiting[key] = None
            return jittered(_LONGEST)
        waiting.pop(key, None)
        self._running[server] += 1
        try:
            return await turn()
        finally:
            self._running[server] -= 1
            if waiting:
                following = next(iter(waiting))
                del waiting[following]
                self.wake(following)
            elif not self._running[server]:
                self._waiting.pop(server, None)
                del self._running[server]
