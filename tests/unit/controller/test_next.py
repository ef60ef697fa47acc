"""When an experiment is looked at next, and which look is taken of those that are due."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest

from serin.api.status import Phase, Status
from serin.controller import reconcile
from serin.controller.looks import offset
from serin.controller.measured import Slot
from serin.controller.observe import Observer
from serin.controller.reconcile import Reconciler
from serin.controller.store import Key, Store
from serin.engine.decision import Decision
from serin.engine.observation import ServiceCounts, VariantCounts
from serin.engine.wording import timestamp
from serin.metrics.source import Target
from tests.unit.engine.worlds import spec

UID = next(str(number) for number in range(100) if offset(str(number), 30.0) == 0.0)
SPEC = spec(analysis={"interval": "30s"})
START = 1_700_000_100.0
LATE = 7200.0
"""Seconds until an experiment wants to be woken for another reason."""


def _made(**meta: Any) -> dict[str, Any]:
    about = {"namespace": "shop", "name": "a", "uid": UID, "resourceVersion": "1", "generation": 1, **meta}
    return {"metadata": about, "spec": {}}


@pytest.mark.parametrize(
    ("before", "counted", "began", "ended", "seconds"),
    [
        (0, 30, 45.0, 45.0, 30.0),
        (0, 30, 45.0, 52.0, 23.0),
        (0, 30, 45.0, 80.0, 0.0),
        (0, 30, 76.0, 77.0, 0.0),
        (0, 0, 45.0, 45.0, 30.0),
        (0, 0, 45.0, 57.0, 18.0),
        (0, 40, 45.0, 46.0, 59.0),
    ],
    ids=[
        "in an interval",
        "in what is left of it, however long the turn took",
        "at once, for the turn took longer than an interval",
        "at once, for another look was due already",
        "in an interval, as the measurement failed",
        "in what is left of it, as the measurement failed late",
        "a whole interval after a step in which nothing was counted",
    ],
)
def test_the_next_look_is_not_late_because_this_one_was(
    monkeypatch: pytest.MonkeyPatch, before: float, counted: float, began: float, ended: float, seconds: float
) -> None:
    """Counted until so many seconds after the start before and after a turn that began and ended then."""
    nobody: Any = None
    monkeypatch.setattr(reconcile.time, "time", lambda: START + ended)
    status = msgspec.structs.replace(Status(), phase=Phase.PROGRESSING, counted_until=timestamp(START + counted))
    decision = Decision(status, (), (), LATE)
    with ThreadPoolExecutor() as executor:
        made = Reconciler(nobody, Store(), nobody, nobody, nobody, executor, "me")
        was = timestamp(START + before)
        assert made._next(_made(), decision, SPEC, START + began, counted=was) == pytest.approx(seconds)
        assert made._next(_made(), Decision(status, (), (), 0.0), SPEC, START + began, counted=was) == 0.0


@pytest.mark.parametrize(
    ("asked", "late", "looks"),
    [
        (True, 76.0, [(30.0, 30.0)]),
        (True, 79.0, [(60.0, 60.0)]),
        (False, 76.0, [(60.0, 60.0)]),
        (True, 256.0, [(240.0, 240.0)]),
    ],
    ids=["the next became due meanwhile", "it is due for longer", "nobody asked", "it missed many"],
)
@pytest.mark.parametrize("there", [True, False], ids=["answered", "to come"])
async def test_a_look_that_was_asked_for_is_taken(
    asked: bool, late: float, looks: list[tuple[float, float]], there: bool
) -> None:
    """Of thousands that look by turns; else what they missed is one look."""
    nobody: Any = None
    none = VariantCounts(0, 0)

    class Source:
        def asked(self, _: Target, ends_at: float, seconds: float) -> bool:
            return asked and (ends_at, seconds) == (START + 30.0, 30.0)

        def answered(self, *_: Any) -> ServiceCounts | None:
            return ServiceCounts(none, none) if there else None

        async def look(self, *_: Any) -> ServiceCounts:
            return ServiceCounts(none, none)

    status = msgspec.structs.replace(Status(), phase=Phase.PROGRESSING, counted_until=timestamp(START))
    with ThreadPoolExecutor() as executor:
        observer = Observer(Store(), nobody, nobody, Source(), executor)  # type: ignore[arg-type]
        for number in range(5000):
            observer.measured.put(Key("shop", f"e{number}"), Slot(30.0, 0.0), START, ())
        found = await observer._looks(_made(), SPEC, status, START + late)
    assert [(each.ends_at - START, each.seconds) for each in found] == looks
