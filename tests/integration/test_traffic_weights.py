"""The Weights router: each preset's resource on a real API server with the vendor's schema, and pointers into any."""

import copy
import json
from typing import Any

import pytest

from serin.kube.client import MERGE, Kube
from serin.kube.errors import Conflict, KubeError
from serin.traffic.pointer import find
from serin.traffic.presets import PRESETS
from tests.integration.routed import TOTAL, Routed
from tests.integration.shapes import service, until

pytestmark = pytest.mark.usefixtures("route_kinds")

NGINX = "nginx.ingress.kubernetes.io"
ACTION = "alb.ingress.kubernetes.io/actions.shop"


def ingress(backend: str, port: Any, annotations: dict[str, str]) -> dict[str, Any]:
    """Return an Ingress with one path."""
    path = {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": backend, "port": port}}}
    rules = [{"host": "shop.test", "http": {"paths": [path]}}]
    return {"metadata": {"annotations": annotations}, "spec": {"rules": rules}}


def groups(control: int, canary: int) -> str:
    """Return the text of an ALB action."""
    each = [
        {"serviceName": name, "servicePort": 80, "weight": weight}
        for name, weight in (("shop", control), ("shop-next", canary))
    ]
    return json.dumps({"type": "forward", "forwardConfig": {"targetGroups": each, "stickiness": {"enabled": False}}})


RESOURCES: dict[str, tuple[dict[str, Any], str, str]] = {
    "Istio": (
        {
            "spec": {
                "hosts": ["shop"],
                "http": [
                    {"match": [{"uri": {"prefix": "/x"}}], "route": [{"destination": {"host": "other"}}]},
                    {
                        "retries": {"attempts": 2},
                        "route": [
                            {"destination": {"host": "shop", "port": {"number": 80}}, "weight": 100},
                            {"destination": {"host": "shop-next.NS.svc.cluster.local"}, "weight": 0},
                        ],
                    },
                ],
            }
        },
        "/spec/http/1/route/0/weight",
        "/spec/http/1/route/1/weight",
    ),
    "Traefik": (
        {
            "spec": {
                "weighted": {
                    "services": [{"name": "shop", "port": 80, "weight": 100}, {"name": "shop-next", "port": 80}],
                    "sticky": {"cookie": {"name": "s"}},
                }
            }
        },
        "/spec/weighted/services/0/weight",
        "/spec/weighted/services/1/weight",
    ),
    "Contour": (
        {
            "spec": {
                "virtualhost": {"fqdn": "shop.test"},
                "routes": [
                    {
                        "conditions": [{"prefix": "/"}],
                        "services": [
                            {"name": "shop", "port": 80, "weight": 100},
                            {"name": "shop-next", "port": 80, "weight": 0},
                            {"name": "shadow", "port": 80, "mirror": True},
                        ],
                    }
                ],
            }
        },
        "/spec/routes/0/services/0/weight",
        "/spec/routes/0/services/1/weight",
    ),
    "Linkerd": (
        {
            "spec": {
                "parentRefs": [{"name": "shop", "kind": "Service", "group": "core", "port": 80}],
                "rules": [{"backendRefs": [{"name": "shop", "port": 80}, {"name": "shop-next", "port": 80}]}],
            }
        },
        "/spec/rules/0/backendRefs/0/weight",
        "/spec/rules/0/backendRefs/1/weight",
    ),
    "Kuma": (
        {
            "spec": {
                "targetRef": {"kind": "Mesh"},
                "to": [
                    {
                        "targetRef": {"kind": "MeshService", "name": "shop"},
                        "rules": [
                            {
                                "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                                "default": {
                                    "backendRefs": [
                                        {"kind": "MeshService", "name": "shop", "port": 80, "weight": 100},
                                        {"kind": "MeshService", "name": "shop-next_NS_svc_80", "weight": 0},
                                    ]
                                },
                            }
                        ],
                    }
                ],
            }
        },
        "/spec/to/0/rules/0/default/backendRefs/0/weight",
        "/spec/to/0/rules/0/default/backendRefs/1/weight",
    ),
    "APISIX": (
        {
            "spec": {
                "http": [
                    {
                        "name": "main",
                        "match": {"paths": ["/*"]},
                        "backends": [
                            {"serviceName": "shop", "servicePort": 80, "weight": 100},
                            {"serviceName": "shop-next", "servicePort": "http", "weight": 0},
                        ],
                    }
                ]
            }
        },
        "/spec/http/0/backends/0/weight",
        "/spec/http/0/backends/1/weight",
    ),
    "SMI": (
        {
            "spec": {
                "service": "shop-root",
                "backends": [{"service": "shop", "weight": 100}, {"service": "shop-next", "weight": 0}],
            }
        },
        "/spec/backends/0/weight",
        "/spec/backends/1/weight",
    ),
    "Nginx": (
        ingress(
            "shop-next", {"number": 80}, {f"{NGINX}/canary": "true", f"{NGINX}/canary-weight": "0", "example/a": "b"}
        ),
        "",
        "/metadata/annotations/nginx.ingress.kubernetes.io~1canary-weight",
    ),
    "ALB": (
        ingress("shop", {"name": "use-annotation"}, {ACTION: groups(100, 0), "example/a": "b"}),
        "",
        "",
    ),
}


