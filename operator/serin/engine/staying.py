"""Simulated users who stay with their variant: a route hashes each of them into a bucket, and some are very active.

Their requests are no independent draws. The same few stay for the whole run, so the canary's share of the requests is
off its weight for good, by more the fewer they are; a test of the split has to be quiet about that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SPREAD: Final = 1.0
"""Standard deviation of the logarithm of the users' activity: the busiest tenth makes four tenths of the requests."""


@dataclass(frozen=True, slots=True)
class Staying:
    """The users of one service.

    Attributes:
        bucket: of each user, from 0 to 1; shape (users,).
        activity: their requests, as a part of all; shape (users,).
    """

    bucket: NDArray[np.float64]
    activity: NDArray[np.float64]

    @staticmethod
    def drawn(users: int, seed: tuple[int, ...]) -> Staying:
        """So many users, with random numbers of their own: they do not change the requests of a seed."""
        random = np.random.default_rng(seed)
        activity = random.lognormal(0.0, _SPREAD, users)
        return Staying(random.random(users), activity / activity.sum())

    def share(self, weight: float) -> float:
        """The canary's share of the requests at a weight from 0 to 1: who has it at 5 % keeps it at 50 %."""
        return float(self.activity[self.bucket < weight].sum())
