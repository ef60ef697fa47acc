"""Who shares a query, so that one service with too many series, or with a metric of two types, spoils nobody's looks.

Whose query failed is asked for in halves at the next look, and the half that fails in halves again, until the one that
does it is alone. That takes two things to be known apart: a query that is spoilt, and a server that is in trouble. The
server is well where it has answered another of these queries meanwhile; where it has not, one query is halved in the
time of a look, for two services that spoil both halves look like a server that is down.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from serin.engine.observation import MeasurementFailure, Unmeasured
from serin.metrics.rows import Target

_T = TypeVar("_T")

_BY_ONE: Final = {MeasurementFailure.TIMEOUT, MeasurementFailure.WARNINGS, MeasurementFailure.SERVER_ERROR}
"""Failures of a query that one of its targets can have brought about. Partial is not one: a store is away then."""
_AT_ONCE: Final = 2
"""Suspects are asked two at a time: half of what one server is asked at once, so others do not wait for them."""
_PATIENCE: Final = 256
"""Looks, at the most, between two tries to share a query with more."""
_RESTS: Final = 8
"""Looks, at the most, between two queries for one that spoils them alone."""
_LOOK: Final = 30.0
"""Seconds that count as a look, at the most: one that has others to make up for is as long as an hour."""
_ALL: Final = 1 << 30
_KEPT: Final = 10_000
"""Targets that are remembered, at the most."""


@dataclass(slots=True)
class _Record:
    """What is remembered of a target whose query failed.

    Attributes:
        most: size of the largest query that it may be in.
        patience: looks that must be answered before it is asked for with more.
        answered: looks that were answered since it was last asked for with more, or failed.
        alone: looks in a row that failed when it was asked for alone.
        failed: monotonic seconds of its last query, which failed.
        until: monotonic seconds before which it is not asked for.
        refusal: what it gets until then.
    """

    most: int = _ALL
    patience: int = 1
    answered: int = 0
    alone: int = 0
    failed: float = -math.inf
    until: float = -math.inf
    refusal: Unmeasured | None = None


@dataclass(slots=True)
class Party:
    """Those who are asked for in one query.

    Attributes:
        targets: who they are, never none.
        begun: monotonic seconds.
        most: size of the largest query that all of them may be in.
        suspect: true when their last query failed.
        refusal: what they get without asking.
        answers: queries that were answered.
        spoilt: why one was not, if one of them can have brought that about.
    """

    targets: list[Target]
    begun: float
    most: int = _ALL
    suspect: bool = False
    refusal: Unmeasured | None = None
    answers: int = 0
    spoilt: Unmeasured | None = None

    @property
    def free(self) -> bool:
        """Whether it is of those who may be with all others."""
        return self.most == _ALL and not self.suspect

    def take(self, answer: object) -> None:
        """Takes in an answer."""
        if not isinstance(answer, Unmeasured):
            self.answers += 1
        elif answer.failure in _BY_ONE:
            self.spoilt = answer


class Company:
    """With how many others each target of one server is asked for. Make it inside the event loop that uses it."""

    def __init__(self) -> None:
        self._lane = asyncio.Semaphore(_AT_ONCE)
        self._records: dict[Target, _Record] = {}
        self._answered = self._halved = -math.inf
        self._size = _ALL

    async def in_turn(self, query: Callable[[], Awaitable[_T]], most: float) -> _T | None:
        """The answer to a suspect's query; None if its turn did not come within `most` seconds."""
        try:
            async with asyncio.timeout(most):
                await self._lane.acquire()
        except TimeoutError:
            return None
        try:
            return await query()
        finally:
            self._lane.release()

    def parties(self, targets: Iterable[Target], size: int, now: float) -> list[Party]:
        """The targets of each query, never more than `size`, suspects last; `now` is in monotonic seconds."""
        self._size, free = size, list[Target]()
        known: list[tuple[_Record, Target]] = []
        found: list[Party] = []
        for each in targets:
            record = self._records.get(each)
            if record is None or (record.most == _ALL and record.answered):
                free.append(each)
            elif record.refusal is not None and now < record.until:
                found.append(Party([each], now, record.most, suspect=True, refusal=record.refusal))
            else:
                known.append((record, each))
        found += [Party(free[begin : begin + size], now) for begin in range(0, len(free), size)]
        return found + _parted(known, size, now)

    def learn(self, party: Party, now: float, seconds: float) -> None:
        """Takes in how the queries of a party went, for a look of `seconds`."""
        if party.spoilt is not None:
            self._failed(party, party.spoilt, now, min(seconds, _LOOK))
        elif party.answers:
            self._answered = now
            for each in party.targets if self._records else ():
                if (record := self._records.get(each)) is not None:
                    self._well(each, record, party)

    def _failed(self, party: Party, why: Unmeasured, now: float, look: float) -> None:
        for each in party.targets if self._records else ():
            if (record := self._records.get(each)) is not None:
                record.failed = now
        alone = len(party.targets) == 1
        well = self._answered >= min(party.begun, now - look)
        if not well:
            # Half, for looks that are exactly as far apart fail a little earlier or later.
            if alone or now - self._halved < look / 2:
                return
            self._halved = now
        if len(self._records) > _KEPT:  # of experiments that are gone; who still spoils a query is found again
            self._records.clear()
        for each in party.targets:
            record = self._records.setdefault(each, _Record())
            if record.answered:  # with fewer it was well: more were too many, and are tried less often
                record.patience = min(2 * record.patience, _PATIENCE)
            record.most, record.answered, record.failed = min(record.most, -(-len(party.targets) // 2)), 0, now
            if alone:
                record.alone += 1
                record.until = now + (min(2 ** (record.alone - 1), _RESTS) - 1) * look
                record.refusal = Unmeasured(why.failure, f"{why.message}, asked for {each.service} alone")

    def _well(self, target: Target, record: _Record, party: Party) -> None:
        record.answered, record.alone, record.refusal = record.answered + 1, 0, None
        if record.answered <= record.patience:
            return
        if record.most == _ALL:
            del self._records[target]
            return
        record.most, record.answered = min(record.most, party.most) * 2, 1
        if record.most >= self._size:
            record.most = _ALL


def _parted(known: Sequence[tuple[_Record, Target]], size: int, now: float) -> list[Party]:
    """Parties of those who may not be with all others; suspects are with suspects."""
    found: list[Party] = []
    # Those that were late keep others from their turn: who had none at the last look comes first at this one.
    for record, each in sorted(known, key=lambda pair: (not pair[0].answered, -pair[0].most, pair[0].failed)):
        suspect, most = not record.answered, min(size, record.most)
        last = found[-1] if found else None
        if last is None or last.suspect != suspect or len(last.targets) >= most:
            found.append(last := Party([], now, suspect=suspect))
        last.targets.append(each)
        last.most = record.most
    return found
