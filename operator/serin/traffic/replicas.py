"""The Replicas router: the split is the ratio of ready pods behind one Service. For clusters with no mesh.

The growing side grows first, and the other shrinks only when the growth is ready, so that capacity never falls below
what the traffic needs. That control is back at full size before the canary loses its share is the same rule. It has one
exception: in a rollback for which the cluster has no room the canary gives its places to control, one at a time.
"""

from typing import Any, Final

from serin.api.names import MANAGED_BY
from serin.api.spec import Service, canary_name
from serin.engine.leads import Lead
from serin.engine.observation import Problem, RouteReading, Workload
from serin.engine.split import pods_for
from serin.kube.client import Kube
from serin.kube.deployments import Deployments, canary_from
from serin.kube.errors import KubeError, NotFound
from serin.traffic.budgets import too_many

_HPA: Final = ("autoscaling/v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler")
_KEDA: Final = ("keda.sh/v1alpha1", "scaledobjects", "ScaledObject")


def read(control: Workload | None, canary: Workload | None, *, weight: int, total: int) -> RouteReading:
    """The split as the Deployments show it, judged against `weight` percent of `total` pods."""
    want_control, want_canary = pods_for(weight, total)
    token = "/".join(f"{each.uid[:8]}:{each.generation}" if each else "-" for each in (control, canary))
    if control is None:
        return RouteReading(None, settled=False, token=token, note="control's Deployment is missing")
    ready = (control.ready, canary.ready if canary else 0)
    share = 100 * ready[1] / sum(ready) if sum(ready) else None
    notes = [
        _waits_for(role, each, want)
        for role, each, want in (("canary", canary, want_canary), ("control", control, want_control))
        if not _at(each, want)
    ]
    return RouteReading(
        weight=share,
        settled=not notes,
        token=token,
        note=", ".join(notes) or _granularity(weight, total),
    )


def _granularity(weight: int, total: int) -> str:
    nearest = 100 * pods_for(weight, total)[1] / total if total else 0.0
    if abs(nearest - weight) < 0.05:  # noqa: PLR2004 - what one decimal shows
        return ""
    return f"{nearest:.3g}% is the nearest that {total} pods can give to {weight}%"


def _waits_for(role: str, each: Workload | None, want: int) -> str:
    trouble = f" ({each.trouble})" if each is not None and each.trouble else ""
    if each is not None and each.current > want:
        return f"{role} still has {each.current} pods and goes to {want}"
    return f"{role} has {each.ready if each is not None else 0} of {want} pods ready{trouble}"


def _at(each: Workload | None, want: int) -> bool:
    if each is None:
        return want == 0
    return each.replicas == want and each.rolled_out


def workloads(
    deployments: Deployments, namespace: str, service: Service
) -> tuple[dict[str, dict[str, Any]], list[Problem]]:
    """The Deployments by role, the canary as it will be made where it is a patch; and what is wrong with them."""
    names = {"control": service.control.deployment, "canary": service.canary.deployment}
    objects: dict[str, dict[str, Any]] = {}
    problems: list[Problem] = []
    for role, name in names.items():
        if name is None:
            continue
        obj = deployments.find(namespace, name)
        if obj is None:
            twin = "canary" if role == "control" else "control"
            like, other = deployments.alike(namespace, name), names[twin]
            whose = f", which is {twin}.deployment already: if it is {role}, correct both" if like == other else ""
            there = f" (there is {like}{whose})" if like else ""
            text = f"{service.name}: no Deployment {name} in {namespace}: create it or correct {role}.deployment{there}"
            problems.append(Problem("DeploymentNotFound", text))
        else:
            objects[role] = obj
    if not problems and names["canary"] is None:
        problems += _made(deployments, namespace, service, objects)
    return objects, problems


def _made(
    deployments: Deployments, namespace: str, service: Service, objects: dict[str, dict[str, Any]]
) -> list[Problem]:
    """Adds the canary as it will be made to `objects`; a Deployment of its name that is not Serin's is refused."""
    name, control = canary_name(service), objects["control"]
    there = deployments.find(namespace, name)
    objects["canary"] = there or canary_from(control, service.canary.patch or {}, name, {}, "")
    if there is None or (there["metadata"].get("labels") or {}).get(MANAGED_BY[0]) == MANAGED_BY[1]:
        return []
    text = (
        f"{service.name}: Deployment {name} exists and was not made by Serin: delete it, or write"
        f" canary: {{deployment: {name}}} to use it as the canary"
    )
    return [Problem("CanaryNameTaken", text)]


