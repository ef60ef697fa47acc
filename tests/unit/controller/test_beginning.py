"""How many experiments are on their way into a stage at once, and who need not wait for Prometheus at all."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from serin.api.status import Phase
from serin.controller.observe import Observer
from serin.controller.reconcile import _BEGIN_AT_ONCE, Reconciler
from serin.controller.store import Key, Store
from serin.engine.world import World
from tests.unit.engine.worlds import reach, spec


def _made(name: str, phase: str, **meta: Any) -> dict[str, Any]:
    about = {"namespace": "shop", "name": name, "uid": name, "resourceVersion": "1", "generation": 1, **meta}
    return {"metadata": about, "spec": {}, "status": {"phase": phase}}


class _Leads:
    """Holds the Lease."""

    def held(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("last", "waits"),
    [
        (_made("last", "Pending"), True),
        (_made("last", "Preparing"), True),
        (_made("last", "Preparing", deletionTimestamp="2026-01-01T00:00:00Z"), False),
        (_made("last", "Progressing"), False),
        (_made("last", "RollingBack"), False),
    ],
)
async def test_a_crowd_that_begins_waits_and_nobody_else_does(
    monkeypatch: pytest.MonkeyPatch, last: dict[str, Any], waits: bool
) -> None:
    """Thousands that are applied at once ask Prometheus ten times each; who is in a stage asks there too."""
    nobody: Any = None
    store, begun, go = Store(), [], asyncio.Event()

    async def turn(_: Reconciler, key: Key, *__: Any) -> float:
        begun.append(key.name)
        await go.wait()
        return 3600.0

    monkeypatch.setattr(Reconciler, "_turn", turn)
    with ThreadPoolExecutor() as executor:
        made = Reconciler(nobody, store, nobody, nobody, _Leads(), executor, "me")  # type: ignore[arg-type]
        for number in range(_BEGIN_AT_ONCE):
            store.experiments.put(_made(f"e{number}", "Pending"))
        store.experiments.put(last)
        crowd = [asyncio.create_task(made.reconcile(Key("shop", f"e{number}"))) for number in range(_BEGIN_AT_ONCE)]
        await asyncio.sleep(0)
        one = asyncio.create_task(made.reconcile(Key("shop", "last")))
        await asyncio.sleep(0)
        assert ("last" in begun) is not waits
        go.set()
        assert await asyncio.gather(*crowd) == [3600.0] * _BEGIN_AT_ONCE
        after = await one
        assert after is not None
        assert (after < 60) is waits
        assert await made.reconcile(Key("shop", "last")) == 3600.0, "there is room again"


async def test_an_abort_does_not_wait_for_a_measurement() -> None:
    """A Prometheus that does not answer keeps a look for its timeout."""
    world = World(spec())
    reach(world, Phase.PROGRESSING, "canary")
    obj, nobody = _made("a", "Progressing"), None
    with ThreadPoolExecutor() as executor:
        observer = Observer(Store(), nobody, nobody, nobody, executor)  # type: ignore[arg-type]
        late = world.now + 120.0
        assert await observer._looks(obj, spec(abort=True), world.status, late) == ()
        with pytest.raises(AttributeError, match=r"asked|look"):
            await observer._looks(obj, spec(), world.status, late)