def made(kube: Kube, namespace: str, preset: str) -> tuple[Routed, dict[str, Any]]:
    """Create a shop and a vendor's resource with control at 100; return the shop and the resource as it is stored."""
    shop = Routed(kube, namespace, service(type="Weights", weights={"name": "shop", "preset": preset}))
    body = json.loads(json.dumps(RESOURCES[preset][0]).replace("NS", namespace))
    body["metadata"] = {**body.get("metadata", {}), "name": "shop"}
    known = PRESETS[preset]
    body |= {"apiVersion": known.api_version, "kind": known.kind}
    return shop, kube.create(known.api_version, known.plural, namespace, body)


def stored(kube: Kube, namespace: str, preset: str) -> dict[str, Any]:
    """Return the resource as it is now."""
    known = PRESETS[preset]
    return kube.get(known.api_version, known.plural, namespace, "shop")


def numbers(obj: dict[str, Any], preset: str) -> tuple[int, int]:
    """Return (control, canary) as the vendor's controller would read them."""
    if preset == "ALB":
        targets = json.loads(obj["metadata"]["annotations"][ACTION])["forwardConfig"]["targetGroups"]
        return targets[0]["weight"], targets[1]["weight"]
    _, control, canary = RESOURCES[preset]
    second = int(find(obj, canary))
    return (int(find(obj, control)) if control else 100 - second), second


def taken(shop: Routed, preset: str) -> None:
    """Report as the controller of a Gateway API route does; the others are given time."""
    if preset == "Linkerd":
        shop.follow()


@pytest.mark.parametrize("preset", RESOURCES)
def test_a_preset_moves_its_vendors_resource(kube: Kube, namespace: str, preset: str) -> None:
    """0 -> 25 -> 100 -> 0 in the vendor's own resource; whatever else is in it is the same afterwards."""
    shop, before = made(kube, namespace, preset)
    taken(shop, preset)
    assert shop.router.check(namespace, shop.service) == ()
    for weight in (25, 100, 0):
        for _ in range(20):
            found = shop.read(weight, after=2.0)
            if found.settled:
                break
            shop.write(weight)
            shop.ready()
            taken(shop, preset)
        assert found.settled, found.note
        assert found.weight == pytest.approx(weight)
        assert numbers(stored(kube, namespace, preset), preset) == (100 - weight, weight)
    assert shop.sizes() == (TOTAL, 0)
    after = stored(kube, namespace, preset)
    assert without_weights(after) == without_weights(before)


def without_weights(obj: dict[str, Any]) -> Any:
    """Return what somebody else wrote: the resource without weights and without what the API server keeps."""
    obj = copy.deepcopy(obj)
    annotations = obj["metadata"].get("annotations", {})
    annotations.pop(f"{NGINX}/canary-weight", None)
    if ACTION in annotations:
        annotations[ACTION] = json.loads(annotations[ACTION])

    def plain(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: plain(value) for key, value in node.items() if key != "weight"}
        return [plain(each) for each in node] if isinstance(node, list) else node

    return plain({"spec": obj["spec"], "annotations": annotations})


@pytest.mark.parametrize("preset", ["Istio", "SMI", "Nginx", "ALB"])
def test_an_edit_in_between_is_not_overwritten(
    kube: Kube, namespace: str, monkeypatch: pytest.MonkeyPatch, preset: str
) -> None:
    """Spec or annotation: who edits between read and write keeps the edit, and the write is refused."""
    shop, before = made(kube, namespace, preset)
    shop.write(25)
    shop.ready()
    real, known = kube.get, PRESETS[preset]
    edit: dict[str, Any] = {"metadata": {"annotations": {"example/a": "edited"}}}
    if preset == "Istio":
        edit = {"spec": {"hosts": ["shop", "other"]}}
    elif preset == "SMI":
        edit = {"spec": {"service": "edited"}}

    def interrupted(api: str, plural: str, *rest: Any) -> dict[str, Any]:
        found = real(api, plural, *rest)
        if plural == known.plural:
            monkeypatch.undo()
            kube.patch(known.api_version, known.plural, namespace, "shop", edit, MERGE)
        return found

    monkeypatch.setattr(kube, "get", interrupted)
    with pytest.raises(Conflict, match="changed since it was read"):
        shop.write(25)
    now = stored(kube, namespace, preset)
    assert numbers(now, preset) == numbers(before, preset)
    shop.write(25)
    assert numbers(stored(kube, namespace, preset), preset) == (75, 25)


