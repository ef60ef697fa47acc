"""Which of the returns to control hurry: a rollback does; a promotion and a deletion can wait for the proxies."""

from typing import Any, cast

import pytest

from serin.api.spec import Service, parse_spec
from serin.api.status import Phase
from serin.controller.act import Actor
from serin.engine.decision import Shift
from serin.engine.generated import Fault
from serin.engine.world import World


def world(**more: Any) -> World:
    """Return a world with one service behind a route."""
    traffic = {"type": "HTTPRoute", "httpRoute": {"name": "r"}}
    service = {"name": "a", "control": {"deployment": "a"}, "canary": {"deployment": "b"}, "traffic": traffic}
    stages = [{"name": "canary", "weight": 25, "duration": "5m"}]
    spec = {"services": [service], "stages": stages, "promotion": {"bake": "2m"}, "analysis": {"interval": "30s"}}
    return World(parse_spec(spec), **more)


def shifts(found: World) -> list[tuple[int, bool]]:
    """Return weight and urgency of all shifts that were asked for."""
    return [(act.weight, act.urgent) for _, act in found.acts if isinstance(act, Shift)]


def test_a_rollback_hurries() -> None:
    """A bad canary: its first share was not urgent, the way back is."""
    bad = world(faults=(Fault(errors=0.3),))
    list(bad.run(until=7200))
    assert bad.status.phase is Phase.ROLLED_BACK
    assert {each for each in shifts(bad) if each[0]} == {(25, False)}
    assert {each for each in shifts(bad) if not each[0]} == {(0, True)}


def test_a_promotion_does_not() -> None:
    """A good canary goes to 100 % and back to control, and nothing of it is urgent."""
    good = world()
    list(good.run(until=7200))
    assert good.status.phase is Phase.SUCCEEDED
    assert set(shifts(good)) == {(25, False), (100, False), (0, False)}


def test_a_deletion_does_not() -> None:
    """Whoever deletes an experiment in a stage is in no hurry."""
    deleted = world()
    for _ in deleted.run(until=120):
        pass
    deleted.deleting = True
    list(deleted.run(until=7200))
    assert set(shifts(deleted)) == {(25, False), (0, False)}


class Noted:
    """A router that notes which verb it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    def write(self, namespace: str, service: Service, *, weight: int, total: int, mirror: int | None) -> None:
        """Note a planned change."""
        del namespace, service, total
        self.asked.append(("write", weight or mirror or 0))

    def restore(self, namespace: str, service: Service, *, total: int, mirror: int | None) -> None:
        """Note a rollback."""
        del namespace, service, total, mirror
        self.asked.append(("restore", 0))


@pytest.mark.parametrize(("urgent", "verb"), [(False, "write"), (True, "restore")])
def test_what_hurries_is_asked_for_as_a_rollback(urgent: bool, verb: str) -> None:
    """The act's urgency chooses the router's verb."""
    router = cast("Any", Noted())
    actor = Actor(cast("Any", None), cast("Any", None), router)
    obj = {"metadata": {"namespace": "shop", "name": "try"}}
    actor.do(Shift("a", 0, 4, urgent), obj, world().spec, "run")
    assert router.asked == [(verb, 0)]


def test_copies_are_asked_of_the_router() -> None:
    """A shift to copies has no weight, and is in no hurry."""
    router = cast("Any", Noted())
    obj = {"metadata": {"namespace": "shop", "name": "try"}}
    Actor(cast("Any", None), cast("Any", None), router).do(Shift("a", 0, 4, mirror=70), obj, world().spec, "run")
    assert router.asked == [("write", 70)]
