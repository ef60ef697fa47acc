"""Whose turn it is, which looks are due, and which of two views of an object is kept."""

import asyncio
from typing import Any

from serin.controller.claims import in_use, rank
from serin.controller.scheduler import Scheduler
from serin.controller.store import Key, Objects, Store

KEY = Key("ns", "name")


def experiment(version: int, uid: str = "u", **spec: Any) -> dict[str, Any]:
    """An object as a watch brings it."""
    return {
        "metadata": {"namespace": "ns", "name": "name", "uid": uid, "resourceVersion": str(version)},
        "spec": spec,
    }


def test_older_view_is_ignored() -> None:
    """An event that comes late does not undo what a newer answer said; another object of that name does."""
    objects = Objects()
    objects.put(experiment(5, a=5))
    objects.put(experiment(4, a=4))
    assert objects.get(KEY)["spec"] == {"a": 5}  # type: ignore[index]
    objects.put(experiment(1, uid="v", a=1))
    assert objects.get(KEY)["spec"] == {"a": 1}  # type: ignore[index]
    objects.remove(experiment(9, uid="u"))
    assert objects.get(KEY) is not None


def test_deployments_wake_their_experiments() -> None:
    """Control, canary and the canary that Serin will make all lead to the experiment."""
    store = Store()
    services = [{"name": "a", "control": {"deployment": "a"}, "canary": {"patch": {}}}]
    store.experiments.put(experiment(1, services=services))
    assert store.interested(Key("ns", "a")) == [KEY]
    assert store.interested(Key("ns", "a-canary")) == [KEY]
    assert store.interested(Key("other", "a")) == []


async def test_one_turn_at_a_time_and_failures_back_off() -> None:
    """A key never runs twice at once, is run again when woken meanwhile, and a failure does not stop the others."""
    running, most, turns = 0, 0, []
    done = asyncio.Event()

    async def turn(key: Key) -> float | None:
        nonlocal running, most
        if key.name == "bad":
            raise RuntimeError("a fault in one experiment")
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        turns.append(key)
        if len(turns) == 1:
            scheduler.wake(key)
        else:
            done.set()
        running -= 1
        return None if len(turns) > 1 else 3600.0

    scheduler = Scheduler(turn)
    task = asyncio.create_task(scheduler.run())
    scheduler.wake(Key("ns", "bad"))
    scheduler.wake(KEY)
    scheduler.wake(KEY)
    await asyncio.wait_for(done.wait(), 5)
    task.cancel()
    assert turns == [KEY, KEY]
    assert most == 1


def test_who_has_begun_comes_first() -> None:
    """Of two experiments made in the same second the one that has begun keeps the Deployment, whatever their names."""

    def made(name: str, phase: str, created: str = "2026-01-01T00:00:00Z") -> dict[str, Any]:
        return {"metadata": {"name": name, "creationTimestamp": created}, "status": {"phase": phase}}

    assert rank(made("b", "Preparing")) < rank(made("a", "Pending"))
    assert rank(made("b", "Pending")) < rank(made("a", "Pending", "2026-01-01T00:00:01Z"))
    assert rank(made("a", "Pending")) < rank(made("b", "Pending"))


def test_a_deployment_is_had_until_it_is_given_back() -> None:
    """Whoever touched a Deployment has it, whatever the specs say now; who has ended, until its finalizer goes."""

    def made(name: str, control: str, phase: str = "Pending", *, holds: str = "") -> dict[str, Any]:
        services = [{"name": "a", "control": {"deployment": control}, "canary": {"deployment": f"{control}-next"}}]
        meta: dict[str, Any] = {"namespace": "ns", "name": name, "uid": name, "resourceVersion": "1"}
        meta["creationTimestamp"] = "2026-01-01T00:00:00Z" if holds else "2026-01-01T00:00:01Z"
        meta["finalizers"] = ["serin.dev/restore"] if holds else []
        touched = [{"name": "a", "control": holds, "canary": f"{holds}-next"}] if holds else []
        return {"metadata": meta, "spec": {"services": services}, "status": {"phase": phase, "services": touched}}

    def refused(*others: dict[str, Any]) -> bool:
        store, mine = Store(), made("mine", "shop")
        for each in (mine, *others):
            store.experiments.put(each)
        return bool(in_use(store, mine))

    assert refused(made("other", "shop", "Progressing", holds="shop"))
    assert refused(made("other", "renamed", "RollingBack", holds="shop")), "the spec names another one by now"
    assert refused(made("other", "shop", "Succeeded", holds="shop")), "after TrafficOnly"
    assert not refused(made("other", "shop", "Succeeded"))
    assert not refused(made("other", "renamed", "Progressing", holds="elsewhere"))


def test_what_repeats_the_object_is_not_kept() -> None:
    """Who set which field, and what kubectl applied last: nothing is decided on them."""
    objects, obj = Objects(), experiment(1)
    applied = "kubectl.kubernetes.io/last-applied-configuration"
    obj["metadata"] |= {"managedFields": [{}], "annotations": {applied: "{}", "serin.dev/approve": "ab"}}
    objects.put(obj)
    kept = objects.get(KEY)
    assert kept is not None
    assert "managedFields" not in kept["metadata"]
    assert kept["metadata"]["annotations"] == {"serin.dev/approve": "ab"}
