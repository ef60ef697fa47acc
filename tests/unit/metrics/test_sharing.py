"""What one query asks for, and how many are asked at once."""

import asyncio
from typing import Any

import pytest

from serin.api.spec import PrometheusRef
from serin.engine.observation import MeasurementFailure, Unmeasured
from serin.metrics import queries
from serin.metrics import source as source_module
from serin.metrics.answers import Row
from serin.metrics.credentials import Access
from serin.metrics.source import MetricsSource, Target, look_query


def test_edges_are_asked_for_only_when_all_say_which() -> None:
    """One target that wants every edge widens the query; otherwise the union is asked for."""
    names = frozenset({"control"}), frozenset({"canary"})
    some = [Target("ns", "a", *names, edges=(0.15,)), Target("ns", "b", *names, edges=(0.2,))]
    assert queries.edge_matcher({0.15, 0.2}) in look_query(some, 30)
    every = look_query([*some, Target("ns", "c", *names)], 30)
    assert every.count("le=~") == every.count('le=~"\\\\+Inf"') == 6, "but for the parts that say who did nothing else"


def test_every_name_is_in_the_query() -> None:
    """Namespace, service, role and Deployment of each target; and the parts of an answer."""
    some = [Target(f"ns-{each}", each, frozenset({"control", each}), frozenset({"canary"})) for each in "ab"]
    text = look_query(some, 30)
    assert all(f'"{part}"' in text for part in ("seen", "requests", "before", "steady"))
    assert text.count("label_replace") == 4, "the buckets, nearly all of the rows, are not given a name"
    assert text.rindex(", le)") > text.rindex("label_replace"), "they come last"
    assert '=~"ns-a|ns-b"' in text
    assert '=~"a|b|canary|control"' in text


@pytest.mark.parametrize(("size", "most"), [(60, 2), (5, 8)])
async def test_few_large_answers_are_read_at_once(monkeypatch: pytest.MonkeyPatch, size: int, most: int) -> None:
    """After a restart many looks are made up for; small ones need no turn, and a failure gives its turn back."""
    names = frozenset({"control"}), frozenset({"canary"})
    everyone = [Target("ns", f"a{number}", *names) for number in range(size)]
    source, running, seen = MetricsSource(), 0, 0

    async def query(*_: Any) -> Unmeasured:
        nonlocal running, seen
        running += 1
        seen = max(seen, running)
        for _ in range(5):
            await asyncio.sleep(0)
        running -= 1
        return Unmeasured(MeasurementFailure.UNREACHABLE, "away")

    monkeypatch.setattr(source._client, "query", query)
    found = await asyncio.gather(*(source.look(everyone[0], everyone, 30.0 * look, 30.0) for look in range(8)))
    source.close()
    assert [each.message for each in found if isinstance(each, Unmeasured)] == ["away"] * 8
    assert seen == most


@pytest.mark.parametrize("failure", [None, MeasurementFailure.TIMEOUT])
async def test_an_answer_is_kept_from_when_it_is_there(
    monkeypatch: pytest.MonkeyPatch, failure: MeasurementFailure | None
) -> None:
    """After a start with thousands, many queries wait for their turn longer than an answer is kept."""
    target = Target("ns", "a", frozenset({"control"}), frozenset({"canary"}))
    source, asked, now = MetricsSource(), [], 1000.0
    monkeypatch.setattr(source_module.time, "monotonic", lambda: now)

    async def query(_: Any, __: str, at: float) -> list[Row] | Unmeasured:
        nonlocal now
        asked.append(at)
        now += 100.0
        return [] if failure is None else Unmeasured(failure, "late")

    monkeypatch.setattr(source._client, "query", query)
    await source.look(target, (), 30.0, 30.0)
    await source.look(target, (), 60.0, 30.0)
    await source.look(target, (), 60.0, 30.0)
    assert asked == [30.0, 60.0] if failure is None else asked == [30.0, 60.0, 60.0]
    now += 61.0
    await source.look(target, (), 90.0, 30.0)
    assert [key[2] for key in source._shared] == [90.0]
    source.close()


async def test_who_asks_for_many_waits_for_answers_and_not_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of one Prometheus share a query; of another one there is nothing yet, and it is not asked twice."""
    names = frozenset({"control"}), frozenset({"canary"})
    quick = [Target("ns", f"a{number}", *names) for number in range(3)]
    slow = Target("ns", "b", *names, prometheus=PrometheusRef(address="http://slow:9090"))
    source, go, asked = MetricsSource(), asyncio.Event(), []

    async def query(access: Access, *_: Any) -> Unmeasured:
        asked.append(access.ref.address)
        if access.ref.address == "http://slow:9090":
            await go.wait()
        return Unmeasured(MeasurementFailure.CLIENT_ERROR, "not this one")

    monkeypatch.setattr(source._client, "query", query)
    assert source.answered(quick[0], 30.0, 30.0) is None
    found = await source.looks([*quick, slow], 30.0, 30.0, 0.05)
    assert found.keys() == set(quick)
    assert source.answered(quick[0], 30.0, 30.0) is found[quick[0]]
    assert source.answered(slow, 30.0, 30.0) is None
    assert source.asked(slow, 30.0, 30.0)
    before = len(asked)
    go.set()
    assert (await source.looks([*quick, slow], 30.0, 30.0, 5.0)).keys() == {*quick, slow}
    assert len(asked) == before
    assert await source.looks([], 30.0, 30.0, 5.0) == {}
    source.close()


async def test_what_may_pass_is_nobodys_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looks then asks again."""
    source = MetricsSource()

    async def query(*_: Any) -> Unmeasured:
        return Unmeasured(MeasurementFailure.TIMEOUT, "late")

    monkeypatch.setattr(source._client, "query", query)
    target = Target("ns", "a", frozenset({"control"}), frozenset({"canary"}))
    assert await source.looks([target], 30.0, 30.0, 5.0) == {}
    assert source.answered(target, 30.0, 30.0) is None
    source.close()
