"""Who is looked at after a list: everybody at the start, later only those whom something new concerns."""

import copy
from collections.abc import Awaitable, Iterator
from typing import Any

from serin.controller.scheduler import Scheduler
from serin.controller.store import Key, Store
from serin.controller.sync import Sync
from serin.kube.errors import Unavailable


class Lists:
    """What the API server lists."""

    def __init__(self) -> None:
        self.objects: dict[str, list[dict[str, Any]]] = {"deployments": [], "canaryexperiments": []}

    def pages(self, _api: str, plural: str, _namespace: str | None) -> Iterator[list[dict[str, Any]]]:
        """As `serin.kube.client.Kube.pages`, an object a page."""
        yield from ([obj] for obj in copy.deepcopy(self.objects[plural]))


class Wakes(Scheduler):
    """Notes who is woken."""

    def __init__(self) -> None:
        super().__init__(_never)
        self.woken: list[str] = []

    def wake(self, key: Key, after: float = 0.0) -> None:
        """As `Scheduler.wake`."""
        del after
        self.woken.append(key.name)

    def taken(self) -> list[str]:
        """Who was woken since the last time."""
        found, self.woken = sorted(self.woken), []
        return found


def _never(_: Key) -> Awaitable[float | None]:
    raise AssertionError


def _object(name: str, version: int, **rest: Any) -> dict[str, Any]:
    meta = {"namespace": "shop", "name": name, "uid": name, "resourceVersion": str(version)}
    return {"metadata": meta, **rest}


def _experiment(name: str, version: int = 1) -> dict[str, Any]:
    service = {"name": "a", "control": {"deployment": f"{name}-old"}, "canary": {"deployment": f"{name}-new"}}
    return _object(name, version, spec={"services": [service]})


async def test_a_list_wakes_those_that_it_has_news_of() -> None:
    """A changed experiment, one whose Deployment changed, one that is gone; not the other hundred."""
    kube, store, wakes = Lists(), Store(), Wakes()
    kube.objects["deployments"] = [_object("one-old", 1), _object("two-old", 1)]
    kube.objects["canaryexperiments"] = [_experiment(name) for name in ("one", "two", "three", "four")]
    known: list[str] = []

    def register(obj: dict[str, Any]) -> float:
        known.append(obj["metadata"]["name"])
        return 0.0

    sync = Sync(kube, store, wakes, "", register)  # type: ignore[arg-type]
    await sync.once()
    assert wakes.taken() == sorted(known) == ["four", "one", "three", "two"]
    await sync.once()
    assert wakes.taken() == []
    kube.objects["deployments"][0]["metadata"]["resourceVersion"] = "2"
    kube.objects["canaryexperiments"] = [_experiment("one"), _experiment("two", 2), _experiment("four")]
    await sync.once()
    assert wakes.taken() == ["one", "three", "two"]
    assert len(known) == 4


async def test_those_of_a_slot_come_together_after_a_start() -> None:
    """Their queries are shared, and an answer is not kept for ever."""
    kube, store = Lists(), Store()
    kube.objects["canaryexperiments"] = [_experiment(f"e{number}") for number in range(9)]
    order: list[str] = []

    class Ordered:
        def wake(self, key: Key) -> None:
            order.append(key.name)

    sync = Sync(kube, store, Ordered(), "", lambda obj: int(obj["metadata"]["name"][1:]) % 3 * 6.0)  # type: ignore[arg-type]
    await sync.once()
    assert [int(name[1:]) % 3 for name in order] == [0, 0, 0, 1, 1, 1, 2, 2, 2]


async def test_news_survive_an_outage_in_the_middle(monkeypatch: Any) -> None:
    """A Deployment that was seen to have changed wakes its experiment, though the next list failed at first."""
    monkeypatch.setattr("serin.controller.sync._RETRY", 0.0)
    kube, store, wakes = Lists(), Store(), Wakes()
    kube.objects["deployments"] = [_object("one-old", 1)]
    kube.objects["canaryexperiments"] = [_experiment("one")]
    sync = Sync(kube, store, wakes, "")  # type: ignore[arg-type]
    await sync.once()
    wakes.taken()
    kube.objects["deployments"] = [_object("one-old", 2)]
    real = kube.pages

    def failing(api: str, plural: str, namespace: str | None) -> Iterator[list[dict[str, Any]]]:
        if plural == "canaryexperiments":
            kube.pages = real  # type: ignore[method-assign]
            raise Unavailable("the API server answered 503", 503)
        yield from real(api, plural, namespace)

    kube.pages = failing  # type: ignore[assignment]
    await sync.once()
    assert wakes.taken() == ["one"]
