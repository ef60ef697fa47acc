"""The one write of a look: the status, fenced by the resourceVersion that the decision was made on."""

from typing import Any

from serin.api.names import API_VERSION, FINALIZER, PLURAL
from serin.kube.client import Kube


def patch_status(kube: Kube, namespace: str, name: str, patch: dict[str, Any], resource_version: str) -> dict[str, Any]:
    """Writes a merge patch into the status; the object after it.

    Raises:
        Conflict: the object is not the one that the decision was made on any more.
    """
    body = {"metadata": {"resourceVersion": resource_version}, "status": patch}
    return kube.patch(API_VERSION, PLURAL, namespace, name, body, subresource="status")


def set_finalizer(kube: Kube, obj: dict[str, Any], *, present: bool) -> dict[str, Any]:
    """Adds or removes Serin's finalizer; those of others stay.

    Raises:
        Conflict: the object changed since it was read.
    """
    meta = obj["metadata"]
    others = [each for each in meta.get("finalizers", ()) if each != FINALIZER]
    wanted = [*others, FINALIZER] if present else others
    body = {"metadata": {"resourceVersion": meta["resourceVersion"], "finalizers": wanted}}
    return kube.patch(API_VERSION, PLURAL, meta["namespace"], meta["name"], body)
