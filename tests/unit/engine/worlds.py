"""Short experiments that the engine's tests share."""

from typing import Any

import pytest

from serin.api.spec import Spec, parse_spec
from serin.api.status import Phase, Status, parse_status, status_to_json
from serin.engine.world import World

SERVICES: list[dict[str, Any]] = [
    {"name": "recommendation", "control": {"deployment": "rec"}, "canary": {"deployment": "rec-next"}},
    {"name": "conversation", "control": {"deployment": "conv"}, "canary": {"deployment": "conv-next"}},
]
STAGES: list[dict[str, Any]] = [
    {"name": "canary", "weight": 10, "duration": "2m"},
    {"name": "ab", "weight": 50, "duration": "2m"},
]
ROUTED: list[dict[str, Any]] = [
    {**each, "traffic": {"type": "HTTPRoute", "httpRoute": {"name": each["name"]}}} for each in SERVICES
]
MIRROR: dict[str, Any] = {"name": "mirror", "mirror": 50, "duration": "2m"}


def spec(**changes: Any) -> Spec:
    """A short experiment over two services."""
    return parse_spec(
        {
            "services": SERVICES,
            "stages": STAGES,
            "promotion": {"bake": "1m"},
            "analysis": {"interval": "10s", "minRequests": 50},
            **changes,
        }
    )


def run(world: World, until: float = 3600.0) -> Status:
    """Runs to the end, or to `until` seconds after the start; every status must survive the API server."""
    for decision in world.run(until):
        assert parse_status(status_to_json(decision.status)) == decision.status
        assert 0 <= decision.status.weight <= 100
        assert 0 < len(decision.status.summary) <= 90, decision.status.summary
    return world.status


def reach(world: World, phase: Phase, stage: str = "", *, done: bool = True) -> None:
    """Runs until a phase (and stage) is there, and its step has been seen."""
    for decision in world.run(world.now - world.start + 3600.0):
        status = decision.status
        if status.phase is phase and stage in {"", status.stage} and (not done or (status.step and status.step.done)):
            return
    pytest.fail(f"never {phase} {stage}: {world.status.message}")


def templates(world: World) -> set[str]:
    """The pod templates that control has."""
    return {pair.control.template for pair in world._pairs.values()}
