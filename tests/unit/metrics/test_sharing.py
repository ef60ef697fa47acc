"""How many targets one query asks for."""

from serin.metrics import queries
from serin.metrics.source import _URL, Target, _chunks, _queries


def targets(number: int) -> list[Target]:
    """Services with names as long as Kubernetes allows."""
    names = frozenset({"control"}), frozenset({"canary"})
    return [Target("namespace", f"{index:03}-{'x' * 59}", *names) for index in range(number)]


def test_no_query_is_longer_than_a_proxy_takes() -> None:
    """Every target is in one chunk, and each chunk's queries fit into a request line."""
    everyone = targets(200)
    chunks = _chunks(everyone, 30)
    assert [each for chunk in chunks for each in chunk] == everyone
    assert all(queries.url_length(text) <= _URL <= 8000 for chunk in chunks for text in _queries(chunk, 30))
    assert len(chunks) < 20


def test_edges_are_asked_for_only_when_all_say_which() -> None:
    """One target that wants every edge widens the query; otherwise the union is asked for."""
    names = frozenset({"control"}), frozenset({"canary"})
    some = [Target("ns", "a", *names, edges=(0.15,)), Target("ns", "b", *names, edges=(0.2,))]
    assert queries.edge_matcher({0.15, 0.2}) in _queries(some, 30)[2]
    assert "le=~" not in _queries([*some, *targets(1)], 30)[2]
