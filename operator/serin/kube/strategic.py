"""Strategic merge of a patch into a pod template, as the API server would do it.

The API server merges strategically only into objects that exist; the canary that a patch describes does not exist yet.
No Python library does it, so here is the part that pod templates need: lists merged by their keys, null and
`$patch: delete` removing, `$patch: replace` putting the patch in place of what is there.
"""

import copy
from typing import Any, Final

_KEYS: Final = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "ports": "containerPort",
    "imagePullSecrets": "name",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
}
"""patchMergeKey of the lists in a PodSpec (Kubernetes API, types.go)."""


def merged(base: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """`base` with `patch` in it; neither is changed."""
    patch = dict(patch)
    result = {} if patch.pop("$patch", "merge") == "replace" else copy.deepcopy(base)
    for key, value in patch.items():
        old = result.get(key)
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = merged(old if isinstance(old, dict) else {}, value)
        elif isinstance(value, list) and isinstance(old, list) and key in _KEYS:
            result[key] = _merged_list(old, value, _KEYS[key])
        else:
            result[key] = copy.deepcopy(value)
    return result


def _merged_list(base: list[dict[str, Any]], patch: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    replaces = {"$patch": "replace"} in patch
    result = [] if replaces else list(base)
    for item in patch:
        if item == {"$patch": "replace"}:
            continue
        index = next((i for i, each in enumerate(result) if each.get(key) == item.get(key)), None)
        if item.get("$patch") == "delete":
            if index is not None:
                del result[index]
        elif index is None:
            result.append(copy.deepcopy(item))
        else:
            result[index] = merged(result[index], item)
    return result
