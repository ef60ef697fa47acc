"""Where the weights are in the resources of the usual meshes and ingress controllers.

A preset is its resource's address and one function that reads it into rules. All of them write numbers, by JSON patch
and only the numbers; two ingress controllers keep theirs as text in an annotation, which is what `Encoding` is for.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from serin.traffic.pointer import ABSENT, find, items, pointer
from serin.traffic.splits import FULL, Backend, Split, Splits

_NGINX: Final = "nginx.ingress.kubernetes.io"
_ALB: Final = "alb.ingress.kubernetes.io/actions."
_NGINX_TOTAL: Final = 1000000
_GATEWAY_API_FINEST: Final = 1_000_000
"""Each weight of the Gateway API may be that large, and only their ratio counts."""


@dataclass(frozen=True, slots=True)
class Preset:
    """One vendor's resource.

    Args:
        api_version: group and version that are asked for.
        kind: as manifests write it.
        plural: as paths write it.
        splits: reads the rules.
        encode: None writes numbers where the pointers lead; else (object, {pointer: weight}) -> {pointer: value}.
        rest: the resource names the canary alone, and control is the rest of the traffic.
        pointed: the user said where the two numbers are; Services are not asked.
        finest: the largest sum of weights that the resource may have; a sum other than 100 is not used elsewhere, where
            a number may be a percent by itself.
    """

    api_version: str
    kind: str
    plural: str
    splits: Splits
    encode: Callable[[dict[str, Any], dict[str, int]], dict[str, Any]] | None = None
    rest: bool = False
    pointed: bool = False
    finest: int = FULL


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _local(host: object, namespace: str) -> str:
    """`shop`, `shop.here`, `shop.here.svc.cluster.local` are Service `shop` of namespace `here`; all else is not."""
    name, _, rest = str(host or "").partition(".")
    return name if rest.split(".")[0] in {"", namespace} and (not rest or rest.split(".")[1:2] in ([], ["svc"])) else ""


def gateway_api(obj: dict[str, Any], namespace: str) -> tuple[Split, ...]:
    """HTTPRoute, of the Gateway API and of Linkerd: `rules[].backendRefs[]`; a weight that is not written is 1."""
    found = []
    for at, rule in items(obj, "spec", "rules"):
        backends = []
        for place, ref in items(rule, "backendRefs"):
            ours = (
                ref.get("kind", "Service") == "Service"
                and ref.get("group", "") in {"", "core"}
                and (ref.get("namespace") or namespace) == namespace
            )
            path = pointer("spec", "rules", at, "backendRefs", place, "weight")
            backends.append(Backend(ref.get("name", "") if ours else "", path, _number(ref.get("weight"))))
        found.append(Split(str(rule.get("name", "")), pointer("spec", "rules", at), tuple(backends)))
    return tuple(found)


def istio(obj: dict[str, Any], namespace: str) -> tuple[Split, ...]:
    """VirtualService: `http[].route[]`, by the destination's host."""
    found = []
    for at, rule in items(obj, "spec", "http"):
        backends = []
        for place, route in items(rule, "route"):
            host = (route.get("destination") or {}).get("host")
            path = pointer("spec", "http", at, "route", place, "weight")
            backends.append(Backend(_local(host, namespace), path, _number(route.get("weight"))))
        found.append(Split(str(rule.get("name", "")), pointer("spec", "http", at), tuple(backends)))
    return tuple(found)


def traefik(obj: dict[str, Any], namespace: str) -> tuple[Split, ...]:
    """TraefikService: `weighted.services[]`."""
    scope = ("spec", "weighted", "services")
    backends = []
    for at, each in items(obj, *scope):
        ours = each.get("kind", "Service") == "Service" and (each.get("namespace") or namespace) == namespace
        path = pointer(*scope, at, "weight")
        backends.append(Backend(each.get("name", "") if ours else "", path, _number(each.get("weight"))))
    return (Split("", pointer("spec", "weighted"), tuple(backends)),) if backends else ()


def _per_rule(obj: dict[str, Any], rules: str, backends: str, name: str) -> tuple[Split, ...]:
    """`rules[].backends[]` below `spec`, each backend with a Service's name and a weight; a mirror is no part of it."""
    found = []
    for at, rule in items(obj, "spec", rules):
        there = tuple(
            Backend(
                each.get(name, ""), pointer("spec", rules, at, backends, place, "weight"), _number(each.get("weight"))
            )
            for place, each in items(rule, backends)
            if not each.get("mirror")
        )
        found.append(Split(str(rule.get("name", "")), pointer("spec", rules, at), there))
    return tuple(found)


def contour(obj: dict[str, Any], namespace: str) -> tuple[Split, ...]:
    """HTTPProxy: `routes[].services[]`."""
    del namespace
    return _per_rule(obj, "routes", "services", "name")


def kuma(obj: dict[str, Any], namespace: str) -> tuple[Split, ...]:
    """MeshHTTPRoute: `to[].rules[].default.backendRefs[]`, by name, label or `<name>_<namespace>_svc_<port>`."""
    found = []
    for at, to in items(obj, "spec", "to"):
        for place, rule in items(to, "rules"):
            scope = ("spec", "to", at, "rules", place)
            backends = tuple(
                Backend(
                    _kuma_service(ref, namespace),
                    pointer(*scope, "default", "backendRefs", index, "weight"),
                    _number(ref.get("weight")),
                )
                for index, ref in items(rule, "default", "backendRefs")
            )
            found.append(Split("", pointer(*scope), backends))
    return tuple(found)


