"""The operator on a node whose clock is wrong: `python -m tests.integration.controller.stepped FILE`.

FILE holds the seconds by which the clock is ahead, and may change at any time. Only the time of day is stepped, as it
is when an administrator or NTP sets it; what only goes forward (monotonic clocks, timers) goes on, as in the kernel.
"""

import datetime as dt
import sys
import time
from pathlib import Path

_REREAD = 0.1


class Stepped:
    """How far the clock is ahead.

    Args:
        file: holds the seconds.
    """

    def __init__(self, file: Path) -> None:
        self._file, self._read_at, self._ahead = file, 0.0, 0.0

    @property
    def ahead(self) -> float:
        """Seconds; read anew now and then."""
        if time.monotonic() - self._read_at > _REREAD:
            self._ahead, self._read_at = float(self._file.read_text() or 0), time.monotonic()
        return self._ahead


def main() -> int:
    """Run the operator by the wrong clock."""
    stepped, right = Stepped(Path(sys.argv[1])), time.time

    class Wrong(dt.datetime):
        """A date and time by the wrong clock."""

        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:  # type: ignore[override]
            """By the wrong clock."""
            return cls.fromtimestamp(right() + stepped.ahead, tz)

    time.time = lambda: right() + stepped.ahead
    dt.datetime = Wrong  # type: ignore[misc]
    from serin.controller.main import main as run  # noqa: PLC0415 - what it imports must see the wrong clock

    return run()


if __name__ == "__main__":
    sys.exit(main())
