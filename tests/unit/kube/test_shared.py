"""Reads that looks share: few are made one by one, many by one list, and what was written is read again."""

from typing import Any

import pytest

from serin.kube.client import Kube
from serin.kube.errors import Forbidden, NotFound
from serin.kube.shared import SharedReads

ROUTES = ("gateway.networking.k8s.io/v1", "httproutes")


class Server(Kube):
    """Routes by namespace, and what was asked for."""

    def __init__(self, routes: int) -> None:
        super().__init__(None)  # type: ignore[arg-type]
        self.weights = {(f"team-{number % 3}", f"route-{number}"): 5 for number in range(routes)}
        self.calls: list[str] = []
        self.may_list = True

    def get(self, _api: str, plural: str, namespace: str | None, name: str) -> dict[str, Any]:
        """One route."""
        self.calls.append(f"get {plural}")
        if (namespace or "", name) not in self.weights:
            raise NotFound("gone", 404)
        return _route(namespace or "", name, self.weights[namespace or "", name])

    def list(self, _api: str, plural: str, namespace: str | None = None, **_: Any) -> list[dict[str, Any]]:
        """All routes, or those of a namespace."""
        self.calls.append(f"list {plural} {namespace or 'all'}")
        if namespace is None and not self.may_list:
            raise Forbidden("no", 403)
        return [_route(*where, weight) for where, weight in self.weights.items() if namespace in {None, where[0]}]


class Clock:
    """Seconds that go forward when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def _route(namespace: str, name: str, weight: int) -> dict[str, Any]:
    return {"metadata": {"namespace": namespace, "name": name}, "weight": weight}


def _pass(reads: SharedReads, server: Server) -> list[int]:
    """Every route as a look sees it."""
    return [reads.get(*ROUTES, *where)["weight"] for where in server.weights]


def test_a_few_are_read_one_by_one() -> None:
    """Five routes are five calls, each of which is fresh."""
    server = Server(5)
    reads = SharedReads(server, {})
    assert _pass(reads, server) == [5] * 5
    assert server.calls == ["get httproutes"] * 5


def test_many_are_one_list_and_no_older_than_a_second() -> None:
    """A pass over a thousand routes costs one list; a later one sees what has changed meanwhile."""
    server, clock = Server(1000), Clock()
    reads = SharedReads(server, {}, clock=clock)
    _pass(reads, server)
    assert len(server.calls) < 12
    server.calls.clear()
    clock.now = 5.0
    server.weights["team-0", "route-0"] = 50
    assert max(_pass(reads, server)) == 50
    assert server.calls == ["list httproutes all"]


def test_what_was_written_is_read_again() -> None:
    """After a write of its own kind not even a fresh list is believed."""
    server, clock = Server(100), Clock()
    reads = SharedReads(server, {}, clock=clock)
    _pass(reads, server)
    server.weights["team-0", "route-0"] = 50
    reads.forget("services")
    assert reads.get(*ROUTES, "team-0", "route-0")["weight"] == 5
    reads.forget("httproutes")
    clock.now = 0.001
    assert reads.get(*ROUTES, "team-0", "route-0")["weight"] == 50


def test_what_is_gone_is_not_found() -> None:
    """A list knows what is not there."""
    server = Server(100)
    reads = SharedReads(server, {})
    _pass(reads, server)
    with pytest.raises(NotFound):
        reads.get(*ROUTES, "team-0", "never")


def test_without_the_right_to_list_each_is_read_by_itself() -> None:
    """A cluster that gives only `get` works as before, and is asked for the list once."""
    server = Server(30)
    server.may_list = False
    reads = SharedReads(server, {})
    assert _pass(reads, server) == [5] * 30
    assert server.calls.count("list httproutes all") == 1
    assert server.calls.count("get httproutes") == 30


def test_namespaces_share_a_list_too() -> None:
    """The Services of many namespaces are listed together, those of a few namespaces each by itself."""
    server = Server(60)
    reads = SharedReads(server, {})
    assert len(reads.list("v1", "services", "team-1")) == 20
    assert server.calls == ["list services team-1"]
    for number in range(40):
        reads.list("v1", "services", f"other-{number}")
    assert len(server.calls) < 12
    assert server.calls[-1] == "list services all"


def test_what_is_watched_costs_no_call() -> None:
    """Deployments come from the store."""
    server = Server(0)
    known = {("shop", "web"): _route("shop", "web", 1)}
    reads = SharedReads(server, {("apps/v1", "deployments"): lambda *where: known.get(where)})
    assert reads.get("apps/v1", "deployments", "shop", "web")["weight"] == 1
    with pytest.raises(NotFound):
        reads.get("apps/v1", "deployments", "shop", "other")
    assert server.calls == []
