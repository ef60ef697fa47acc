"""Deployments whose pods are ready at once: the status that the Deployment controller and kubelets would write.

A real controller would make ReplicaSets and pods, and nothing of what is measured here reads those: the operator
watches Deployments. Twenty thousand pods would only keep the API server busy that the operator is measured beside.
"""

import asyncio
from typing import Any

from tests.bench.scale.api import Api, path
from tests.bench.scale.shop import APPS


async def run(api: Api) -> None:
    """Follow all Deployments until cancelled."""
    async with asyncio.TaskGroup() as group:
        async for obj in api.follow(path(APPS, "deployments", None)):
            if obj.get("status", {}).get("observedGeneration") != obj["metadata"]["generation"]:
                group.create_task(_rolled_out(api, obj))


async def _rolled_out(api: Api, obj: dict[str, Any]) -> None:
    meta, size = obj["metadata"], obj["spec"]["replicas"]
    status = {
        "observedGeneration": meta["generation"],
        "replicas": size,
        "updatedReplicas": size,
        "readyReplicas": size,
        "availableReplicas": size,
        "conditions": [{"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable", "message": "up"}],
    }
    await api.patch(path(APPS, "deployments", meta["namespace"], meta["name"]) + "/status", {"status": status})
