"""What one query asks for, and how many are asked at once."""

import asyncio
from typing import Any

import pytest

from serin.engine.observation import MeasurementFailure, Unmeasured
from serin.metrics import queries
from serin.metrics.source import MetricsSource, Target, look_query


def test_edges_are_asked_for_only_when_all_say_which() -> None:
    """One target that wants every edge widens the query; otherwise the union is asked for."""
    names = frozenset({"control"}), frozenset({"canary"})
    some = [Target("ns", "a", *names, edges=(0.15,)), Target("ns", "b", *names, edges=(0.2,))]
    assert queries.edge_matcher({0.15, 0.2}) in look_query(some, 30)
    assert "le=~" not in look_query([*some, Target("ns", "c", *names)], 30)


def test_every_name_is_in_the_query() -> None:
    """Namespace, service, role and Deployment of each target; and the three parts of an answer."""
    some = [Target(f"ns-{each}", each, frozenset({"control", each}), frozenset({"canary"})) for each in "ab"]
    text = look_query(some, 30)
    assert all(f'"{part}"' in text for part in ("requests", "before"))
    assert text.count("label_replace") == 2, "the buckets, nearly all of the rows, are not given a name"
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
