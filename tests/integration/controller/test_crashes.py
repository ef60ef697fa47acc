"""The operator is killed before and after every single write of a rollout; the end is always the undisturbed one's.

In the manner of Sieve: a reference run is recorded on a real API server, then one run for each write and each side of
it. Many of them run at once, each in a namespace of its own. A usual run tries some of them, evenly spread, and prints
how many; `CRASH_POINTS=1000` tries all.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from serin.api.names import API_VERSION, PLURAL
from serin.kube.errors import Conflict, Unavailable
from tests.integration.controller.mortal import Cemetery, Life, patiently, state
from tests.integration.controller.scene import Scene

_SECONDS = 400.0
_AT_ONCE = 24
_POINTS = int(os.environ.get("CRASH_POINTS", "12"))
Experiment = dict[str, Any] | None
Meddle = Callable[[Scene, str, dict[str, Any]], None]


def _nothing(scene: Scene, namespace: str, obj: dict[str, Any]) -> None:
    del scene, namespace, obj


def _abort_in_the_bake(scene: Scene, namespace: str, obj: dict[str, Any]) -> None:
    if obj.get("status", {}).get("phase") == "Baking" and not obj["spec"].get("abort"):
        scene.admin.patch(API_VERSION, PLURAL, namespace, "try", {"spec": {"abort": True}})


def _delete_in_the_stage(scene: Scene, namespace: str, obj: dict[str, Any]) -> None:
    counted = obj.get("status", {}).get("countedUntil")
    if counted and "deletionTimestamp" not in obj["metadata"]:
        scene.admin.delete(API_VERSION, PLURAL, namespace, "try")


def _watching(scene: Scene, namespace: str, meddle: Meddle) -> Callable[[Experiment], bool]:
    """Until the experiment has ended, or is gone."""

    def over(obj: Experiment) -> bool:
        if obj is None:
            return True
        with contextlib.suppress(Unavailable):
            meddle(scene, namespace, obj)
        ended = obj.get("status", {}).get("phase") in {"Succeeded", "RolledBack", "Failed"}
        return ended and not obj["metadata"].get("finalizers")

    return over


@pytest.mark.timeout(1500)
@pytest.mark.parametrize(
    ("meddle", "phase", "image"),
    [
        (_nothing, "Succeeded", "shop:2"),
        (_abort_in_the_bake, "RolledBack", "shop:1"),
        (_delete_in_the_stage, "gone", "shop:1"),
    ],
    ids=["promoted", "aborted in the bake", "deleted in a stage"],
)
async def test_a_crash_at_every_write(scene: Scene, meddle: Meddle, phase: str, image: str) -> None:
    """Killed before and after each write: the same end, and no create, delete, scale or template twice."""
    with ThreadPoolExecutor(_AT_ONCE) as executor:
        graveyard, free = Cemetery(scene.admin, scene.lease, executor), asyncio.Semaphore(_AT_ONCE)

        async def run(life: Life) -> tuple[Life, dict[str, Any]]:
            async with free:
                namespace = await asyncio.to_thread(scene.prepare)
                await graveyard.run(namespace, life, _watching(scene, namespace, meddle), _SECONDS)
                scene.traffic.close(namespace)
                return life, await asyncio.to_thread(patiently, partial(state, scene.admin, namespace))

        begun = time.monotonic()
        reference, end = await run(Life())
        assert end["phase"] == phase
        assert end["shop"] == (2, image)
        assert "shop-canary" not in end
        assert end["kept"] == 0
        points = [(number, when) for number in range(1, len(reference.writes) + 1) for when in ("before", "after")]
        points = points[:: max(1, len(points) // _POINTS)]
        trials = await asyncio.gather(*(run(Life(number, when)) for number, when in points))  # type: ignore[arg-type]
    died = sum(life.died for life, _ in trials)
    wrong = [
        f"killed {life.when} write {life.dies_at} ({life.writes[life.dies_at - 1]}): {found},"
        f" more: {life.effects - reference.effects}, less: {reference.effects - life.effects}"
        for life, found in trials
        if found != end or life.effects != reference.effects
    ]
    print(
        f"{phase}: {len(reference.writes)} writes, {len(points)} points tried, {died} died,"
        f" {len(wrong)} ended otherwise; {time.monotonic() - begun:.0f} s"
    )
    assert not wrong, "\n".join(wrong)
    assert died >= len(points) * 0.8, "too few operators died where they should"


_TROUBLE = {
    "lists behind": Life(behind=4),
    "lists behind, and a crash": Life(behind=4, dies_at=17, when="after"),
    "503": Life(fails=0.25),
    "409": Life(fails=0.3, error=Conflict("the object has been modified", 409)),
    "429 and lists behind": Life(fails=0.2, behind=3, error=Unavailable("too many requests", 429)),
    "no answer, and a crash": Life(fails=0.2, dies_at=21, error=Unavailable("the API server did not answer")),
}


@pytest.mark.timeout(900)
async def test_a_bad_api_server(scene: Scene) -> None:
    """Calls that fail before or after their effect, and lists that are behind: the same end, and nothing twice."""
    with ThreadPoolExecutor(_AT_ONCE) as executor:
        graveyard = Cemetery(scene.admin, scene.lease, executor)

        async def run(life: Life) -> dict[str, Any]:
            namespace = await asyncio.to_thread(scene.prepare)
            await graveyard.run(namespace, life, _watching(scene, namespace, _nothing), _SECONDS)
            return await asyncio.to_thread(patiently, partial(state, scene.admin, namespace))

        reference = Life()
        end, *ends = await asyncio.gather(*(run(life) for life in (reference, *_TROUBLE.values())))
    assert end["phase"] == "Succeeded"
    for (name, life), found in zip(_TROUBLE.items(), ends, strict=True):
        assert found == end, name
        once = {what: count for what, count in life.effects.items() if not what.startswith("finalizers")}
        wanted = {what: count for what, count in reference.effects.items() if not what.startswith("finalizers")}
        assert once == wanted, name
        print(f"{name}: {life.calls} calls, the same end")
