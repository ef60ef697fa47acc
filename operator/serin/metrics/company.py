"""Who shares a query. One that fails is asked in halves at the next look, and the half that fails in halves again.

Else one service with far too many series, or with a metric of another type, would take their measurements from all who
share its query, at every look.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from serin.engine.observation import MeasurementFailure, Unmeasured
from serin.metrics.answers import Row
from serin.metrics.pace import QUICK, Pace
from serin.metrics.rows import Target

_Answer = list[Row] | Unmeasured

_BY_ONE: Final = {MeasurementFailure.TIMEOUT, MeasurementFailure.WARNINGS, MeasurementFailure.SERVER_ERROR}
"""Failures of a query that one of its targets can have brought about."""
_ENOUGH: Final = 8
"""Queries of a look of which none is answered: it is the server, and more of them would not help it."""
_KEPT: Final = 10_000
"""Targets that are remembered, at the most."""


@dataclass(slots=True)
class Party:
    """Those who are asked for in one query, and how the queries for them went.

    Attributes:
        targets: who they are, never none.
        query: asks the server (text, Unix time).
        pace: when, unless that is no matter.
        failed: true when an answer failed, perhaps by one of them.
        slowest: seconds that the slowest of the answers took; 0 before there is one.
    """

    targets: list[Target]
    query: Callable[[str, float], Awaitable[_Answer]]
    pace: Pace | None
    failed: bool = False
    slowest: float = 0.0

    async def ask(self, text: str, at: float) -> _Answer:
        """The answer to a query for them, when it is its turn."""

        async def timed() -> _Answer:
            begun = time.monotonic()
            found = await self.query(text, at)
            if not isinstance(found, Unmeasured):
                self.slowest = max(self.slowest, time.monotonic() - begun)
            self.failed |= isinstance(found, Unmeasured) and found.failure in _BY_ONE
            return found

        return await (timed() if self.pace is None else self.pace.ask(timed, alone=len(self.targets) == 1))


class Company:
    """With how many others each target of one server is asked for.

    Args:
        timeout: seconds that a query may take.
    """

    def __init__(self, timeout: float) -> None:
        self._quick = QUICK * timeout
        self._most: dict[Target, int] = {}

    def parties(self, targets: Sequence[Target], size: int) -> list[list[Target]]:
        """The targets of each query, never more than `size`; those of queries that failed apart from the others."""
        free = [each for each in targets if each not in self._most]
        found = [free[begin : begin + size] for begin in range(0, len(free), size)]
        party: list[Target] = []
        for each in sorted((each for each in targets if each in self._most), key=lambda each: -self._most[each]):
            if not party or len(party) >= min(size, self._most[each]):
                found.append(party := [])
            party.append(each)
        return found

    def learn(self, parties: Sequence[Party], size: int) -> None:
        """Takes in how the queries of a look went, which had no more than `size` targets.

        Whose query failed is asked for with half as many the next time, whose was quick with twice as many. Who is
        neither stays as it is: with others it would be late.
        """
        if len(self._most) > _KEPT:  # of experiments that are gone; who is still slow is found again
            self._most.clear()
        down = len(parties) >= _ENOUGH and not any(each.slowest for each in parties)
        for party in parties:
            if party.failed and not down:
                self._most |= dict.fromkeys(party.targets, max(1, len(party.targets) // 2))
            elif not party.failed and 0 < party.slowest < self._quick:
                for each in party.targets:
                    most = 2 * self._most.pop(each, size)
                    if most < size:
                        self._most[each] = most
