"""One size after the other: make the experiments, restart the operator among them, watch it, spoil some canaries."""

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from tests.bench.scale import nodes
from tests.bench.scale.api import Api, all_of, path
from tests.bench.scale.costs import Moment, Used
from tests.bench.scale.place import Place
from tests.bench.scale.shop import APPS, SERVICES, canary_name, experiment, namespace, namespaces, parts, service_names
from tests.integration.controller.process import Operator

FACTOR: Final = 10.0
"""What the errors of a spoilt canary are multiplied by."""
_POLL: Final = 0.25
_PATIENCE: Final = 1800.0
_READS: Final = frozenset({"get", "list"})

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured.

    Attributes:
        interval: seconds between two looks.
        seconds: that each size is watched for.
        spoilt: experiments whose canaries are spoilt at each size.
        patience: seconds until a spoilt canary counts as never taken back.
    """

    interval: float = 30.0
    seconds: float = 245.0
    spoilt: int = 5
    patience: float = 600.0

    def last(self, sizes: Sequence[int]) -> list[range]:
        """The numbers of the experiments that are made for each size, smallest first, and end with the spoilt ones."""
        stops = [size + index * self.spoilt for index, size in enumerate(sorted(sizes))]
        return [range(start, stop) for start, stop in zip([0, *stops], stops, strict=False)]

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
        """Looks that are due in that time."""
        return self.size * self.used.seconds / self.interval

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


@dataclass
class Bench:
    """Grows from size to size on one control plane.

    Args:
        place: where.
        plan: how much.
        say: told what is being done.
    """

    place: Place
    plan: Plan
    say: Say

    async def run(self, sizes: list[int]) -> AsyncIterator[Found]:
        """What each size came to, smallest first."""
        api = Api(self.place.plane)
        pods = asyncio.create_task(nodes.run(api))
        try:
            for size, new in zip(sorted(sizes), self.plan.last(sizes), strict=True):
                yield await self._size(api, size, new)
                if pods.done():
                    pods.result()
        finally:
            pods.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await pods
            await api.close()

    async def _size(self, api: Api, size: int, new: range) -> Found:
        with self.place.operator() as first:
            ready = await self._grown(api, first, new, size)
        begun = time.monotonic()
        with self.place.operator() as again:
            self.say(f"{size:,} experiments: the operator starts among them")
            await self._until(again, lambda at: at.total("serin_leader") == 1)
            led = time.monotonic() - begun
            await self._until(again, lambda at: at.total("serin_experiments_looked_at") >= new.stop)
            looked = time.monotonic() - begun
            await self._flowing(again, size)
            used = await self._watched(again, size)
            back = await self._spoilt(api, again, size, list(new[-self.plan.spoilt :]) if self.plan.spoilt else [])
        return Found(size, self.plan.interval, (len(new), ready), led, looked, used, back)

    async def _grown(self, api: Api, operator: Operator, new: range, size: int) -> float:
        """Make the experiments `new`; the seconds until all count."""
        self.say(f"{size:,} experiments: {len(new):,} more with their Deployments and Services")
        await all_of(api, namespaces(new))
        await asyncio.to_thread(self.place.tell, f"/size/{new.stop}")
        await all_of(api, chain.from_iterable(parts(number) for number in new))
        await self._until(operator, lambda at: at.total("serin_leader") == 1)
        # The checks before a run want two samples of each service.
        self.say(f"{size:,} experiments: waiting for two scrapes")
        await asyncio.sleep(2 * self.place.scrape + 1)
        begun = time.monotonic()
        await all_of(api, (experiment(number, self.place.prometheus, self.plan.interval) for number in new))

        def counting(at: Moment) -> bool:
            there = at.total("serin_experiments", phase="Progressing")
            self.say(f"{size:,} experiments: {there:,.0f} in their stage after {time.monotonic() - begun:.0f} s")
            return there >= size

        await self._until(operator, counting, every=2.0)
        took = time.monotonic() - begun
        self.say(f"{size:,} experiments: waiting for their first looks")
        looked = size * SERVICES
        await self._until(operator, lambda at: at.total("serin_looks_total", result="Counted") >= looked, every=2.0)
        return took

    async def _flowing(self, operator: Operator, size: int) -> None:
        """Wait until every experiment is looked at in every interval."""
        self.say(f"{size:,} experiments: waiting until every one is counted in every interval")
        deadline = time.monotonic() + _PATIENCE
        before = await self._moment(operator)
        while True:
            await asyncio.sleep(self.plan.interval)
            now = await self._moment(operator)
            used = Used(before, now)
            if (
                used.rose("serin_looks_total", result="Counted")
                >= 0.99 * size * SERVICES * used.seconds / self.plan.interval
            ):
                return
            if time.monotonic() > deadline:
                raise RuntimeError(
                    f"not all of {size} experiments are counted; the end of the operator's log:\n{_end(operator)}"
                )
            before = now

    async def _watched(self, operator: Operator, size: int) -> Used:
        """What is used while nothing changes."""
        before, begun = await self._moment(operator), time.monotonic()
        while (left := self.plan.seconds - (time.monotonic() - begun)) > 0:
            self.say(f"{size:,} experiments: nothing changes for {left:.0f} s more")
            await asyncio.sleep(min(left, 5.0))
        # The audit log is written in batches.
        await asyncio.sleep(1.0)
        return Used(before, await self._moment(operator))

    async def _spoilt(self, api: Api, operator: Operator, size: int, numbers: list[int]) -> tuple[float, ...]:
        """Spoil some canaries; the seconds until each experiment's weight is 0 everywhere."""
        body = str(numbers).encode()
        await asyncio.to_thread(self.place.tell, f"/worse/{FACTOR:g}", body)
        begun = time.monotonic()
        back = dict.fromkeys(numbers, math.inf)
        while (past := time.monotonic() - begun) < self.plan.patience and math.inf in back.values():
            self.say(f"{size:,} experiments: x{FACTOR:g} errors in {len(numbers)} canaries for {past:.0f} s")
            await asyncio.sleep(_POLL)
            for number in numbers:
                if math.isinf(back[number]) and await _at_zero(api, number):
                    back[number] = time.monotonic() - begun
            if operator.process.poll() is not None:
                raise RuntimeError(f"the operator ended:\n{_end(operator)}")
        return tuple(back.values())

    async def _moment(self, operator: Operator) -> Moment:
        def read() -> Moment:
            status, text = operator.get("/metrics")
            if operator.process.poll() is not None:
                raise RuntimeError(f"the operator ended:\n{_end(operator)}")
            return self.place.meters.now(text if status else "", self.place.metrics_of_prometheus())

        return await asyncio.to_thread(read)

    async def _until(self, operator: Operator, holds: Callable[[Moment], bool], every: float = 0.5) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not holds(await self._moment(operator)):
            if time.monotonic() > deadline:
                raise RuntimeError(f"the operator did not get there; the end of its log:\n{_end(operator)}")
            await asyncio.sleep(every)


async def _at_zero(api: Api, number: int) -> bool:
    """Whether no canary of an experiment is left: its Deployments are what splits the traffic."""
    for service in service_names(number):
        found = await api.get(path(APPS, "deployments", namespace(number), canary_name(service)))
        if found["spec"]["replicas"]:
            return False
    return True


def _end(operator: Operator) -> str:
    return operator.log.read_text()[-3000:]