def test_nginx_parts_of_a_total(kube: Kube, namespace: str) -> None:
    """`canary-weight-total: 1000` makes 2 % of it 20, and one that is no multiple of 100 gets the number below."""
    shop, _ = made(kube, namespace, "Nginx")
    for total, text in (("1000", "20"), ("150", "3")):
        annotations = {f"{NGINX}/canary-weight-total": total, f"{NGINX}/canary-weight": "0"}
        kube.patch(
            "networking.k8s.io/v1", "ingresses", namespace, "shop", {"metadata": {"annotations": annotations}}, MERGE
        )
        shop.write(2)
        shop.ready()
        shop.write(2)
        assert stored(kube, namespace, "Nginx")["metadata"]["annotations"][f"{NGINX}/canary-weight"] == text


def pointed(kube: Kube, namespace: str, **ref: Any) -> Routed:
    """Create a shop whose weights are two pointers into a resource called `shop`."""
    weights = {
        "name": "shop",
        "apiVersion": "split.smi-spec.io/v1alpha4",
        "kind": "TrafficSplit",
        "controlPath": "/spec/backends/0/weight",
        "canaryPath": "/spec/backends/1/weight",
    }
    return Routed(kube, namespace, service(type="Weights", weights={**weights, **ref}))


def split(kube: Kube, namespace: str, *weights: int) -> None:
    """Create a TrafficSplit whose backends no Service of the shop matches."""
    backends = [{"service": f"s{at}", "weight": weight} for at, weight in enumerate(weights)]
    body = {"apiVersion": "split.smi-spec.io/v1alpha4", "kind": "TrafficSplit", "metadata": {"name": "shop"}}
    body |= {"spec": {"service": "root", "backends": backends}}
    kube.create("split.smi-spec.io/v1alpha4", "trafficsplits", namespace, body)


def test_pointers_into_any_resource(kube: Kube, namespace: str) -> None:
    """Two pointers are enough, whatever the backends are called; the plural is asked of the cluster."""
    shop = pointed(kube, namespace)
    split(kube, namespace, 100, 0, 7)
    assert shop.router.check(namespace, shop.service) == ()
    shop.write(25)
    shop.ready()
    shop.write(25)
    found = kube.get("split.smi-spec.io/v1alpha4", "trafficsplits", namespace, "shop")
    assert [each["weight"] for each in found["spec"]["backends"]] == [75, 25, 7]


@pytest.mark.parametrize(
    ("ref", "sentence"),
    [
        (
            {"canaryPath": "/spec/backends/9/weight"},
            "weights.canaryPath /spec/backends/9/weight: TrafficSplit shop has",
        ),
        ({"controlPath": "/spec/service"}, "weights.controlPath /spec/service: TrafficSplit shop has no number there"),
        ({"kind": "TrafficSplitter"}, "no kind split.smi-spec.io/v1alpha4 TrafficSplitter in this cluster"),
        ({"apiVersion": "nobody.example/v1"}, "no kind nobody.example/v1 TrafficSplit in this cluster"),
        ({"name": "other"}, "no TrafficSplit other in"),
        (
            {"controlPath": "spec.backends"},
            "'spec.backends' is not a JSON pointer: write it like /spec/backends/0/weight",
        ),
    ],
)
def test_a_pointer_that_leads_nowhere_is_refused(
    kube: Kube, namespace: str, ref: dict[str, str], sentence: str
) -> None:
    """Each gets a sentence that says what to write instead, before any traffic moves."""
    shop = pointed(kube, namespace, **ref)
    split(kube, namespace, 100, 0)
    found = [each.message for each in shop.router.check(namespace, shop.service)]
    assert any(sentence in each for each in found), found
    reading = shop.read(0)
    assert reading.note or reading.settled


def test_a_kind_that_went_away_does_not_stop_a_rollback(kube: Kube, namespace: str) -> None:
    """A resource that is gone leads nobody to the canary: control's size is all that is left to give back."""
    shop, _ = made(kube, namespace, "SMI")
    shop.write(50)
    shop.ready()
    shop.write(50)
    kube.delete("split.smi-spec.io/v1alpha4", "trafficsplits", namespace, "shop")

    def gone() -> bool:
        try:
            kube.get("split.smi-spec.io/v1alpha4", "trafficsplits", namespace, "shop")
        except KubeError:
            return True
        return False

    until("the split is gone", gone)
    assert "TrafficSplit shop is gone" in shop.read(50).trouble
    shop.write(0)
    shop.ready()
    assert shop.read(0).settled
