"""How much is measured, and what one size came to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from serin.controller.looks import SLOT
from tests.bench.scale.costs import Used
from tests.bench.scale.shop import SERVICES

FACTOR: Final = 10.0
"""What the errors of a spoilt canary are multiplied by."""
_READS: Final = frozenset({"get", "list"})


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured.

    Attributes:
        interval: seconds between two looks.
        seconds: that each size is watched for, of which whole intervals are used.
        spoilt: experiments whose canaries are spoilt at each size.
        patience: seconds until a spoilt canary counts as never taken back.
        begun: experiments that begin by themselves, and those to be spoilt; more than these are copies of one of them.
    """

    interval: float = 30.0
    seconds: float = 245.0
    spoilt: int = 5
    patience: float = 600.0
    begun: int = 1000

    @property
    def watched(self) -> float:
        """Seconds that each size is really watched for: whole intervals, at least one."""
        return max(1, int(self.seconds // self.interval)) * self.interval

    def between(self, now: float) -> float:
        """Seconds from the Unix time `now` until the middle between two slots of looks: none is counted there."""
        apart = self.interval / max(1, int(self.interval // SLOT))
        return (0.6 * apart - (now - self.interval / 2)) % apart

    def last(self, sizes: Sequence[int]) -> list[range]:
        """The numbers of the experiments that are made for each size, smallest first, and end with the spoilt ones."""
        stops = [size + index * self.spoilt for index, size in enumerate(sorted(sizes))]
        return [range(start, stop) for start, stop in zip([0, *stops], stops, strict=False)]

    def copies(self, new: range) -> range:
        """Which of the experiments `new` of a size do not begin by themselves."""
        first = max(new.start, self.begun, 1)
        return range(first, max(first, new.stop - self.spoilt))

    def to_spoil(self, sizes: Sequence[int]) -> list[int]:
        """The numbers of all experiments whose canaries are spoilt at some time."""
        return [number for new in self.last(sizes) for number in new[-self.spoilt :] if self.spoilt]


@dataclass(frozen=True, slots=True)
class Found:
    """What one size came to.

    Attributes:
        size: experiments that counted.
        interval: seconds between two looks.
        ready: (experiments, seconds) from created to counting, for those that were made for this size.
        led: seconds from the start of the process until it led and knew all objects.
        looked: seconds until it had looked at each experiment and made up for what it had missed.
        used: by everything, while nothing changed.
        back: seconds from the first error of each spoilt canary until weight 0; inf: never.
    """

    size: int
    interval: float
    ready: tuple[int, float]
    led: float
    looked: float
    used: Used
    back: tuple[float, ...] = ()

    @property
    def looks(self) -> float:
        """Looks at experiments."""
        return self.used.rose("serin_looks_total", result="Counted") / SERVICES

    @property
    def expected(self) -> float:
        """Looks that are due in that time, which is whole intervals."""
        return self.size * max(1, round(self.used.seconds / self.interval))

    @property
    def lease(self) -> float:
        """Requests for the Lease, per second."""
        return sum(count for (_, what), count in self.used.calls().items() if what == "leases") / self.used.seconds

    @property
    def requests(self) -> float:
        """All API requests of the operator, per second."""
        return sum(self.used.calls().values()) / self.used.seconds

    @property
    def verbs(self) -> dict[str, float]:
        """The same by verb."""
        found: dict[str, float] = {}
        for (verb, _), count in self.used.calls().items():
            found[verb] = found.get(verb, 0.0) + count / self.used.seconds
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    @property
    def checkpoints(self) -> float:
        """Statuses that were written because a while had passed, per second."""
        return self.used.rose("serin_status_writes_total", why="checkpoint") / self.used.seconds

    @property
    def changes(self) -> float:
        """Statuses that were written because something changed that somebody could act on, per second."""
        return self.used.rose("serin_status_writes_total", why="change") / self.used.seconds

    @property
    def idle_writes(self) -> float:
        """Writes that neither a change nor a checkpoint explains, per look; without those of the Lease."""
        writes = sum(
            count for (verb, what), count in self.used.told().items() if verb not in _READS and what != "leases"
        )
        return max(0.0, writes - self.used.rose("serin_status_writes_total")) / max(1.0, self.looks)

    def lag(self, share: float) -> float:
        """A quantile of the seconds that a look was late."""
        return self.used.quantile("serin_look_lag_seconds", share)

    def gap(self, share: float) -> float:
        """A quantile of the seconds between two looks at one experiment."""
        return self.interval * self.used.quantile("serin_look_gap_ratio", share)

    @property
    def milliseconds(self) -> float:
        """Operator's CPU per look."""
        return 1000 * self.used.cores("operator") * self.used.seconds / max(1.0, self.looks)
