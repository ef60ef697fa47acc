"""What is asked of Prometheus for a service, and that it follows the route."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest

from serin.api.spec import Service, Spec, parse_spec
from serin.api.status import Phase, Status
from serin.controller.observe import Observer
from serin.controller.store import Store, key_of
from serin.controller.targets import Targets
from serin.engine.leads import Lead
from serin.engine.observation import Problem, RouteReading

OBJ: dict[str, Any] = {"metadata": {"namespace": "ns", "name": "x", "uid": "u"}}
HTTP, RUNNING = {"type": "HTTPRoute", "httpRoute": {"name": "r"}}, Status(phase=Phase.PROGRESSING, weight=50)
LEADS = (Lead("canary", "r", "c", "80", 0, 0, filtered=True), Lead("control", "r", "s", "80", 0, 1, filtered=True))


def spec(preset: str, **more: Any) -> Spec:
    """Return an experiment of two services: one by the preset, one by its own series."""
    web = {"name": "web", "control": {"deployment": "web"}, "canary": {"patch": {}}, "traffic": HTTP}
    own = {"name": "own", "control": {"deployment": "own"}, "canary": {"patch": {}}, "metrics": {"preset": "Http"}}
    return parse_spec({"services": [web, own], "metrics": {"preset": preset}, **more})


class Routes:
    """Routes that a test changes, and who was asked."""

    def __init__(self, *leads: Lead) -> None:
        self.leads = leads
        self.asked: list[str] = []

    async def __call__(self, namespace: str, service: Service) -> tuple[Lead, ...]:
        """Return where the route leads."""
        assert namespace == "ns"
        self.asked.append(service.name)
        return self.leads


async def test_only_gateways_cost_a_call() -> None:
    """Whoever is measured by pods or sidecars is not asked for; the other's places are its series."""
    routes, targets = Routes(*LEADS), Targets()
    await targets.read(OBJ, spec("Istio"), routes)
    assert routes.asked == []
    await targets.read(OBJ, asked := spec("EnvoyGateway"), routes)
    assert routes.asked == ["web"]
    web, own = (targets.of(OBJ, asked, each, RUNNING) for each in asked.services)
    assert (web.control, web.canary) == (
        [("httproute/ns/r/rule/0/backend/1",)],
        [("httproute/ns/r/rule/0/backend/0",)],
    )
    assert own.control == [("ns", "own", "control"), ("ns", "own", "own")]
    assert own.canary == [("ns", "own", "canary"), ("ns", "own", "own-canary")]


async def test_a_route_that_changes_changes_whose_series_are_whose() -> None:
    """Backends that changed their places are followed at the next reading; what tells nothing is said."""
    routes, targets, asked = Routes(*LEADS), Targets(), spec("EnvoyGateway")
    web = asked.services[0]
    await targets.read(OBJ, asked, routes)
    assert targets.problem(OBJ, asked, web) is None
    routes.leads = tuple(
        Lead(each.variant, "r", each.service, "80", 0, 1 - each.backend, filtered=True) for each in LEADS
    )
    await targets.read(OBJ, asked, routes)
    assert targets.of(OBJ, asked, web, RUNNING).canary == [("httproute/ns/r/rule/0/backend/1",)]
    routes.leads = ()
    await targets.read(OBJ, asked, routes)
    problem = targets.problem(OBJ, asked, web)
    assert problem is not None
    assert problem.reason == "VariantsNotToldApart"
    routes.leads = LEADS
    await targets.read(OBJ, asked, routes)
    targets.forget(key_of(OBJ))
    assert targets.of(OBJ, asked, web, RUNNING).control == []


@pytest.mark.parametrize("preset", ["Http", "Istio", "EnvoyGateway"])
async def test_a_bake_asks_for_who_serves(preset: str) -> None:
    """While baking one of the two serves everything: it is judged, and the other is not asked for."""
    targets, asked = Targets(), spec(preset)
    web = asked.services[0]
    await targets.read(OBJ, asked, Routes(*LEADS))
    before = targets.of(OBJ, asked, web, RUNNING)
    control = targets.of(OBJ, asked, web, msgspec.structs.replace(RUNNING, phase=Phase.BAKING, weight=0))
    canary = targets.of(OBJ, asked, web, msgspec.structs.replace(RUNNING, phase=Phase.BAKING, weight=100))
    assert (control.control, control.canary) == (before.control, [])
    assert (canary.control, canary.canary) == (before.canary, [])
    assert (control.canary_names, canary.control_names) == (frozenset(), before.canary_names)


class Router:
    """Notes what it is asked, in order."""

    def __init__(self, *leads: Lead) -> None:
        self.told = leads
        self.calls: list[str] = []

    def leads(self, *_: object) -> tuple[Lead, ...]:
        """Return where the route leads."""
        self.calls.append("leads")
        return self.told

    def read(self, *_: object, **__: object) -> RouteReading:
        """Return a split that is at rest."""
        self.calls.append("read")
        return RouteReading(0.0, settled=True, token="t")  # noqa: S106 - of a split

    def check(self, *_: object, **__: object) -> tuple[Problem, ...]:
        """Return a problem, so that nothing else is asked."""
        self.calls.append("check")
        return (Problem("RouteNotFound", "no route"),)


async def test_places_are_never_newer_than_the_split() -> None:
    """Both come from one router, the places first: an edit in between shows in the split's token."""
    looks, asked = Router(*LEADS), spec("EnvoyGateway")
    with ThreadPoolExecutor(1) as executor:
        nobody: Any = None
        observer = Observer(Store(), nobody, looks, nobody, executor)  # type: ignore[arg-type]
        await observer.observe(OBJ, asked, Status(), 0.0, asked=True)
    assert looks.calls[:3] == ["leads", "read", "read"], "of two services one is at a gateway"
    assert set(looks.calls[3:]) == {"check"}
    assert observer.targets.problem(OBJ, asked, asked.services[0]) is None
