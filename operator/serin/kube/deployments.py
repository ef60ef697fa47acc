"""Deployments: read as a `Workload`, changed by compare-and-set.

Every change carries the generation that the decision was made on, so that a stale reader gets a refusal instead of
overwriting what somebody else (or a predecessor of this process) did in between.
"""

import copy
import hashlib
import json
from difflib import get_close_matches
from typing import Any, Final

import structlog

from serin.api.names import API_VERSION, CANARY, EXPERIMENT_LABEL, KIND, MANAGED_BY, VARIANT_LABEL
from serin.api.spec import Service, canary_name
from serin.engine.observation import Workload
from serin.engine.wording import unix
from serin.kube.client import JSON_PATCH, Kube
from serin.kube.errors import Conflict, Forbidden, Invalid, NotFound
from serin.kube.pods import trouble, unscheduled
from serin.kube.strategic import merged

_log = structlog.get_logger("serin.kube.deployments")

APPS: Final = "apps/v1"
SOURCE_ANNOTATION: Final = "serin.dev/template"
"""On a canary that Serin made: the hash of the template that it was made with, before the API server's defaults."""
_NOT_PART_OF_A_VERSION: Final = frozenset({"pod-template-hash", VARIANT_LABEL})


def workload(obj: dict[str, Any] | None) -> Workload | None:
    """A Deployment as decisions see it."""
    if obj is None:
        return None
    meta, spec, status = obj["metadata"], obj["spec"], obj.get("status", {})
    conditions = {each["type"]: each for each in status.get("conditions", ())}
    progressing = conditions.get("Progressing", {})
    failure = conditions.get("ReplicaFailure", {})
    available = conditions.get("Available", {})
    refused = failure.get("message", "") if failure.get("status") == "True" else ""
    return Workload(
        name=meta["name"],
        uid=meta["uid"],
        generation=meta.get("generation", 0),
        observed_generation=status.get("observedGeneration", 0),
        replicas=spec.get("replicas", 1),
        current=status.get("replicas", 0),
        updated=status.get("updatedReplicas", 0),
        ready=status.get("readyReplicas", 0),
        available=status.get("availableReplicas", 0),
        template_hash=template_hash(spec["template"]),
        deadline_exceeded=progressing.get("reason") == "ProgressDeadlineExceeded",
        deadline=float(spec.get("progressDeadlineSeconds", 600)),
        unavailable_since=unix(available.get("lastTransitionTime")) if available.get("status") == "False" else None,
        deleting="deletionTimestamp" in meta,
        controller=controller_uid(obj),
        trouble=refused,
    )


def controller_uid(obj: dict[str, Any]) -> str:
    """The uid of the owner that controls an object; empty when nobody does."""
    owners = obj["metadata"].get("ownerReferences") or ()
    return next((str(each["uid"]) for each in owners if each.get("controller")), "")


def template_hash(template: dict[str, Any]) -> str:
    """Of what makes a version: the pod template without its role and without what controllers add."""
    meta = template.get("metadata", {})
    labels = {key: value for key, value in (meta.get("labels") or {}).items() if key not in _NOT_PART_OF_A_VERSION}
    part = {"labels": labels, "annotations": meta.get("annotations") or {}, "spec": template.get("spec", {})}
    return hashlib.sha256(json.dumps(part, sort_keys=True).encode()).hexdigest()[:12]


def promoted_template(control: dict[str, Any], canary: dict[str, Any]) -> dict[str, Any]:
    """The canary's template as control gets it: control's labels stay, for its selector and its role hang on them."""
    template = copy.deepcopy(canary["spec"]["template"])
    meta = template.setdefault("metadata", {})
    meta.pop("creationTimestamp", None)
    meta["labels"] = copy.deepcopy(control["spec"]["template"].get("metadata", {}).get("labels", {}))
    return template  # type: ignore[no-any-return]


def owner_reference(experiment: dict[str, Any]) -> dict[str, Any]:
    """The experiment as the controlling owner: deleting it deletes what it owns."""
    meta = experiment["metadata"]
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
        "blockOwnerDeletion": False,
    }