class ReplicasRouter:
    """The router over one API server.

    Args:
        kube: the API client.
    """

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._deployments = Deployments(kube)

    def read(
        self,
        service: Service,
        control: Workload | None,
        canary: Workload | None,
        *,
        weight: int,
        total: int,
        mirror: int | None = None,
        namespace: str = "",
    ) -> RouteReading:
        """See `serin.traffic.protocol.Router`; needs no call."""
        del service, mirror, namespace
        return read(control, canary, weight=weight, total=total)

    def write(self, namespace: str, service: Service, *, weight: int, total: int, mirror: int | None = None) -> None:
        """One step towards `weight`, on what the API server says now. No spec has `mirror` here: pods copy nothing."""
        del mirror
        self._step(self._pair(namespace, service), weight, total)

    def _pair(self, namespace: str, service: Service) -> dict[str, dict[str, Any] | None]:
        names = {"control": service.control.deployment, "canary": canary_name(service)}
        return {role: self._deployments.find(namespace, name) for role, name in names.items()}

    def _step(self, pair: dict[str, dict[str, Any] | None], weight: int, total: int) -> None:
        want = dict(zip(("control", "canary"), pods_for(weight, total), strict=True))
        growing = [role for role, each in pair.items() if each is not None and _size(each) < want[role]]
        for role in growing:
            self._deployments.scale(pair[role] or {}, want[role])
        if growing:
            return
        for role, other in (("control", "canary"), ("canary", "control")):
            obj, grown = pair[role], pair[other]
            if obj is None or _size(obj) <= want[role]:
                continue
            if want[other] == 0 or (grown is not None and _is_ready(grown)):
                self._deployments.scale(obj, want[role])

    def restore(self, namespace: str, service: Service, *, total: int, mirror: int | None = None) -> None:
        """All traffic to control, at its full size; in a full cluster the canary makes room for it."""
        del mirror
        pair = self._pair(namespace, service)
        self._step(pair, 0, total)
        control, canary = pair["control"], pair["canary"]
        if control is None or canary is None or _size(control) < total or _is_ready(control):
            return
        # One pod less than the traffic needs, and never two: a failing canary would else hold control's place for ever.
        left = max(0, total - _ready(control) - 1)
        if left < _size(canary) and self._deployments.has_no_room(control):
            self._deployments.scale(canary, left)

    def leads(self, namespace: str, service: Service) -> tuple[Lead, ...]:
        """None: pods are the split, and they tell by themselves whose they are."""
        del namespace, service
        return ()

    def check(self, namespace: str, service: Service, *, mirror: int = 0) -> tuple[Problem, ...]:
        """What keeps the ratio of pods from being the ratio of the traffic."""
        del mirror
        objects, problems = workloads(self._deployments, namespace, service)
        if len(objects) < 2:  # noqa: PLR2004 - control and canary
            return tuple(problems)
        problems += _size_problems(service, objects["control"], objects["canary"])
        problems += self._scalers(namespace, service, [service.control.deployment, canary_name(service)])
        problems += self._service(namespace, service, objects)
        problems += too_many(
            self._kube, namespace, service, *(_labels(objects[role]) for role in ("control", "canary"))
        )
        return tuple(problems)

    def _scalers(self, namespace: str, service: Service, names: list[str]) -> list[Problem]:
        found = []
        for api, plural, kind in (_HPA, _KEDA):
            try:
                scalers = self._kube.list(api, plural, namespace)
            except NotFound:
                continue
            for scaler in scalers:
                spec = scaler["spec"]
                ref = spec.get("scaleTargetRef", {})
                if ref.get("kind", "Deployment") == "Deployment" and ref.get("name") in names:
                    name = scaler["metadata"]["name"]
                    text = (
                        f"{service.name}: {kind} {name} scales Deployment {ref['name']}, whose size is the traffic"
                        f" split here: delete it for the time of the experiment (kubectl delete -n {namespace}"
                        f" {kind.lower()} {name}), or split by a route, which leaves sizes alone (traffic.type:"
                        " HTTPRoute)"
                    )
                    found.append(Problem("Autoscaled", text))
        return found

    def _service(self, namespace: str, service: Service, objects: dict[str, dict[str, Any]]) -> list[Problem]:
        labels = [_labels(obj) for obj in objects.values()]
        try:
            services = self._kube.list("v1", "services", namespace)
        except KubeError as error:
            return [Problem("ServicesUnreadable", f"{service.name}: Services can't be listed: {error}")]
        for each in services:
            selector = each["spec"].get("selector") or {}
            if selector and all(selector.items() <= pods.items() for pods in labels):
                return []
        shared = dict(set.intersection(*(set(pods.items()) for pods in labels)))
        hint = ", ".join(f"{key}: {value}" for key, value in sorted(shared.items())) or "a label that both have"
        text = (
            f"{service.name}: no Service in {namespace} selects the pods of both Deployments, so their numbers don't"
            f" split its traffic: give one Service a selector that both match ({hint})"
        )
        return [Problem("NoSharedService", text)]


def _size_problems(service: Service, control: dict[str, Any], canary: dict[str, Any]) -> list[Problem]:
    total = service.traffic.replicas.total if service.traffic.replicas is not None else None
    # Both count: in a run that starts while the last one's traffic is still away, control is small for a while.
    if (total or _size(control) + _size(canary)) >= 2:  # noqa: PLR2004 - one for each side
        return []
    text = (
        f"{service.name}: Deployment {control['metadata']['name']} has {_size(control)} of the at least 2 pods that a"
        " split needs: scale it up, or write traffic: {type: Replicas, replicas: {total: 10}}"
    )
    return [Problem("TooFewPods", text)]


def _size(obj: dict[str, Any]) -> int:
    size: int = obj["spec"].get("replicas", 1)
    return size


def _labels(obj: dict[str, Any]) -> dict[str, str]:
    labels: dict[str, str] = obj["spec"]["template"].get("metadata", {}).get("labels") or {}
    return labels


def _ready(obj: dict[str, Any]) -> int:
    ready: int = obj.get("status", {}).get("readyReplicas", 0)
    return ready


def _is_ready(obj: dict[str, Any]) -> bool:
    current: int = obj.get("status", {}).get("observedGeneration", 0)
    return current >= int(obj["metadata"]["generation"]) and _ready(obj) >= _size(obj)
