"""An hour without measurements, in every way in which Prometheus can fail to give them.

The operator's own parts (all but its watches and its process) look at the real API server and at a real Prometheus
behind a proxy that misbehaves. What is scaled is the waiting between two looks: the clock of the operator goes on by
itself to when the next look is due, and Prometheus has the hours from a file. That is the same, because a look names
its time to Prometheus, and nothing else in a look asks what time it is: the hour has its 120 looks of 30 s, each is
asked for, refused and asked for again as in an hour of waiting, and each write is a real one. A usual run has twenty
minutes of looks, FAULTS=whole the hour.
"""

import asyncio
import contextlib
import json
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiohttp import web

from serin.api.names import API_VERSION, PLURAL
from serin.controller import reconcile
from serin.engine.wording import unix
from tests.integration.controller.hours import TIMEOUT, Clock, Counting, Hours
from tests.integration.controller.ledger import Row, show
from tests.integration.controller.measured import Shop, history
from tests.integration.controller.scene import Scene
from tests.integration.proxy import Fault, Forward, Proxy, passes, proxy

MINUTE = 60.0
BEGINS = 5 * MINUTE
LASTS = (60 if os.environ.get("FAULTS") == "whole" else 20) * MINUTE
ENDS = BEGINS + LASTS + 30 * MINUTE
_MORE = 4
"""Minutes that may follow."""
_KINDS = {
    "healthy": {"stages": [{"name": "half", "weight": 50, "duration": "1d"}]},
    "due": {"stages": [{"name": "half", "weight": 50, "duration": "20m"}], "promotion": {"bake": "2m"}},
    "bad": {"stages": [{"name": "half", "weight": 50, "duration": "1d"}]},
    "aborted": {"stages": [{"name": "half", "weight": 50, "duration": "1d"}]},
}
"""What is tried: one that stays in its stage, one whose stage would end in the middle, one whose canary begins to fail
in the middle, and one that somebody aborts in the middle."""


def answers(change: Any) -> Fault:
    """What Prometheus says is changed before it is passed on."""

    async def fault(_request: web.Request, forward: Forward) -> web.StreamResponse:
        answer = await forward()
        assert isinstance(answer, web.Response)
        body = json.loads(answer.body or b"{}")  # type: ignore[arg-type]
        status = change(body) or answer.status
        return web.json_response(body, status=status)

    return fault


def _empty(body: dict[str, Any]) -> None:
    body["data"]["result"] = []


def _partial(body: dict[str, Any]) -> None:
    body["warnings"] = ["receive series from store-2: rpc error: unavailable: partial response"]
    body["data"]["result"] = body["data"]["result"][::2]


def _is_partial(body: dict[str, Any]) -> None:
    body["isPartial"] = True
    body["data"]["result"] = body["data"]["result"][::2]


def _warned(body: dict[str, Any]) -> None:
    body["warnings"] = ["PromQL warning: something is odd"]


def _not_a_number(body: dict[str, Any]) -> None:
    for each in body["data"]["result"]:
        each["value"][1] = "NaN"


def _half(body: dict[str, Any]) -> None:
    kept = [each for each in body["data"]["result"] if each["metric"].get("variant") != "canary"]
    body["data"]["result"] = kept


def _refused(body: dict[str, Any]) -> int:
    body.clear()
    body.update({"status": "error", "errorType": "internal", "error": "out of memory"})
    return 500


async def _slow(_request: web.Request, forward: Forward) -> web.StreamResponse:
    await asyncio.sleep(3 * TIMEOUT)
    return await forward()


def _stale() -> Fault:
    """A cache that answers each query with what it was first asked, whatever the time."""
    known: dict[str, bytes] = {}

    async def fault(request: web.Request, forward: Forward) -> web.StreamResponse:
        query = request.query.get("query", "")
        if query not in known:
            answer = await forward()
            assert isinstance(answer, web.Response)
            known[query] = bytes(answer.body or b"")  # type: ignore[arg-type]
        return web.Response(body=known[query], content_type="application/json")

    return fault


FAULTS: dict[str, Fault | None] = {
    "none": None,
    "down": None,
    "slow": _slow,
    "500": answers(_refused),
    "empty": answers(_empty),
    "partial": answers(_partial),
    "isPartial": answers(_is_partial),
    "half": answers(_half),
    "warnings": answers(_warned),
    "NaN": answers(_not_a_number),
    "stale cache": _stale(),
    "not scraped": None,
}