def canary_from(
    control: dict[str, Any], patch: dict[str, Any], name: str, owner: dict[str, Any], experiment: str
) -> dict[str, Any]:
    """The canary Deployment that Serin makes from control's template and the user's patch, with no pods yet.

    Its selector is control's with the role `canary`, so that the Service that selects control's pods selects these too.
    Control's own selector may match these pods when it does not name the role; a Deployment adopts only pods that no
    other controller owns, so neither takes the other's.
    """
    spec = copy.deepcopy(control["spec"])
    spec.pop("paused", None)
    selector = {**(spec["selector"].get("matchLabels") or {}), VARIANT_LABEL: CANARY}
    # Without control's expressions a selector that has nothing else would be the role alone, the same for everybody.
    expressions = [each for each in spec["selector"].get("matchExpressions") or () if each.get("key") != VARIANT_LABEL]
    template = merged(spec["template"], patch)
    labels = template.setdefault("metadata", {}).setdefault("labels", {})
    labels.update(selector)
    template["metadata"].pop("creationTimestamp", None)
    wanted: dict[str, Any] = {"matchLabels": selector, **({"matchExpressions": expressions} if expressions else {})}
    spec.update({"replicas": 0, "selector": wanted, "template": template})
    return {
        "apiVersion": APPS,
        "kind": "Deployment",
        "metadata": {
            "name": name,
            "namespace": control["metadata"]["namespace"],
            "labels": {MANAGED_BY[0]: MANAGED_BY[1], EXPERIMENT_LABEL: experiment},
            "annotations": {SOURCE_ANNOTATION: template_hash(template)},
            "ownerReferences": [owner],
        },
        "spec": spec,
    }


def outdated(control: dict[str, Any], canary: dict[str, Any], patch: dict[str, Any]) -> bool:
    """True when the canary that Serin made is not what control's template and the patch mean now."""
    made_with = (canary["metadata"].get("annotations") or {}).get(SOURCE_ANNOTATION)
    body = canary_from(control, patch, canary["metadata"]["name"], {}, "")
    wanted: str = body["metadata"]["annotations"][SOURCE_ANNOTATION]
    return made_with != wanted


