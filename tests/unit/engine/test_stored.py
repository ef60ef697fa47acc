"""What is stored of a run is small, and going on from it is going on: the same decisions as never having stopped."""

from typing import Any

import msgspec
import pytest

from serin.api.spec import Spec
from serin.api.status import Status, parse_status, status_to_json
from serin.engine import history
from serin.engine.decide import decide
from serin.engine.decision import Decision
from serin.engine.generated import EDGES, Fault, Traffic
from serin.engine.world import World
from tests.unit.engine.worlds import SERVICES, spec

_LIMIT = 4096


def _routed(**changes: Any) -> Spec:
    """Both services by a route, so that everything that can be kept is kept."""
    route = {"type": "HTTPRoute", "httpRoute": {"name": "shop"}}
    return spec(services=[{**each, "traffic": route} for each in SERVICES], **changes)


def _with_history(status: Status) -> Status:
    """The longest history that there can be: a value for every edge."""
    slower = tuple((edge, 0.01234) for edge in EDGES)
    kept = msgspec.json.encode(history._Kept(24.0, 0.1234, slower)).decode()
    return msgspec.structs.replace(status, checkpoint={history.key(each["name"]): kept for each in SERVICES})


def test_what_is_stored_of_one_service() -> None:
    """Both guardrails with 17 edges, samples, split and history stay below 4 KB, after millions of requests too."""
    stages = [{"name": "canary", "weight": 5, "duration": "12h"}, {"name": "ab", "weight": 50, "duration": "3d"}]
    world = World(_routed(stages=stages), Traffic(rate=20_000.0, errors=0.01), look_seconds=1800.0)
    world.status = _with_history(Status())
    largest = 0
    for decision in world.run(1.5 * 86_400):
        stored = status_to_json(decision.status).get("checkpoint", {})
        for each in SERVICES:
            largest = max(largest, sum(len(text) for key, text in stored.items() if key.startswith(f"{each['name']}/")))
    print(f"stored of one service at most: {largest:,} characters")
    assert 2000 < largest <= _LIMIT


def _decisions(fault: Fault | None, *, stopped: bool) -> list[Decision]:
    """A run of the controller; a stopped one forgets all but what the API server has, after every look."""
    world = World(_routed(), faults=(fault,) if fault else (), seed=3)
    found = []
    while len(found) < 120:
        decision = decide(world.spec, world.status, world.observe(), world.now)
        found.append(decision)
        world.status = parse_status(status_to_json(decision.status)) if stopped else decision.status
        for act in decision.acts:
            world.do(act)
        world.now += max(0.5, min(decision.wake_after, 10.0))
    return found


@pytest.mark.parametrize("fault", [None, Fault(errors=0.02), Fault(latency=0.03), Fault(split=0.9)])
def test_resumed_at_every_look_it_decides_the_same_to_the_bit(fault: Fault | None) -> None:
    """Statuses, acts, Events and wake-ups, checkpoints included."""
    assert _decisions(fault, stopped=True) == _decisions(fault, stopped=False)
