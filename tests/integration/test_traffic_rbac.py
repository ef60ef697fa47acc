"""The rights of routes: HTTPRoutes with the base alone, a vendor's resource with its component and not without."""

import pytest
import yaml

from serin.kube.client import Kube
from serin.traffic.httproute import address
from serin.traffic.presets import PRESETS
from serin.traffic.router import Routers
from serin.traffic.routes import RouteRouter
from tests.cluster.places import REPOSITORY
from tests.integration.routed import TRACE, Routed, routed
from tests.integration.shapes import grant, service, until

pytestmark = pytest.mark.usefixtures("route_kinds")

COMPONENTS = REPOSITORY / "manifests/components/routers"


def test_httproutes_need_no_component(operator: Kube, kube: Kube, namespace: str) -> None:
    """Checked, read and written with the operator's own account."""
    shop = routed(kube, namespace)
    shop.router = RouteRouter(operator, address, shop.clock)
    assert shop.router.check(namespace, shop.service) == ()
    shop.write(25)
    shop.ready()
    shop.write(25)
    assert shop.weights() == TRACE


def test_a_vendors_resource_needs_its_component(operator: Kube, kube: Kube, namespace: str) -> None:
    """Without the right the check names where it comes from; with the component it is there."""
    asked = service(type="Weights", weights={"name": "shop", "preset": "SMI"})
    shop = Routed(kube, namespace, asked)
    backends = [{"service": "shop", "weight": 100}, {"service": "shop-next", "weight": 0}]
    body = {"apiVersion": "split.smi-spec.io/v1alpha4", "kind": "TrafficSplit", "metadata": {"name": "shop"}}
    body |= {"spec": {"service": "root", "backends": backends}}
    kube.create("split.smi-spec.io/v1alpha4", "trafficsplits", namespace, body)
    routers = Routers(operator)
    (problem,) = routers.check(namespace, asked)
    assert problem.reason == "RouteForbidden"
    assert "manifests/components/routers" in problem.message
    assert "can't be read" in routers.read(asked, None, None, weight=0, total=10, namespace=namespace).trouble
    grant(kube, COMPONENTS / "smi/rbac.yaml")
    until("the right is in force", lambda: routers.check(namespace, asked) == ())
    routers.write(namespace, asked, weight=50, total=10)
    shop.ready()

    def written() -> bool:
        routers.write(namespace, asked, weight=50, total=10)
        found = kube.get("split.smi-spec.io/v1alpha4", "trafficsplits", namespace, "shop")
        return [each["weight"] for each in found["spec"]["backends"]] == [50, 50]

    until("the weights are written", written)


def test_every_preset_has_its_component() -> None:
    """Whatever a preset writes is granted by a component, or by the base; get and patch alone."""
    granted = set()
    for path in [REPOSITORY / "manifests/base/rbac.yaml", *COMPONENTS.glob("*/rbac.yaml")]:
        for body in yaml.safe_load_all(path.read_text()):
            for rule in body.get("rules", ()) if body["kind"] == "ClusterRole" else ():
                if set(rule["verbs"]) == {"get", "patch"}:
                    granted |= {(group, plural) for group in rule["apiGroups"] for plural in rule["resources"]}
    wanted = {(each.api_version.partition("/")[0], each.plural) for each in PRESETS.values()}
    assert wanted <= granted
