"""Autoscalers beside a route: they may add pods, and must not take those that the way back needs."""

from typing import Any, Final

from serin.api.spec import Service, canary_name
from serin.engine.observation import Problem
from serin.kube.client import Kube
from serin.kube.errors import NotFound

_HPA: Final = ("autoscaling/v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", "minReplicas", 1)
_KEDA: Final = ("keda.sh/v1alpha1", "scaledobjects", "ScaledObject", "minReplicaCount", 0)


def too_small(kube: Kube, namespace: str, service: Service, size: int) -> list[Problem]:
    """A problem for each autoscaler of control or canary that may go below control's present size.

    While the canary has traffic control idles, and its autoscaler would shrink it; a rollback then had to wait for new
    pods. An autoscaler that keeps the size at least does no harm: Serin never scales a serving Deployment down.
    """
    names, found = {service.control.deployment, canary_name(service)}, []
    for api, plural, kind, field, default in (_HPA, _KEDA):
        try:
            scalers = kube.list(api, plural, namespace)
        except NotFound:
            continue
        for scaler in scalers:
            spec: dict[str, Any] = scaler["spec"]
            ref = spec.get("scaleTargetRef", {})
            low = spec.get(field, default)
            if ref.get("kind", "Deployment") == "Deployment" and ref.get("name") in names and low < size:
                text = (
                    f"{service.name}: {kind} {scaler['metadata']['name']} may take Deployment {ref['name']} down to"
                    f" {low} of the {size} pods that the way back needs: write {field}: {size} for the time of the"
                    " experiment"
                )
                found.append(Problem("Autoscaled", text))
    return found
