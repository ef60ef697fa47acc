"""What a route says of its backends to somebody who reads its gateway's statistics."""

from typing import Any

from serin.engine.leads import Lead
from serin.traffic.leads import leads_of
from serin.traffic.presets import gateway_api, istio, nginx
from serin.traffic.splits import Labels, pairs

SELECTORS = {"s": {"v": "control"}, "c": {"v": "canary"}, "both": {}, "other": {"v": "x"}}
LABELS = Labels({"v": "control"}, {"v": "canary"})
FILTER = {"filters": [{"type": "RequestHeaderModifier"}]}


def route(*rules: list[dict[str, Any]]) -> dict[str, Any]:
    """Return an HTTPRoute."""
    return {
        "kind": "HTTPRoute",
        "metadata": {"name": "r"},
        "spec": {"rules": [{"backendRefs": each} for each in rules]},
    }


def test_places_and_filters_of_an_http_route() -> None:
    """By rule and backend, as they stand; a rule that leads to one variant alone is left out."""
    made = route(
        [{"name": "other", "port": 80}],
        [{"name": "s", "port": 80}],
        [{"name": "c", "port": 80, "weight": 5, **FILTER}, {"name": "s", "port": 8080, "weight": 95, **FILTER}],
        [{"name": "s", "port": 80, "weight": 95}, {"name": "c", "port": 80, "weight": 5, "filters": []}],
    )
    rules, _ = pairs(gateway_api(made, "ns"), SELECTORS, LABELS)
    assert set(leads_of(made, rules, ["s"])) == {
        Lead("canary", "r", "c", "80", 2, 0, filtered=True),
        Lead("control", "r", "s", "8080", 2, 1, filtered=True),
        Lead("control", "r", "s", "80", 3, 0),
        Lead("canary", "r", "c", "80", 3, 1),
    }


def test_the_canarys_ingress() -> None:
    """It names the canary's Service alone, by number or name of its port; control is whoever selects control's pods."""
    paths = [
        {"path": "/", "backend": {"service": {"name": "c", "port": {"number": 80}}}},
        {"path": "/b", "backend": {"service": {"name": "c", "port": {"name": "http"}}}},
        {"path": "/c", "backend": {"service": {"name": "c", "port": {"number": 80}}}},
    ]
    annotations = {"nginx.ingress.kubernetes.io/canary": "true", "nginx.ingress.kubernetes.io/canary-weight": "5"}
    made = {
        "kind": "Ingress",
        "metadata": {"name": "i", "annotations": annotations},
        "spec": {"rules": [{"http": {"paths": paths}}]},
    }
    rules, _ = pairs(nginx(made, "ns"), SELECTORS, LABELS, rest=True)
    assert leads_of(made, rules, ["s", "s-headless"]) == (
        Lead("control", "i", "s"),
        Lead("control", "i", "s-headless"),
        Lead("canary", "i", "c", "80"),
        Lead("canary", "i", "c", "http"),
    )


def test_other_resources() -> None:
    """Nobody counts by the places of a VirtualService, and reading it does no harm."""
    hosts = [{"destination": {"host": "c"}, "weight": 5}, {"destination": {"host": "s"}, "weight": 95}]
    made = {"kind": "VirtualService", "metadata": {"name": "v"}, "spec": {"http": [{"route": hosts}]}}
    rules, _ = pairs(istio(made, "ns"), SELECTORS, LABELS)
    assert {each.variant for each in leads_of(made, rules, ["s"])} == {"control", "canary"}
