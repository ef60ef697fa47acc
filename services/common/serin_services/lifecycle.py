"""What a process may be asked right now: is it started, is it ready, is it draining.

One object that the server, the probes and the middleware share. Without it readiness would stay on during a
shutdown, and the requests of that moment would fail.
"""

import time
from collections.abc import Callable


class Lifecycle:
    """State of the process between start and exit.

    Args:
        clock: Monotonic seconds; a test passes its own.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._started_at = clock()
        self._checks: dict[str, Callable[[], bool]] = {}
        self.started = False
        self.draining = False

    @property
    def uptime(self) -> float:
        """Seconds since the object was made, that is, since the process started."""
        return self._clock() - self._started_at

    def require(self, name: str, check: Callable[[], bool]) -> None:
        """Make readiness depend on `check`, which must be cheap: a probe calls it every few seconds."""
        self._checks[name] = check

    def missing(self) -> tuple[str, ...]:
        """Name what readiness waits for; nothing means ready."""
        if self.draining:
            return ("draining",)
        waiting = () if self.started else ("start",)
        return waiting + tuple(name for name, check in self._checks.items() if not check())

    def drain(self) -> None:
        """Turn readiness off for good; requests are still served."""
        self.draining = True
