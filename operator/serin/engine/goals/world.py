"""Simulated users with values, for goals in the simulated world: normal values, new users at a steady rate."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from serin.engine.observation import GoalReading, MeasurementFailure, Unmeasured
from serin.stats.goals import Moments

_DAY = 86_400.0
_NEW = 0.3
"""Share of users in the segment `new`; the others are `existing`."""


@dataclass(frozen=True, slots=True)
class GoalEffect:
    """What one goal's users are like.

    Args:
        effect: mean of the canary's users minus that of control's, in the goal's unit.
        mean: control's mean.
        sd: standard deviation over users, of both variants.
        users_per_day: new users of both variants together.
        silent: (from, until) in seconds after the start in which there are no readings.
        stale_after: seconds after the start from which on the sums do not change any more.
    """

    effect: float = 0.0
    mean: float = 3.5
    sd: float = 1.0
    users_per_day: float = 500.0
    silent: tuple[tuple[float, float], ...] = ()
    stale_after: float = float("inf")


@dataclass(slots=True)
class GoalUsers:
    """The users of all goals since the start.

    Args:
        effects: by the goal's name.
        seed: of the random numbers.
        start: Unix time of the start, in seconds.
    """

    effects: dict[str, GoalEffect]
    seed: int
    start: float
    _until: dict[str, float] = field(default_factory=dict)
    _sums: dict[tuple[str, str, str], Moments] = field(default_factory=dict)
    _random: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        """Own random numbers, so that goals do not change the requests of a seed."""
        self._random = np.random.default_rng((self.seed, 7))

    def read(self, name: str, now: float, share: Callable[[], float]) -> GoalReading | Unmeasured:
        """The sums at the Unix time `now`; `share` gives the canary's part of new users, 0 to 1."""
        effect = self.effects.get(name, GoalEffect())
        at = now - self.start
        if any(begin <= at < end for begin, end in effect.silent):
            return Unmeasured(MeasurementFailure.UNREACHABLE, "Prometheus does not answer (simulated outage)")
        begun, until = self._until.get(name, 0.0), min(at, effect.stale_after)
        if until > begun:
            arrived = int(self._random.poisson(effect.users_per_day * (until - begun) / _DAY))
            canary = int(self._random.binomial(arrived, share()))
            self._arrive(name, "control", arrived - canary, effect.mean, effect.sd)
            self._arrive(name, "canary", canary, effect.mean + effect.effect, effect.sd)
            self._until[name] = until
        parts = {
            segment: (self._of(name, "control", segment), self._of(name, "canary", segment))
            for segment in ("existing", "new")
        }
        control, canary_sums = (parts["existing"][side] + parts["new"][side] for side in (0, 1))
        return GoalReading(control, canary_sums, now, parts)

    def _arrive(self, name: str, variant: str, users: int, mean: float, sd: float) -> None:
        fresh = int(self._random.binomial(users, _NEW))
        for segment, count in (("new", fresh), ("existing", users - fresh)):
            if count:
                average = mean + sd * float(self._random.normal()) / count**0.5
                spread = sd**2 * float(self._random.chisquare(count - 1)) if count > 1 else 0.0
                sums = Moments(count, count * average, count * average**2 + spread)
                self._sums[name, variant, segment] = self._of(name, variant, segment) + sums

    def _of(self, name: str, variant: str, segment: str) -> Moments:
        return self._sums.get((name, variant, segment), Moments(0, 0, 0))
