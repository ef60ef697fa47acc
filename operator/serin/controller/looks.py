"""When looks end, and when they are due.

Looks of one interval end in slots of some seconds. Those of a slot share one query to Prometheus, and a thousand
experiments are not all due in the same second. The slot is a hash of the uid, so a restart changes nothing.
"""

import math
import zlib
from collections.abc import Iterable
from typing import Final

from serin.engine.observation import LookResult, MeasurementFailure, Unmeasured
from serin.engine.wording import clock

SLOT: Final = 6.0
"""Seconds between two slots: one query in that time, however many experiments there are."""
_AHEAD: Final = 3.0
"""Seconds by which Prometheus is asked before a look is due, where there is so much time."""
_STORED: Final = 10.0
"""Seconds after which what was scraped is stored: Prometheus's own limit for a scrape."""
_MOST_LOOKS: Final = 6
_MANY: Final = 2000
_MOST_LOOKS_OF_MANY: Final = 1
"""Thousands of experiments that are behind must be able to catch up while further looks become due."""
_LONGEST_LOOK: Final = 3600.0


def offset(uid: str, interval: float) -> float:
    """Seconds, whole ones, from a multiple of the interval to the ends of an experiment's looks."""
    slots = max(1, int(interval // SLOT))
    return float(math.floor(zlib.crc32(uid.encode()) % slots * interval / slots))


def next_end(now: float, interval: float, shifted: float = 0.0) -> float:
    """Unix time at which the next look ends that can't be counted yet.

    Looks end `shifted` seconds after whole multiples of the interval, and are counted half an interval later, when
    Prometheus has scraped.
    """
    return (math.floor((now - interval / 2 - shifted) / interval) + 1) * interval + shifted


def following(counted_until: float, interval: float, shifted: float = 0.0) -> float:
    """Unix time at which the look ends that follows what was counted until then; it has one interval at least."""
    return math.ceil(round((counted_until + interval - shifted) / interval, 6)) * interval + shifted


def due_look(now: float, interval: float, shifted: float = 0.0) -> float:
    """Seconds until the next look can be counted."""
    return next_end(now, interval, shifted) + interval / 2 - now


def due_query(now: float, interval: float, shifted: float = 0.0) -> float:
    """Seconds until Prometheus is asked for the next look; negative: since when.

    A little earlier than the look is due, for the answer takes a second where there are a thousand experiments; but not
    before what was scraped until the look's end is stored.
    """
    return due_look(now, interval, shifted) - ahead(interval)


def ahead(interval: float) -> float:
    """Seconds by which Prometheus is asked before a look is due: none where intervals are shorter than 20 s."""
    return max(0.0, min(_AHEAD, interval / 2 - _STORED))


def singly(experiments: int) -> int:
    """How many looks that were missed are made up for one by one, where there are so many experiments."""
    return _MOST_LOOKS if experiments < _MANY else _MOST_LOOKS_OF_MANY


def windows(
    counted_until: float, now: float, interval: float, shifted: float = 0.0, experiments: int = 1
) -> list[tuple[float, float]]:
    """(end, seconds) of the looks that can be counted now, oldest first.

    Counting begins anywhere: the first look is longer, until the next end of the experiment's slot. What was missed is
    made up for; the oldest looks of a long gap are merged, for merging is safe and a few queries are enough. How many
    are left single depends on how many `experiments` there are.
    """
    last = math.floor((now - interval / 2 - shifted) / interval) * interval + shifted
    count = int(round((last - counted_until) / interval, 6))
    if count <= 0:
        return []
    ends = [last - (count - 1 - index) * interval for index in range(count)]
    kept = ends[-singly(experiments) :]
    oldest = kept[0] - counted_until
    # Of what is older than an hour the last hour is left.
    most = max(interval, math.floor(_LONGEST_LOOK / interval) * interval)
    first = oldest if oldest < 2 * interval else min(oldest, most)
    return [(kept[0], first), *((end, interval) for end in kept[1:])]


def set_back(counted_until: float, now: float, interval: float, services: Iterable[str]) -> LookResult | None:
    """A look that says that the clock was set back, when looks were counted until a time that is yet to come.

    Until then nothing can be counted: nobody knows which of the two times was right, and the same requests must not be
    counted twice. A step begins to count less than three intervals ahead.
    """
    if counted_until <= now + 3 * interval:
        return None
    text = f"the operator's clock was set back: looks were counted until {clock(counted_until, now)}, and it is"
    lost = Unmeasured(MeasurementFailure.CLOCK, f"{text} {clock(now, now)} now; set it right, or wait until then")
    return LookResult(counted_until + interval, interval, dict.fromkeys(services, lost))
