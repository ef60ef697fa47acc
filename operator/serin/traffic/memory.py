"""Since when something is as it is: what only this process knows. A new process waits once more, and no more."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Memory:
    """What a router has seen, by service.

    Args:
        clock: seconds that only go forward.
    """

    clock: Callable[[], float]
    _since: dict[tuple[str, str, str], tuple[str, float]] = field(default_factory=dict)

    def held(self, namespace: str, service: str, what: str, value: str) -> float:
        """Seconds for which `value` has been the same; an empty one begins nothing."""
        key, now = (namespace, service, what), self.clock()
        if not value:
            self._since.pop(key, None)
            return 0.0
        known = self._since.get(key)
        if known is None or known[0] != value:
            self._since[key] = known = (value, now)
        return now - known[1]

    def last(self, namespace: str, service: str, what: str) -> tuple[str, float]:
        """The value that was seen last, and for how many seconds it has been held."""
        value, since = self._since.get((namespace, service, what), ("", self.clock()))
        return value, self.clock() - since