class Deployments:
    """The changes that Serin makes to Deployments and to the templates that it keeps.

    Args:
        kube: the API client.
    """

    def __init__(self, kube: Kube) -> None:
        self._kube = kube

    def find(self, namespace: str, name: str) -> dict[str, Any] | None:
        """The Deployment as it is now, or None."""
        try:
            return self._kube.get(APPS, "deployments", namespace, name)
        except NotFound:
            return None

    def alike(self, namespace: str, name: str) -> str:
        """The Deployment whose name is most like one that is not there; empty when none is."""
        try:
            names = [obj["metadata"]["name"] for obj in self._kube.list(APPS, "deployments", namespace)]
        except Forbidden:
            return ""
        return next(iter(get_close_matches(name, names, 1)), "")

    def trouble(self, obj: dict[str, Any]) -> str:
        """Why the pods of a Deployment are not ready, as they say it; empty when they don't."""
        return trouble(self._kube, obj["metadata"]["namespace"], obj)

    def has_no_room(self, obj: dict[str, Any]) -> bool:
        """Whether a pod of a Deployment waits for room in the cluster."""
        return unscheduled(self._kube, obj["metadata"]["namespace"], obj)

    def ensure_canary(self, namespace: str, service: Service, experiment: dict[str, Any]) -> None:
        """Makes the canary of a service whose canary is a patch, or gives it the template that the patch now means.

        Raises:
            Conflict: a Deployment of that name is not this experiment's, so it is left alone.
        """
        name = canary_name(service)
        control = self.find(namespace, service.control.deployment)
        if control is None or service.canary.patch is None:
            return
        owner = owner_reference(experiment)
        body = canary_from(control, service.canary.patch, name, owner, experiment["metadata"]["name"])
        there = self.find(namespace, name)
        if there is None:
            self._kube.create(APPS, "deployments", namespace, body)
            return
        if owner["uid"] != controller_uid(there):
            raise Conflict(f"Deployment {name} exists and is not of this experiment", 409, "NotOwned")
        made_with = (there["metadata"].get("annotations") or {}).get(SOURCE_ANNOTATION)
        if made_with != body["metadata"]["annotations"][SOURCE_ANNOTATION]:
            self._remake(there, body)

    def scale(self, obj: dict[str, Any], replicas: int) -> dict[str, Any]:
        """Sets the size of the very object that was read."""
        meta = obj["metadata"]
        before = obj["spec"].get("replicas", 1)
        _log.info("scale", namespace=meta["namespace"], deployment=meta["name"], before=before, after=replicas)
        return self._replace(obj, "/spec/replicas", replicas)

    def set_template(self, obj: dict[str, Any], template: dict[str, Any]) -> dict[str, Any]:
        """Sets the pod template of the very object that was read."""
        return self._replace(obj, "/spec/template", template)

    def keep_template(self, namespace: str, name: str, control: dict[str, Any], experiment: dict[str, Any]) -> None:
        """Stores control's template once; what was stored first stays, for only that was control's own."""
        body = {
            "apiVersion": APPS,
            "kind": "ControllerRevision",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": {
                    MANAGED_BY[0]: MANAGED_BY[1],
                    EXPERIMENT_LABEL: experiment["metadata"]["name"],
                },
                "ownerReferences": [owner_reference(experiment)],
            },
            "revision": 1,
            "data": {"template": control["spec"]["template"]},
        }
        try:
            self._kube.create(APPS, "controllerrevisions", namespace, body)
        except Conflict:
            return

    def kept_template(self, namespace: str, name: str) -> dict[str, Any] | None:
        """The template that `keep_template` stored, or None."""
        try:
            kept = self._kube.get(APPS, "controllerrevisions", namespace, name)
        except NotFound:
            return None
        template: dict[str, Any] = kept["data"]["template"]
        return template

    def forget_template(self, namespace: str, name: str) -> None:
        """Removes what `keep_template` stored."""
        try:
            self._kube.delete(APPS, "controllerrevisions", namespace, name)
        except NotFound:
            return

    def remove_canary(self, namespace: str, name: str, experiment_uid: str) -> None:
        """Deletes a canary that this experiment made; one of the user's is scaled to 0 and stays."""
        obj = self.find(namespace, name)
        if obj is None:
            return
        if controller_uid(obj) == experiment_uid:
            try:
                self._kube.delete(APPS, "deployments", namespace, name, uid=obj["metadata"]["uid"])
            except NotFound:
                return
        elif obj["spec"].get("replicas", 1):
            self.scale(obj, 0)

    def _remake(self, there: dict[str, Any], body: dict[str, Any]) -> None:
        annotations = there["metadata"].get("annotations") or {}
        self._change(
            there,
            {
                "/spec/template": body["spec"]["template"],
                "/metadata/annotations": {**annotations, **body["metadata"]["annotations"]},
            },
        )

    def _replace(self, obj: dict[str, Any], path: str, value: object) -> dict[str, Any]:
        return self._change(obj, {path: value})

    def _change(self, obj: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
        meta = obj["metadata"]
        # The status moves resourceVersion too (pods become ready), so the fence is the generation: it changes with the
        # spec alone, and a Deployment whose spec nobody changed is the one that was read.
        patch = [
            {"op": "test", "path": "/metadata/uid", "value": meta["uid"]},
            {"op": "test", "path": "/metadata/generation", "value": meta["generation"]},
            *({"op": "add", "path": path, "value": value} for path, value in values.items()),
        ]
        try:
            return self._kube.patch(APPS, "deployments", meta["namespace"], meta["name"], patch, JSON_PATCH)
        except Invalid as error:
            # The API server answers a test that fails with 422, as it does a value that is not acceptable.
            now = self.find(meta["namespace"], meta["name"])
            if now is None or _fence(now) != _fence(obj):
                raise Conflict(f"Deployment {meta['name']} changed since it was read", 409, "Conflict") from error
            raise


def _fence(obj: dict[str, Any]) -> tuple[str, int]:
    return obj["metadata"]["uid"], obj["metadata"]["generation"]