def _kuma_service(ref: dict[str, Any], namespace: str) -> str:
    labels = ref.get("labels") or {}
    name = str(ref.get("name") or labels.get("kuma.io/display-name") or labels.get("kuma.io/service") or "")
    if (ref.get("namespace") or labels.get("k8s.kuma.io/namespace") or namespace) != namespace:
        return ""
    service, _, rest = name.partition("_")
    return service if not rest or rest.split("_")[0] == namespace else ""


def apisix(obj: dict[str, Any], namespace: str) -> tuple[Split, ...]:
    """ApisixRoute: `http[].backends[]`."""
    del namespace
    return _per_rule(obj, "http", "backends", "serviceName")


def smi(obj: dict[str, Any], namespace: str) -> tuple[Split, ...]:
    """TrafficSplit: `backends[]`."""
    del namespace
    backends = tuple(
        Backend(each.get("service", ""), pointer("spec", "backends", at, "weight"), _number(each.get("weight")))
        for at, each in items(obj, "spec", "backends")
    )
    return (Split("", pointer("spec"), backends),) if backends else ()


def nginx(obj: dict[str, Any], namespace: str) -> tuple[Split, ...]:
    """The canary's Ingress of ingress-nginx: one annotation; control is what another Ingress leads to.

    The Ingress that is named has the canary's Service as its only backend, so there is no number for control.
    """
    del namespace
    if find(obj, pointer("metadata", "annotations", f"{_NGINX}/canary")) != "true":
        return ()
    path = pointer("metadata", "annotations", f"{_NGINX}/canary-weight")
    text = find(obj, path)
    # The controller itself takes an absent weight for 0.
    raw = int(text) if isinstance(text, str) and text.isdigit() else 0
    total = nginx_total(obj)
    weight = raw * FULL // total if raw * FULL % total == 0 else None
    services = {
        str(each["backend"]["service"]["name"])
        for _, rule in items(obj, "spec", "rules")
        for _, each in items(rule, "http", "paths")
        if "service" in each.get("backend", {})
    }
    return tuple(Split("", path, (Backend(name, path, weight),)) for name in sorted(services))


def nginx_total(obj: dict[str, Any]) -> int:
    """What a weight is a part of: `canary-weight-total`, or 100."""
    text = find(obj, pointer("metadata", "annotations", f"{_NGINX}/canary-weight-total"))
    return min(int(text), _NGINX_TOTAL) if isinstance(text, str) and text.isdigit() and int(text) else FULL


def _nginx_encode(obj: dict[str, Any], weights: dict[str, int]) -> dict[str, Any]:
    # A total that is no multiple of 100 gets the number at or below the weight: the share never exceeds its stage's.
    return {path: str(weight * nginx_total(obj) // FULL) for path, weight in weights.items()}


def alb(obj: dict[str, Any], namespace: str) -> tuple[Split, ...]:
    """An Ingress of the AWS load balancer controller: `forwardConfig.targetGroups[]` inside an annotation's JSON."""
    del namespace
    found = []
    for key, text in sorted((obj["metadata"].get("annotations") or {}).items()):
        groups = find(_json(text), "/forwardConfig/targetGroups") if key.startswith(_ALB) else ABSENT
        if groups is ABSENT:
            continue
        scope = pointer("metadata", "annotations", key)
        # Behind the annotation's pointer comes the one inside its text.
        backends = tuple(
            Backend(
                str(each.get("serviceName", "")),
                scope + pointer("forwardConfig", "targetGroups", at, "weight"),
                _number(each.get("weight")),
            )
            for at, each in items(groups)
        )
        found.append(Split(key.removeprefix(_ALB), scope, backends))
    return tuple(found)


def _alb_encode(obj: dict[str, Any], weights: dict[str, int]) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    for path, weight in weights.items():
        annotation, _, inner = path.partition("/forwardConfig/")
        action = changed.setdefault(annotation, _json(find(obj, annotation)))
        find(action, f"/forwardConfig/{inner}".rpartition("/")[0])["weight"] = weight
    return {annotation: json.dumps(action, separators=(",", ":")) for annotation, action in changed.items()}


def _json(text: object) -> Any:
    try:
        return json.loads(text) if isinstance(text, str) else {}
    except ValueError:
        return {}


@dataclass(frozen=True, slots=True)
class Address:
    """Which resource splits the traffic of a service, and which of its rules."""

    preset: Preset
    name: str
    rule: str | None = None

    def __str__(self) -> str:
        return f"{self.preset.kind} {self.name}"


HTTP_ROUTE: Final = Preset(
    "gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes", gateway_api, finest=_GATEWAY_API_FINEST
)

PRESETS: Final[dict[str, Preset]] = {
    "Istio": Preset("networking.istio.io/v1", "VirtualService", "virtualservices", istio),
    "Traefik": Preset("traefik.io/v1alpha1", "TraefikService", "traefikservices", traefik),
    "Contour": Preset("projectcontour.io/v1", "HTTPProxy", "httpproxies", contour),
    # Linkerd's own kind of route is the same shape: write apiVersion: policy.linkerd.io/v1beta3 beside the preset.
    "Linkerd": HTTP_ROUTE,
    "Kuma": Preset("kuma.io/v1alpha1", "MeshHTTPRoute", "meshhttproutes", kuma),
    "APISIX": Preset("apisix.apache.org/v2", "ApisixRoute", "apisixroutes", apisix),
    "SMI": Preset("split.smi-spec.io/v1alpha4", "TrafficSplit", "trafficsplits", smi),
    "Nginx": Preset("networking.k8s.io/v1", "Ingress", "ingresses", nginx, encode=_nginx_encode, rest=True),
    "ALB": Preset("networking.k8s.io/v1", "Ingress", "ingresses", alb, encode=_alb_encode),
}
"""By the name in `traffic.weights.preset`."""
