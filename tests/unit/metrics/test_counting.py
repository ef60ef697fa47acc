"""Which buckets are counted from sums, which series by series, and whose failure is whose."""

from typing import TYPE_CHECKING, Any

import pytest

from serin.engine.observation import MeasurementFailure, ServiceCounts, Unmeasured
from serin.metrics import queries
from serin.metrics.answers import Row
from serin.metrics.rows import BEFORE, REQUESTS, SEEN, STEADY
from serin.metrics.source import MetricsSource, Target

if TYPE_CHECKING:
    from collections.abc import Callable

SERVICES = ("web-a", "web-b", "web-c")
LOOK = 30.0
LATE = Unmeasured(MeasurementFailure.TIMEOUT, "late")
REFUSED = Unmeasured(MeasurementFailure.CLIENT_ERROR, "too many samples")


def target(service: str) -> Target:
    """A service with control and canary."""
    return Target("ns", service, frozenset({"control"}), frozenset({"canary"}))


class Server:
    """Two variants of each service, that count ten requests in each look; what it is asked, by kind.

    Attributes:
        restless: services whose pods restart all the time.
        series: histograms that have a sample, by the time that is asked for.
        timed: counted by the histogram in each look, of ten requests.
        each: what it says when asked series by series.
    """

    def __init__(self, *restless: str) -> None:
        self.restless = restless
        self.series: Callable[[float], int] = lambda _: 2
        self.timed = 10
        self.each: Callable[[list[str]], Unmeasured | None] = lambda _: None
        self.asked: list[tuple[str, float]] = []

    async def query(self, _: Any, text: str, at: float) -> list[Row] | Unmeasured:
        """Answer as Prometheus would."""
        services = [each for each in SERVICES if each in text]
        who = [(service, variant) for service in services for variant in ("control", "canary")]
        if "offset" not in text:
            self.asked.append(("sums", at))
            return [*self._sums(who, at), *self._parts(who, at, SEEN)]
        if queries.PART in text:
            self.asked.append(("look", at))
            steady = [each for each in who if each[0] not in self.restless]
            rows = [*self._sums(who, at), *self._parts(who, at, SEEN), *self._parts(steady, at, STEADY)]
            return [*rows, *self._parts(who, at, BEFORE), *self._parts(who, at, REQUESTS)]
        self.asked.append((f"each {'+'.join(services)}", at))
        return self.each(services) or [self._row(each, at, "7", le=le) for each in who for le in ("0.1", "+Inf")]

    def _row(self, who: tuple[str, str], at: float, value: str, **labels: str) -> Row:
        return Row({"namespace": "ns", "service": who[0], "variant": who[1], **labels}, (at, value))

    def _sums(self, who: list[tuple[str, str]], at: float) -> list[Row]:
        total = str(at / LOOK * self.timed)
        return [self._row(each, at, total, le=le) for each in who for le in ("0.1", "+Inf")]

    def _parts(self, who: list[tuple[str, str]], at: float, part: str) -> list[Row]:
        value = "10" if part == REQUESTS else str(self.series(at))
        more = {"code": "200"} if part == REQUESTS else {}
        return [self._row(each, at, value, **{queries.PART: part}, **more) for each in who]


async def looked(
    monkeypatch: pytest.MonkeyPatch, server: Server, looks: list[float]
) -> list[dict[str, int | MeasurementFailure]]:
    """What each service's canary had timed in each look, or why nobody knows."""
    source = MetricsSource()
    monkeypatch.setattr(source._client, "query", server.query)
    everyone, found = [target(name) for name in SERVICES], []
    for ends_at in looks:
        counts = {each.service[-1]: await source.look(each, everyone, ends_at, LOOK) for each in everyone}
        found.append(
            {
                name: each.canary.timed if isinstance(each, ServiceCounts) else each.failure
                for name, each in counts.items()
            }
        )
    source.close()
    return found


async def test_one_query_for_each_look_once_a_beginning_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a look that was left out it is asked for again."""
    server = Server()
    found = await looked(monkeypatch, server, [300.0, 330.0, 360.0, 420.0])
    assert found == [{"a": 10, "b": 10, "c": 10}] * 4
    expected = [("look", 300.0), ("sums", 270.0), ("look", 330.0), ("look", 360.0), ("look", 420.0), ("sums", 390.0)]
    assert server.asked == expected


async def test_who_restarts_is_counted_by_a_query_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """And nobody else is."""
    server = Server("web-b")
    assert await looked(monkeypatch, server, [300.0, 330.0]) == [{"a": 10, "b": 7, "c": 10}] * 2
    assert server.asked[2:] == [("each web-b", 300.0), ("look", 330.0), ("each web-b", 330.0)]


async def test_its_failure_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash loop with a hundred thousand series must not blind those with which it shares a query."""
    server = Server("web-b")
    server.each = lambda _: LATE
    timeout = MeasurementFailure.TIMEOUT
    assert await looked(monkeypatch, server, [300.0, 330.0]) == [{"a": 10, "b": timeout, "c": 10}] * 2
    assert ("sums", 300.0) not in server.asked, "what the others had at the beginning is known"


async def test_what_is_refused_is_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two services that are counted series by series one is too large."""
    server = Server("web-b", "web-c")
    server.each = lambda services: REFUSED if "web-c" in services else None
    found = await looked(monkeypatch, server, [300.0])
    assert found == [{"a": 10, "b": 7, "c": MeasurementFailure.CLIENT_ERROR}]


async def test_a_series_that_came_late_is_no_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its sample was not in Prometheus yet, or not in the replica that answered: a whole life would be one look's."""
    server = Server()
    server.series = lambda at: 1 if at == 300.0 else 2
    parts = server._parts
    monkeypatch.setattr(server, "_parts", lambda who, at, part: parts(who, 0.0 if part == STEADY else at, part))
    found = await looked(monkeypatch, server, [300.0, 330.0, 360.0])
    assert [each["a"] for each in found] == [10, 7, 10]
    assert server.asked[2:] == [
        ("look", 330.0),
        ("sums", 300.0),
        ("each web-a+web-b+web-c", 330.0),
        ("look", 360.0),
    ]


async def test_more_timed_than_requested_is_no_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the reason is, series by series nothing can be another's."""
    server = Server()
    server.timed = 20
    assert await looked(monkeypatch, server, [300.0]) == [{"a": 7, "b": 7, "c": 7}]
