"""How many experiments are on their way into a stage at once, and who need not wait for Prometheus at all."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest

from serin.api.status import Phase, ServiceStatus, Status
from serin.controller.beginners import AT_ONCE, Beginners, begins
from serin.controller.observe import Observer
from serin.controller.store import Key, Store
from serin.engine.observation import MeasurementFailure, Unmeasured
from serin.engine.world import World
from serin.traffic.router import Routers
from tests.unit.engine.worlds import reach, spec

ONE, OTHER = "http://one:9090", "http://other:9090"


def _made(**meta: Any) -> dict[str, Any]:
    about = {"namespace": "shop", "name": "a", "uid": "a", "resourceVersion": "1", "generation": 1, **meta}
    return {"metadata": about, "spec": {}}


def _status(phase: Phase, **changes: Any) -> Status:
    return msgspec.structs.replace(Status(), phase=phase, **changes)


@pytest.mark.parametrize(
    ("obj", "asked", "status", "waits"),
    [
        (_made(), spec(), _status(Phase.PENDING), True),
        (_made(), spec(), _status(Phase.PREPARING), True),
        (_made(), spec(), _status(Phase.PROGRESSING), False),
        (_made(), spec(), _status(Phase.ROLLING_BACK), False),
        (_made(), spec(), _status(Phase.ROLLED_BACK), False),
        (_made(deletionTimestamp="2026-01-01T00:00:00Z"), spec(), _status(Phase.PREPARING), False),
        (_made(), spec(abort=True), _status(Phase.PREPARING), False),
        (_made(), spec(), _status(Phase.PREPARING, weight=50), False),
        (_made(), spec(), _status(Phase.PREPARING, mirror=10), False),
        (_made(), spec(), _status(Phase.PREPARING, services=(ServiceStatus(name="a", observed_weight=50.0),)), False),
        (_made(), spec(), _status(Phase.PREPARING, services=(ServiceStatus(name="a", observed_weight=0.0),)), True),
    ],
)
def test_who_takes_something_back_does_not_wait(obj: dict[str, Any], asked: Any, status: Status, waits: bool) -> None:
    """A run that was edited while users were on its canary first gives them back."""
    assert begins(obj, asked, status) is waits


async def test_a_crowd_that_begins_is_served_as_it_came() -> None:
    """Thousands that are applied at once ask Prometheus ten times each; another server's experiments don't wait."""
    woken: list[str] = []
    queue, begun, go = Beginners(lambda key: woken.append(key.name)), [], asyncio.Event()

    async def ask(name: str, server: str = ONE) -> float:
        async def turn() -> float:
            begun.append(name)
            await go.wait()
            return 3600.0

        return await queue.turn(Key("shop", name), server, turn)

    crowd = [asyncio.create_task(ask(f"e{number}")) for number in range(AT_ONCE)]
    await asyncio.sleep(0)
    for name in ("late", "later", "late"):
        assert 0 < await ask(name) < 60
    other = asyncio.create_task(ask("other", OTHER))
    await asyncio.sleep(0)
    assert begun == [*(f"e{number}" for number in range(AT_ONCE)), "other"]
    go.set()
    assert await asyncio.gather(*crowd, other) == [3600.0] * (AT_ONCE + 1)
    assert woken == ["late", "later"]
    assert await ask("late") == 3600.0
    assert not queue._waiting
    assert not queue._running, "nothing is kept of a server that nobody asks"


async def test_a_turn_that_fails_gives_its_place_back() -> None:
    """Else nobody would begin any more."""
    queue = Beginners()

    async def fail() -> float:
        raise RuntimeError("a fault in one experiment")

    for _ in range(AT_ONCE + 1):
        with pytest.raises(RuntimeError):
            await queue.turn(Key("shop", "a"), ONE, fail)


@pytest.mark.parametrize("abort", [False, True])
async def test_an_abort_does_not_wait_for_a_measurement(monkeypatch: pytest.MonkeyPatch, abort: bool) -> None:
    """A Prometheus that does not answer keeps a look for its timeout."""
    world = World(spec())
    reach(world, Phase.PROGRESSING, "canary")
    asked: list[str] = []

    async def none(*_: Any) -> tuple[()]:
        return ()

    monkeypatch.setattr(Observer, "_services", none)

    class Source:
        def asked(self, *_: Any) -> bool:
            return False

        def answered(self, *_: Any) -> None:
            return None

        async def look(self, *_: Any) -> Any:
            asked.append("look")
            return Unmeasured(MeasurementFailure.TIMEOUT, "late")

        async def history(self, *_: Any) -> Any:
            asked.append("history")

    nobody: Any = None
    with ThreadPoolExecutor() as executor:
        observer = Observer(Store(), nobody, Routers(nobody), Source(), executor)  # type: ignore[arg-type]
        seen = await observer.observe(_made(), spec(abort=abort), world.status, world.now + 120.0, asked=True)
    assert (seen.looks == ()) is abort
    assert (asked == []) is abort
