"""Who may have a Deployment, when two experiments name it."""

from typing import Any

from serin.api.names import FINALIZER
from serin.api.status import TERMINAL, Phase
from serin.controller.store import Key, Store, deployment_names
from serin.engine.observation import Problem


def in_use(store: Store, obj: dict[str, Any]) -> tuple[Problem, ...]:
    """Two experiments on one Deployment would undo each other: the later one waits."""
    mine, meta = deployment_names(obj), obj["metadata"]
    for key in sorted({user for name in mine for user in store.interested(Key(meta["namespace"], name))}):
        other = store.experiments.get(key)
        if other is None or other["metadata"]["uid"] == meta["uid"]:
            continue
        theirs = other["metadata"]
        # One that has ended may still have something to give back (after TrafficOnly, all of the traffic).
        done = other.get("status", {}).get("phase") in TERMINAL and FINALIZER not in theirs.get("finalizers", ())
        shared = sorted(mine & deployment_names(other))
        if shared and not done and rank(other) < rank(obj):
            phase = (other.get("status") or {}).get("phase", Phase.PENDING)
            text = f"Deployment {shared[0]} belongs to experiment {theirs['name']} in this namespace ({phase}): wait"
            text += " until that has ended, or delete that experiment"
            return (Problem("DeploymentInUse", text),)
    return ()


def rank(obj: dict[str, Any]) -> tuple[bool, str, str]:
    """Who may have a Deployment: who has begun, then who came first; times of creation are whole seconds."""
    meta = obj["metadata"]
    waits = (obj.get("status") or {}).get("phase", Phase.PENDING) == Phase.PENDING
    return waits and FINALIZER not in meta.get("finalizers", ()), meta["creationTimestamp"], meta["name"]
