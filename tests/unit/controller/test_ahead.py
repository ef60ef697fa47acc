"""Prometheus is asked before the looks are due: once for a slot, and by nobody where it is too late."""

import asyncio
from collections.abc import Iterable, Mapping

from hypothesis import given
from hypothesis import strategies as st

from serin.controller.ahead import Ahead
from serin.controller.looks import due_look, due_query, next_end, windows
from serin.controller.measured import Measured, Slot
from serin.controller.store import Key
from serin.engine.observation import LookResult, ServiceCounts, VariantCounts
from serin.metrics.source import Target

SLOT = Slot(30.0, 6.0)


class Source:
    """Notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, float, float]] = []
        self.fed: dict[Key, LookResult] = {}
        self.told = asyncio.Event()

    async def look(self, target: Target, everyone: Iterable[Target], ends_at: float, seconds: float) -> ServiceCounts:
        """Notes the question; the answer has the service's number in it."""
        assert target in list(everyone)
        self.asked.append((target.service, ends_at, seconds))
        return counts(int(target.service))

    async def feed(self, looks: Mapping[Key, LookResult]) -> None:
        """Takes what was answered."""
        self.fed.update(looks)
        self.told.set()


def counts(requests: int) -> ServiceCounts:
    """So many requests of each."""
    return ServiceCounts(VariantCounts(requests, 0), VariantCounts(requests, 0))


def made() -> tuple[Source, Ahead]:
    """Two experiments of a slot, of two services and of one, counted until 906."""
    source, measured = Source(), Measured()
    for name, services in {"a": "12", "b": "3"}.items():
        targets = (Target("shop", each, frozenset({"control"}), frozenset({"canary"})) for each in services)
        measured.put(Key("shop", name), SLOT, 906.0, tuple(targets))
    return source, Ahead(source, measured, source.feed)  # type: ignore[arg-type]


async def test_a_slot_is_asked_for_once() -> None:
    """Each experiment of it plans the same look; the one at 936 is due at 951, and asked for from 948 on."""
    source, ahead = made()
    for _ in range(3):
        ahead.plan(SLOT, 947.95)
    async with asyncio.timeout(5):
        await source.told.wait()
    ahead.plan(SLOT, 950.0)
    await asyncio.sleep(0)
    assert sorted(source.asked) == [(each, 936.0, 30.0) for each in "123"]
    assert source.fed == {
        Key("shop", "a"): LookResult(936.0, 30.0, {"1": counts(1), "2": counts(2)}),
        Key("shop", "b"): LookResult(936.0, 30.0, {"3": counts(3)}),
    }


async def test_who_is_late_asks_alone() -> None:
    """After a start in between the looks are due before there is time to ask ahead."""
    source, ahead = made()
    ahead.plan(SLOT, 948.5)
    assert not ahead._tasks
    ahead.plan(SLOT, 951.5)
    assert len(ahead._tasks) == 1, "the next one can be"
    for task in ahead._tasks:
        task.cancel()
    assert not source.asked


@given(st.integers(0, 2_000_000_000_000), st.sampled_from([1.0, 5.0, 10.0, 30.0, 60.0, 3600.0]), st.integers(0, 59))
def test_what_is_asked_ahead_is_what_is_looked_at(now: int, interval: float, shift: int) -> None:
    """The question is, to the last bit, that of the look: with another end or length it would be asked twice."""
    at, slot = now / 1000, Slot(interval, float(shift % int(interval)))
    ends_at = next_end(at, *slot)
    assert windows(ends_at - interval, at + due_look(at, *slot) + 1e-3, *slot) == [(ends_at, interval)]
    assert due_query(at, *slot) < due_look(at, *slot) <= interval * (1 + 1e-6)
