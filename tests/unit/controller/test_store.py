"""What is known of the cluster: the newest version of each object, and who uses which Deployment."""

from typing import Any

from serin.controller.store import Experiments, Key, Objects, Store


def deployment(version: int, uid: str = "a", name: str = "control") -> dict[str, Any]:
    """Return a Deployment of one version."""
    meta = {"namespace": "shop", "name": name, "uid": uid, "resourceVersion": str(version), "managedFields": [{}]}
    return {"metadata": meta, "version": version}


def experiment(version: int, *controls: str, name: str = "phase4") -> dict[str, Any]:
    """Return an experiment whose services have these controls."""
    services = [{"name": each, "control": {"deployment": each}, "canary": {"patch": {}}} for each in controls]
    return {**deployment(version, uid=name, name=name), "spec": {"services": services}}


def test_older_event_does_not_replace_newer_write() -> None:
    """The watch may bring what was before our own write; the result of the write stays, and it is no news."""
    objects = Objects()
    assert objects.put(deployment(10))
    assert not objects.put(deployment(9))
    assert not objects.put(deployment(10))
    known = objects.get(Key("shop", "control"))
    assert known is not None
    assert known["version"] == 10


def test_versions_are_compared_as_numbers() -> None:
    """Version 10 is later than version 9, though its text is smaller."""
    objects = Objects()
    objects.put(deployment(9))
    assert objects.put(deployment(10))


def test_object_made_again_replaces_its_namesake() -> None:
    """An object of another uid is taken whatever its version, and the deletion of the first does not remove it."""
    objects = Objects()
    objects.put(deployment(50, uid="old"))
    assert objects.put(deployment(7, uid="new"))
    objects.remove(deployment(51, uid="old"))
    known = objects.get(Key("shop", "control"))
    assert known is not None
    assert known["metadata"]["uid"] == "new"


def test_managed_fields_are_not_kept() -> None:
    """The largest part of most objects is not used, and not kept."""
    objects = Objects()
    objects.put(deployment(1))
    known = objects.get(Key("shop", "control"))
    assert known is not None
    assert "managedFields" not in known["metadata"]


def test_deployment_wakes_the_experiments_that_name_it() -> None:
    """Control, and the canary that Serin will make, lead to the experiment; other names and namespaces do not."""
    store = Store()
    store.experiments.put(experiment(1, "cart", "search"))
    for name in ("cart", "cart-canary", "search", "search-canary"):
        assert store.interested(Key("shop", name)) == [Key("shop", "phase4")]
    assert store.interested(Key("other", "cart")) == []
    assert store.interested(Key("shop", "checkout")) == []


def test_index_follows_edits_and_deletions() -> None:
    """A Deployment that an edit took out wakes nobody, one that two share wakes both, and nothing is left over."""
    found = Experiments()
    found.put(experiment(1, "cart"))
    found.put(experiment(2, "search"))
    assert found.users(Key("shop", "cart")) == []
    found.put(experiment(3, "search", name="second"))
    assert found.users(Key("shop", "search")) == [Key("shop", "phase4"), Key("shop", "second")]
    found.remove(experiment(4, "search"))
    assert found.users(Key("shop", "search")) == [Key("shop", "second")]
    found.remove(experiment(5, "search", name="second"))
    assert found.users(Key("shop", "search")) == []
    assert len(found) == 0


def test_experiment_without_readable_services_is_kept() -> None:
    """A spec that can't be read has no Deployments, and the experiment is still known, to say so in its status."""
    found = Experiments()
    assert found.put({**experiment(1), "spec": {}})
    assert len(found) == 1
