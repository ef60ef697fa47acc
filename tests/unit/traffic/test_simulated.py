"""A simulated experiment through a route: its weights are exact, however few pods there are."""

from serin.api.spec import parse_spec
from serin.api.status import Phase
from serin.engine.world import World


def run(traffic: dict[str, object]) -> tuple[set[float], World]:
    """Return the canary shares that were observed in the stages, and the world at its end."""
    service = {"name": "a", "control": {"deployment": "a"}, "canary": {"deployment": "b"}, "traffic": traffic}
    stages = [{"name": "canary", "weight": 5, "duration": "5m"}, {"name": "ab", "weight": 50, "duration": "5m"}]
    spec = {"services": [service], "stages": stages, "promotion": {"bake": "5m"}, "analysis": {"interval": "30s"}}
    world, seen = World(parse_spec(spec), replicas=4), set()
    for decision in world.run(until=7200):
        status = decision.status
        if status.phase is Phase.PROGRESSING and status.step is not None and status.step.done:
            seen.add(status.services[0].observed_weight or 0.0)
    return seen, world


def test_a_route_is_exact_where_pods_are_not() -> None:
    """4 pods give 25 % for 5 %; a route gives 5 % with the same 4 pods, and ends promoted like them."""
    routed, world = run({"type": "HTTPRoute", "httpRoute": {"name": "r"}})
    assert routed == {5.0, 50.0}
    assert world.status.phase is Phase.SUCCEEDED
    pods, world = run({"type": "Replicas"})
    assert pods == {25.0, 50.0}
    assert world.status.phase is Phase.SUCCEEDED
