"""What one query asks for."""

from serin.metrics import queries
from serin.metrics.source import Target, look_query


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
    assert all(f'"{part}"' in text for part in ("requests", "before", "buckets"))
    assert '=~"ns-a|ns-b"' in text
    assert '=~"a|b|canary|control"' in text
