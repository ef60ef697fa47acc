"""Trying again, for what may be tried again: something idempotent that failed for a moment.

A retry of a write that went through writes twice, and retries without a common budget turn a short outage into an
overload. So callers say what is transient, and the time of all attempts together is bounded.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)

from serin_services.database import DatabaseLostError

T = TypeVar("T")

_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 0.5


async def retried(
    work: Callable[[], Awaitable[T]],
    *,
    budget: float = 1.0,
    attempts: int = 3,
    transient: tuple[type[BaseException], ...] = (DatabaseLostError,),
    cut: bool = True,
) -> T:
    """Do `work`, and do it again when it failed for a moment.

    Only for what is idempotent: reads, writes with an idempotency key. An exhausted pool is not transient by default:
    more attempts are what it needs least.

    Args:
        work: Makes one attempt.
        budget: Seconds for all attempts and pauses together; none begins after them.
        attempts: Attempts at most.
        transient: Errors after which another attempt makes sense.
        cut: End an attempt that is under way when the budget ends. Not for work with limits of its own that costs a
            connection when it is cut off, as with a database.

    Returns:
        What the first successful attempt gave.

    Raises:
        TimeoutError: The budget ended while an attempt was under way.
        BaseException: The last attempt's error, or one that is not transient.
    """
    retrying = AsyncRetrying(
        retry=retry_if_exception_type(transient),
        stop=stop_after_attempt(attempts) | stop_before_delay(budget),
        # Random between 0 and a bound that doubles: clients that failed together don't come back together.
        wait=wait_random_exponential(multiplier=_FIRST_PAUSE_SECONDS, max=_LONGEST_PAUSE_SECONDS),
        reraise=True,
    )

    async def attempt() -> T:
        return await work()  # tenacity awaits nothing but coroutine functions; `work` may be a lambda.

    async with asyncio.timeout(budget if cut else None):
        return await retrying(attempt)
