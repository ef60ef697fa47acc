"""What the store gives out is the caller's own, and what a scrape reads of it is enough."""

from typing import Any

from serin.controller.store import Experiments, Key, Objects

KEY = Key("shop", "phase4")


def experiment(version: int, **status: Any) -> dict[str, Any]:
    """An experiment as a watch brings it."""
    meta = {"namespace": "shop", "name": "phase4", "uid": "u", "resourceVersion": str(version)}
    service = {"name": "a", "control": {"deployment": "old"}, "canary": {"deployment": "new"}}
    return {"metadata": meta, "spec": {"services": [service]}, "status": status}


def test_a_reader_cannot_change_what_is_kept() -> None:
    """Neither what was put nor what was got is the object that is kept."""
    objects, obj = Objects(), experiment(1, phase="Pending")
    objects.put(obj)
    obj["status"]["phase"] = "Failed"
    got = objects.get(KEY)
    assert got is not None
    assert got["status"]["phase"] == "Pending"
    got["status"]["phase"] = "Failed"
    assert next(iter(objects))["status"]["phase"] == "Pending"
    assert objects.get(Key("shop", "other")) is None


def test_only_the_very_object_is_forgotten() -> None:
    """One of the same name that came after it stays, and its Deployments are still its own."""
    experiments = Experiments()
    experiments.put(experiment(1))
    experiments.forget(KEY, "another")
    assert experiments.uids() == {KEY: "u"}
    assert experiments.users(Key("shop", "old")) == [KEY]
    experiments.remove(experiment(1))
    assert len(experiments) == 0
    assert experiments.users(Key("shop", "old")) == []
