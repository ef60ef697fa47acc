"""One size after the other: make the experiments, restart the operator among them, watch it, spoil some canaries."""

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Final

from serin.controller.main import LOST_LEASE
from tests.bench.scale import nodes
from tests.bench.scale.api import Api, all_of, path
from tests.bench.scale.copies import Copies
from tests.bench.scale.costs import Moment, Used
from tests.bench.scale.found import FACTOR, Found, Plan
from tests.bench.scale.place import Place
from tests.bench.scale.shop import APPS, SERVICES, canary_name, experiment, namespace, namespaces, parts, service_names
from tests.integration.controller.process import Operator

_POLL: Final = 0.25
_PATIENCE: Final = 1800.0
_SPREAD: Final = 0.01
"""By which the looks of an interval may differ from one for each experiment."""
_LIVES: Final = 4
"""Operators that may lose their Lease, one after the other, while the experiments are made on a busy machine."""

Say = Callable[[str], None]


class EndedError(RuntimeError):
    """The operator ended by itself.

    Args:
        code: its exit code.
        log: the end of its log.
    """

    def __init__(self, code: int, log: str) -> None:
        super().__init__(f"the operator ended with {code}; the end of its log:\n{log}")
        self.code = code


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
    copied: int = 0
    """Experiments so far that did not begin by themselves."""

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
        ready = await self._grown(api, size, new)
        begun = time.monotonic()
        with self.place.operator() as again:
            self.say(f"{size:,} experiments: the operator starts among them")
            # Reading a page of metrics takes time that grows with N, of the operator and of this program.
            every = max(0.5, size / 1000)
            await self._until(again, lambda at: at.total("serin_leader") == 1, every)
            led = time.monotonic() - begun
            await self._until(again, lambda at: at.total("serin_experiments_looked_at") >= new.stop, every)
            looked = time.monotonic() - begun
            await self._flowing(again, size)
            used = await self._watched(again, size)
            back = await self._spoilt(api, again, size, list(new[-self.plan.spoilt :]) if self.plan.spoilt else [])
        return Found(size, self.plan.interval, (len(new) - len(self.plan.copies(new)), ready), led, looked, used, back)

    async def _grown(self, api: Api, size: int, new: range) -> float:
        """Make the experiments `new`, until all are in their stage and looked at; the seconds until the former."""
        copies = self.plan.copies(new)
        begin = [number for number in new if number not in copies]
        self.say(f"{size:,} experiments: {len(begin):,} more with their Deployments and Services")
        await all_of(api, namespaces(new))
        await asyncio.to_thread(self.place.tell, f"/size/{new.stop}")
        await all_of(api, chain.from_iterable(parts(number) for number in begin))
        # The checks before a run want two samples of each service.
        self.say(f"{size:,} experiments: waiting for two scrapes")
        await asyncio.sleep(2 * self.place.scrape + 1)
        made = asyncio.create_task(
            all_of(api, (experiment(number, self.place.prometheus, self.plan.interval) for number in begin))
        )
        begun, took, self.copied = time.monotonic(), math.nan, self.copied + len(copies)
        most = size - self.copied

        def counting(at: Moment) -> bool:
            there = at.total("serin_experiments", phase="Progressing")
            self.say(f"{size:,} experiments: {there:,.0f} in their stage after {time.monotonic() - begun:.0f} s")
            return there >= most

        for left in reversed(range(_LIVES)):
            with self.place.operator() as running:
                try:
                    await self._until(running, counting, every=5.0)
                    await made
                    took = time.monotonic() - begun
                    self.say(f"{size:,} experiments: waiting for their first looks")
                    await self._until(running, lambda at: _counted(at) >= most * SERVICES, every=5.0)
                    break
                except EndedError as ended:
                    if ended.code != LOST_LEASE or not left:
                        raise
                    self.say(
                        f"{size:,} experiments: a busy machine; the Lease was lost, and kubelet would start it again"
                    )
        if copies:
            self.say(f"{size:,} experiments: {len(copies):,} more are made like one in its stage")
            await Copies(
                api, 0, partial(experiment, prometheus=self.place.prometheus, interval=self.plan.interval)
            ).make(copies)
        return took

    async def _flowing(self, operator: Operator, size: int) -> None:
        """Wait until every experiment is looked at in every interval."""
        self.say(f"{size:,} experiments: waiting until every one is counted in every interval")
        deadline = time.monotonic() + _PATIENCE
        await asyncio.sleep(self.plan.between(time.time()))
        before = await self._moment(operator)
        while True:
            # From between two slots to between the same two, or a look that is due may fall to either side.
            soonest = 0.9 * self.plan.interval
            await asyncio.sleep(soonest + self.plan.between(time.time() + soonest))
            now = await self._moment(operator)
            used = Used(before, now)
            intervals = max(1, round(used.seconds / self.plan.interval))
            share = used.rose("serin_looks_total", result="Counted") / (size * SERVICES * intervals)
            # More than there are in an interval is still being made up for.
            if abs(share - 1) <= _SPREAD:
                return
            if time.monotonic() > deadline:
                raise RuntimeError(
                    f"not all of {size} experiments are counted; the end of the operator's log:\n{_end(operator)}"
                )
            before = now

    async def _watched(self, operator: Operator, size: int) -> Used:
        """What is used while nothing changes.

        For whole intervals, from between two slots: so many looks are due then, and none is counted at either end.
        """
        await asyncio.sleep(self.plan.between(time.time()))
        begun = time.monotonic()
        before = await self._moment(operator)
        while (left := self.plan.watched - (time.monotonic() - begun)) > 0:
            self.say(f"{size:,} experiments: nothing changes for {left:.0f} s more")
            await asyncio.sleep(min(left, 5.0))
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
            if (code := operator.process.poll()) is not None:
                raise EndedError(code, _end(operator))
        return tuple(back.values())

    async def _moment(self, operator: Operator) -> Moment:
        def read() -> Moment:
            status, text = operator.get("/metrics")
            if (code := operator.process.poll()) is not None:
                raise EndedError(code, _end(operator))
            return self.place.meters.now(text if status else "", self.place.metrics_of_prometheus())

        return await asyncio.to_thread(read)

    async def _until(self, operator: Operator, holds: Callable[[Moment], bool], every: float = 1.0) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not holds(await self._moment(operator)):
            if time.monotonic() > deadline:
                raise RuntimeError(f"the operator did not get there; the end of its log:\n{_end(operator)}")
            await asyncio.sleep(every)


def _counted(at: Moment) -> float:
    return at.total("serin_looks_total", result="Counted")


async def _at_zero(api: Api, number: int) -> bool:
    """Whether no canary of an experiment is left: its Deployments are what splits the traffic."""
    for service in service_names(number):
        found = await api.get(path(APPS, "deployments", namespace(number), canary_name(service)))
        if found["spec"]["replicas"]:
            return False
    return True


def _end(operator: Operator) -> str:
    return operator.log.read_text()[-3000:]