@pytest.fixture(scope="module")
def start() -> float:
    """The operator's first moment: just now, for the checks before a run ask for the present; its hours are to come."""
    return float(int(time.time()) // 60 * 60)


@pytest.fixture(scope="module")
def proxies(tmp_path_factory: pytest.TempPathFactory, start: float) -> Iterator[dict[str, Proxy]]:
    """A Prometheus that knows the hours of every shop, and a proxy before it for each fault."""
    shops = []
    for fault in FAULTS:
        for kind in _kinds(fault):
            bad = start + 20 * MINUTE if kind == "bad" else float("inf")
            gap = (start + BEGINS, start + BEGINS + LASTS) if fault == "not scraped" else (0.0, 0.0)
            shops.append(Shop(_namespace(fault, kind), bad, gap))
    folder = Path(tmp_path_factory.mktemp("hours"))
    with contextlib.ExitStack() as stack:
        address = stack.enter_context(history(folder, shops, int(start) - 7200, int(start) + 3 * 3600))
        yield {fault: stack.enter_context(proxy(address)) for fault in FAULTS}


def _kinds(fault: str) -> dict[str, dict[str, Any]]:
    """What is tried under a fault: everything without one and with Prometheus away, else what the fault can change."""
    return _KINDS if fault in {"none", "down"} else {kind: _KINDS[kind] for kind in ("due", "bad")}


def _namespace(fault: str, kind: str) -> str:
    return f"{fault.lower().replace(' ', '-')}-{kind}"


@pytest.mark.timeout(1200)
async def test_an_hour_without_measurements(
    scene: Scene, proxies: dict[str, Proxy], start: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Healthy ones hold and go on, nobody steps forward, a bad one goes back when it is seen, an abort at once."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))  # the table is what counts
    await asyncio.to_thread(_prepare, scene, proxies)
    clock = Clock(start)
    monkeypatch.setattr(reconcile, "time", clock)
    kube, hours = Counting(scene.admin), Hours(scene, clock, start)
    middle: dict[str, dict[str, Any]] = {}

    def begin() -> None:
        for fault, strikes in FAULTS.items():
            if strikes is not None:
                proxies[fault].fault = strikes
        proxies["down"].vanish()

    def abort() -> None:
        for fault in ("none", "down"):
            scene.admin.patch(API_VERSION, PLURAL, _namespace(fault, "aborted"), "try", {"spec": {"abort": True}})

    def look() -> None:
        middle.update(_statuses(scene))

    def end() -> None:
        for each in proxies.values():
            each.fault = passes
        proxies["down"].come_back()

    happens = [(BEGINS, begin), (BEGINS + LASTS / 2, abort), (BEGINS + LASTS - MINUTE, look), (BEGINS + LASTS, end)]
    begun = time.monotonic()
    await hours.run(kube, ENDS, happens)
    after = await _over(scene, hours, kube)
    rows = [_judged(fault, middle, after, kube, start) for fault in FAULTS if fault != "none"]
    looks = f"{LASTS / MINUTE:.0f} minutes of Prometheus' faults, looks of 30 s"
    show(f"{looks}, in {time.monotonic() - begun:.0f} s", rows)
    wrong = [each for row in rows for each in row.wrong]
    assert not wrong, "\n".join(wrong)
    _expected(after)


async def _over(scene: Scene, hours: Hours, kube: Counting) -> dict[str, dict[str, Any]]:
    """What has become of all. A busy machine may not answer the very last look in time: the next makes up for it."""
    for more in range(1, _MORE + 1):
        if not _astray(_statuses(scene)):
            break
        await hours.run(kube, ENDS + more * MINUTE, [])
    return _statuses(scene)


def _prepare(scene: Scene, proxies: dict[str, Proxy]) -> None:
    for fault in FAULTS:
        for kind, spec in _kinds(fault).items():
            more = {"analysis": {"interval": "30s"}, "prometheus": {"address": proxies[fault].address}, **spec}
            scene.prepare(_namespace(fault, kind), **more)


def _statuses(scene: Scene) -> dict[str, dict[str, Any]]:
    return {obj["metadata"]["namespace"]: obj.get("status", {}) for obj in scene.admin.list(API_VERSION, PLURAL)}


def _judged(
    fault: str, middle: dict[str, dict[str, Any]], after: dict[str, dict[str, Any]], kube: Counting, start: float
) -> Row:
    """What must not have happened under one fault."""
    names = {kind: _namespace(fault, kind) for kind in _kinds(fault)}
    row = Row(
        f"Prometheus: {fault}", f"{len(names)} experiments, {LASTS / MINUTE:.0f} min", middle[names["due"]]["message"]
    )
    found = unix(after[names["bad"]].get("foundAt", ""))
    row.seconds = max(0.0, found - (start + BEGINS + LASTS))
    for kind in names.keys() - {"bad", "aborted"}:
        for each in after[names[kind]]["transitions"]:
            if each["to"] in {"RollingBack", "RolledBack", "Failed"}:
                row.rolled_back.append(f"{names[kind]}: {each['to']}: {each['message']}")
    lost = start + BEGINS + MINUTE, start + BEGINS + LASTS
    for kind, name in names.items():
        for each in after[name]["transitions"]:
            forward = each["to"] in {"Promoting", "Baking", "Succeeded"}
            if forward and (kind == "bad" or lost[0] <= unix(each["time"]) < lost[1]):
                row.promoted.append(f"{name}: {each['to']} at {each['time']}: {each['message']}")
        more = kube.lives[name].effects - kube.lives[_namespace("none", kind)].effects
        row.repeated += [f"{name}: {what}, {count} times more" for what, count in more.items()]
    return row


def _astray(after: dict[str, dict[str, Any]]) -> list[str]:
    """Those that are not where they would be without the fault."""
    ends = {"healthy": "Progressing", "due": "Succeeded", "bad": "RolledBack", "aborted": "RolledBack"}
    found = [(_namespace(fault, kind), ends[kind]) for fault in FAULTS for kind in _kinds(fault)]
    return [f"{name}: {after[name]['message']}" for name, end in found if after[name]["phase"] != end]


def _expected(after: dict[str, dict[str, Any]]) -> None:
    """When it is over, each is where it would be without the fault; the abort needed no Prometheus at all."""
    assert not _astray(after), "\n".join(_astray(after))
    aborted = after[_namespace("down", "aborted")]
    assert unix(aborted["restoredAt"]) - unix(aborted["foundAt"]) < MINUTE
