"""Pods are asked only by those who have waited, and not at each look."""

import dataclasses
from typing import Any

import pytest

from serin.controller.store import Kept
from serin.controller.waits import Waits
from serin.engine.observation import Workload
from serin.kube.errors import Forbidden

_SHOP = Kept("u", 1, b'{"name": "shop"}')


def _deployment(ready: int) -> Workload:
    return Workload("shop", "u", 1, 1, 2, 2, 2, ready, ready, "t")


async def test_pods_are_asked_after_half_a_minute_and_now_and_then() -> None:
    """Not at once, then every quarter of a minute; a Deployment that gets ready begins anew."""
    asked: list[str] = []

    async def ask(obj: dict[str, Any]) -> str:
        asked.append(obj["name"])
        return "container main crashes"

    waits = Waits()
    found = {at: await waits.explained(_deployment(1), _SHOP, ask, at) for at in (0.0, 20.0, 31.0, 40.0, 50.0)}
    assert [at for at, seen in found.items() if seen is not None and seen.trouble] == [31.0, 40.0, 50.0]
    assert len(asked) == 2
    ready = await waits.explained(_deployment(2), _SHOP, ask, 60.0)
    assert ready == _deployment(2)
    again = await waits.explained(_deployment(1), _SHOP, ask, 70.0)
    assert again == _deployment(1)


@pytest.mark.parametrize(
    ("deadline", "at", "asked"), [(600.0, 29.0, False), (600.0, 31.0, True), (12.0, 5.0, False), (12.0, 7.0, True)]
)
async def test_a_short_deadline_is_not_awaited_in_vain(deadline: float, at: float, asked: bool) -> None:
    """Whoever gives up after twelve seconds must know by then why."""

    async def ask(_: dict[str, Any]) -> str:
        return "container main crashes"

    waits, late = Waits(), dataclasses.replace(_deployment(1), deadline=deadline)
    await waits.explained(late, _SHOP, ask, 0.0)
    seen = await waits.explained(late, _SHOP, ask, at)
    assert seen is not None
    assert bool(seen.trouble) is asked


async def test_pods_that_cannot_be_read_are_said() -> None:
    """A missing right is no reason to fail, and no secret."""

    async def ask(_: dict[str, Any]) -> str:
        raise Forbidden("pods is forbidden", 403)

    waits = Waits()
    await waits.explained(_deployment(0), _SHOP, ask, 0.0)
    seen = await waits.explained(_deployment(0), _SHOP, ask, 31.0)
    assert seen is not None
    assert seen.trouble == "its pods can't be read: pods is forbidden"


async def test_absent_deployments_are_not_asked() -> None:
    """What is not there has no pods."""

    async def ask(_: dict[str, Any]) -> str:
        raise AssertionError

    assert await Waits().explained(None, None, ask, 99.0) is None
