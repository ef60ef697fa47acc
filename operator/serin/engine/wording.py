"""Times, shares and counts as sentences show them. Every text a user reads gets its numbers from here."""

from datetime import UTC, datetime
from math import inf
from typing import Final

_DAY: Final = 86400
_HOUR: Final = 3600
_MINUTE: Final = 60
_HUNDRED: Final = 100
_TWO_DIGITS: Final = 10
COLUMN: Final = 90
"""Characters of the column MESSAGE of `kubectl get`."""
_LARGE: Final = 9999
"""Beyond four digits a multiple says no more than that it is large."""


def timestamp(seconds: float) -> str:
    """Unix time as Kubernetes writes it (RFC 3339, UTC, whole seconds)."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def unix(text: str) -> float:
    """The inverse of `timestamp`; 0 for an empty or unreadable text."""
    try:
        return datetime.fromisoformat(text).timestamp() if text else 0.0
    except ValueError:
        return 0.0


def clock(seconds: float, now: float) -> str:
    """`14:03:22` today, `24 Nov 09:12 UTC` on another day."""
    then = datetime.fromtimestamp(seconds, UTC)
    if then.date() == datetime.fromtimestamp(now, UTC).date():
        return then.strftime("%H:%M:%S UTC")
    return then.strftime("%d %b %H:%M UTC")


def length(seconds: float) -> str:
    """`13d2h`, `13h4m`, `2m10s`, `41s`: the two largest units."""
    whole = max(0, round(seconds))
    if whole >= _DAY:
        return f"{whole // _DAY}d{whole % _DAY // _HOUR}h"
    if whole >= _HOUR:
        return f"{whole // _HOUR}h{whole % _HOUR // _MINUTE}m"
    if whole >= _MINUTE:
        return f"{whole // _MINUTE}m{whole % _MINUTE}s"
    return f"{whole}s"


def share(value: float | None) -> str:
    """`4.9%`, `0.21%`; three significant digits at the most."""
    return "unknown" if value is None else f"{value * 100:.3g}%"


def milliseconds(seconds: float | None) -> str:
    """`131ms`."""
    return "unknown" if seconds is None else f"{seconds * 1000:.3g}ms" if seconds < 1 else f"{seconds:.3g}s"


def count(number: int) -> str:
    """`22,511`."""
    return f"{number:,}"


def ratio(value: float | None, low: float, high: float) -> str:
    """`24x [11, 51]`, `at least 2.7x` where control has none of it, empty where nothing can be said."""
    if value is None or (value == inf and low <= 0):
        return ""
    if value == inf:
        return f"at least {bound(low)}x"
    if low <= 0 and high == inf:
        return f"{bound(value)}x"
    return f"{bound(value)}x [{bound(low)}, {bound(high)}]"


def multiple(value: float) -> str:
    """Evidence as a multiple of its limit: `1.3`, `330`, `over 9,999`."""
    return "over 9,999" if value > _LARGE else f"{value:,.0f}" if value >= _HUNDRED else f"{value:.2g}"


def bound(value: float) -> str:
    """One end of an interval."""
    return "inf" if value == inf else f"{value:.0f}" if abs(value) >= _TWO_DIGITS else f"{value:.2g}"


def sentence(text: str) -> str:
    """`text` with a full stop, unless it has its end already."""
    return text if text.endswith((".", "?", "!")) else f"{text}."


def brief(text: str, width: int = COLUMN) -> str:
    """The beginning of `text` that a table has room for: to the end of a clause, else of a word."""
    if len(text) <= width:
        return text
    for stops, least in ((("; ", ". "), width // 3), ((": ", ", "), width * 2 // 3)):
        end = max(text.rfind(stop, least, width) for stop in stops)
        if end > 0:
            return text[:end]
    return f"{text[: width - 3].rpartition(' ')[0]}..."
