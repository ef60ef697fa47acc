"""How much one Prometheus is asked at a time by queries whose answers take megabytes, and how large they may be.

After a start with thousands of experiments there are many such queries. What is too much for a server shows as a query
that is not answered in time: then they become smaller, and a server that answers none rests, as who sends does when
packets are lost (additive increase, multiplicative decrease: Jacobson, Congestion Avoidance and Control, 1988).
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import Final

from serin.engine.observation import MeasurementFailure, Unmeasured
from serin.metrics.answers import Row

MOST: Final = 100_000.0
"""Elements of a result that one query may have at the most, by estimate."""
LEAST: Final = 5_000.0
"""And at the least: smaller queries would not be answered either, and there would be more of them."""
_MORE: Final = 5_000.0
_AT_ONCE: Final = 2
"""One is worked on while the answer to the other is read."""
_QUICK: Final = 0.25
"""Of the timeout: who answers within that may be asked for more."""

_Answer = list[Row] | Unmeasured


class Pace:
    """Of one server. Make it inside the event loop that uses it.

    Args:
        timeout: seconds that a query may take, and that the server is left alone when it answers none in that time.

    Attributes:
        rows: elements of a result that the next query may have.
    """

    def __init__(self, timeout: float) -> None:
        self.rows = MOST
        self._timeout = timeout
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._answered = self._shrunk = -math.inf
        self._late: Unmeasured | None = None
        self._rests_until = -math.inf

    async def ask(self, query: Callable[[], Awaitable[_Answer]], *, usual: bool = True) -> _Answer:
        """The answer of `query`, two at a time; while the server rests, that it took too long, without asking.

        A query that is no `usual` one, smaller than they are, tells nothing of how large those may be.

        Those who waited for their turn while it failed need not wait for as long again: an outage then keeps a look for
        two timeouts, however many looks there are.
        """
        async with self._turn:
            if self._late is not None and time.monotonic() < self._rests_until:
                return self._late
            begun = time.monotonic()
            answer = await query()
            self._learn(answer, begun, time.monotonic(), usual=usual)
            return answer

    def _learn(self, answer: _Answer, begun: float, ended: float, *, usual: bool) -> None:
        if not isinstance(answer, Unmeasured):
            self._answered, self._late = ended, None
            if usual and ended - begun < _QUICK * self._timeout:
                self.rows = min(MOST, self.rows + _MORE)
        elif answer.failure is MeasurementFailure.TIMEOUT:
            # One slow query is no slow server, when it answered others meanwhile.
            if self._answered < begun:
                self._late, self._rests_until = answer, ended + self._timeout
            # Two that were asked together were too large together.
            if usual and self._shrunk < begun:
                self.rows, self._shrunk = max(LEAST, self.rows / 2), ended
