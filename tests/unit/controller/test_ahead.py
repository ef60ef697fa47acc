"""Prometheus is asked before the looks are due: once for a slot, and by nobody where it is too late."""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serin.controller.ahead import Ahead
from serin.controller.looks import ahead, due_look, due_query, next_end, windows
from serin.controller.measured import Measured, Slot
from serin.controller.store import Key
from serin.engine.observation import LookResult, MeasurementFailure, ServiceCounts, Unmeasured, VariantCounts
from serin.metrics.source import MetricsSource, Target

SLOT = Slot(30.0, 6.0)
BEFORE = 947.95
"""The look from 906 to 936 is due at 951, and asked for from 948 on."""
A, B = Key("shop", "a"), Key("shop", "b")


def counts(requests: int) -> ServiceCounts:
    """So many requests of each."""
    return ServiceCounts(VariantCounts(requests, 0), VariantCounts(requests, 0))


class Source:
    """Notes what it is asked; the answer has the service's number in it."""

    def __init__(self, **answers: Callable[[], Any]) -> None:
        self.asked: list[tuple[str, float, float]] = []
        self.answers = answers
        self.fed: dict[Key, LookResult] = {}

    async def looks(
        self, targets: Collection[Target], ends_at: float, seconds: float, most: float
    ) -> dict[Target, ServiceCounts]:
        """Notes the questions."""
        looks = {each: asyncio.ensure_future(self._look(each, ends_at, seconds)) for each in targets}
        done, late = await asyncio.wait(looks.values(), timeout=most)
        for each in late:
            each.cancel()
        return {each: look.result() for each, look in looks.items() if look in done}

    async def _look(self, target: Target, ends_at: float, seconds: float) -> ServiceCounts:
        self.asked.append((target.service, ends_at, seconds))
        if target.service in self.answers:
            await self.answers[target.service]()
        return counts(int(target.service.removeprefix("s")))

    def feed(self, looks: Mapping[Key, LookResult]) -> None:
        """Takes what was answered."""
        self.fed.update(looks)


def target(service: str) -> Target:
    """A service of its own."""
    return Target("shop", service, frozenset({"control"}), frozenset({"canary"}))


def made(source: Source) -> tuple[Measured, Ahead]:
    """Two experiments of a slot, of two services and of one, counted until 906."""
    measured = Measured()
    measured.put(A, SLOT, 906.0, (target("s1"), target("s2")))
    measured.put(B, SLOT, 906.0, (target("s3"),))
    return measured, Ahead(source, measured, source.feed)  # type: ignore[arg-type]


async def ended(asking: Ahead) -> None:
    """Until nobody asks any more."""
    async with asyncio.timeout(10):
        while asking._tasks:
            await asyncio.wait(asking._tasks)


async def test_a_slot_is_asked_for_once() -> None:
    """Each experiment of it plans the same look."""
    source = Source()
    _, asking = made(source)
    for _ in range(3):
        asking.plan(SLOT, BEFORE)
    await ended(asking)
    asking.plan(SLOT, 950.0)
    assert not asking._tasks, "it has been"
    assert sorted(source.asked) == [(each, 936.0, 30.0) for each in ("s1", "s2", "s3")]
    assert source.fed == {
        A: LookResult(936.0, 30.0, {"s1": counts(1), "s2": counts(2)}),
        B: LookResult(936.0, 30.0, {"s3": counts(3)}),
    }
    asking.plan(SLOT, 952.0)
    assert len(asking._tasks) == 1, "the next one"
    asking.close()
    await asyncio.wait(asking._tasks)
    assert not asking._tasks


async def test_who_is_late_asks_alone() -> None:
    """After a start in between, looks are due before there is time to ask ahead; short intervals never have it."""
    source = Source()
    _, asking = made(source)
    asking.plan(SLOT, 948.5)
    asking.plan(Slot(10.0, 0.0), 947.0)
    assert not asking._tasks


async def test_nobody_who_needs_it_is_nobody_asked() -> None:
    """Whoever is behind has older looks to count first; a failing Prometheus is not asked twice as often."""
    source = Source()
    measured, asking = made(source)
    measured.remove(A)
    measured.put(B, SLOT, 876.0, (target("s3"),))
    asking.plan(SLOT, BEFORE)
    await ended(asking)
    assert not source.asked


async def test_a_clock_that_was_ahead_does_not_stop_it() -> None:
    """What was planned for tomorrow is not what is planned now."""
    source = Source()
    _, asking = made(source)
    asking.plan(SLOT, BEFORE + 86_400.0)
    asking.plan(SLOT, BEFORE)
    await ended(asking)
    assert source.fed.keys() == {A, B}


async def test_a_slow_prometheus_keeps_nobody_elses_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the looks are due, what is there is fed."""
    monkeypatch.setattr("serin.controller.ahead.ahead", lambda _: 0.5)
    source = Source(s2=asyncio.Event().wait)
    _, asking = made(source)
    begun = time.monotonic()
    asking.plan(SLOT, BEFORE)
    await ended(asking)
    assert time.monotonic() - begun < 5
    # The time for it is over as well: whoever looks works it out.
    assert source.fed.keys() <= {B}


async def test_what_goes_wrong_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """Once, in the log, and the looks go on without it."""

    async def wrong() -> None:
        raise RuntimeError("a mistake of ours")

    source = Source(s1=wrong)
    _, asking = made(source)
    asking.plan(SLOT, BEFORE)
    await ended(asking)
    said = "".join(capsys.readouterr())
    assert "asking ahead failed" in said
    assert "a mistake of ours" in said


async def test_whoever_looks_then_has_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """One query for the slot, of everybody: those who look later ask for the same, to the last bit."""
    queries = 0

    async def query(*_: object) -> Unmeasured:
        nonlocal queries
        queries += 1
        return Unmeasured(MeasurementFailure.CLIENT_ERROR, "not this one")

    source, noted = MetricsSource(), Source()
    monkeypatch.setattr(source._client, "query", query)
    measured, _ = made(noted)
    asking = Ahead(source, measured, noted.feed)
    measured.remove(A)
    asking.plan(SLOT, BEFORE)
    await ended(asking)
    assert noted.fed.keys() == {B}
    ((ends_at, seconds),) = windows(906.0, 951.0, *SLOT)
    same = Target("shop", "s3", frozenset({"control"}), frozenset({"canary"}))
    await source.look(same, measured.who(SLOT, ends_at, seconds), ends_at, seconds)
    assert queries == 1
    source.close()


@given(
    st.integers(0, 2_000_000_000_000), st.sampled_from([5.0, 10.0, 20.0, 26.0, 30.0, 60.0, 600.0]), st.integers(0, 59)
)
def test_what_is_asked_ahead_is_what_is_looked_at(now: int, interval: float, shift: int) -> None:
    """The question is, to the last bit, that of the look; it comes when what the look counts is stored."""
    at, slot = now / 1000, Slot(interval, float(shift % int(interval)))
    ends_at = next_end(at, *slot)
    assert windows(ends_at - interval, at + due_look(at, *slot) + 1e-3, *slot) == [(ends_at, interval)]
    assert due_query(at, *slot) == due_look(at, *slot) - ahead(interval)
    assert due_look(at, *slot) <= interval * (1 + 1e-6)
    assert not ahead(interval) or interval / 2 - ahead(interval) >= 10.0
