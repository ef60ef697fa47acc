"""Copies of requests for the canary: the Gateway API's filter `RequestMirror` in the rules that lead to both variants.

The gateway sends a part of the requests a second time, to the canary, and drops the answers. Users get control's.
A filter has no name, so the route says in an annotation which Services Serin mirrors to: written by the same patch, it
tells Serin's filter from one of the user's after any crash. Only the Gateway API can do this here; who can't is refused
before any traffic moves.

https://gateway-api.sigs.k8s.io/guides/http-request-mirroring/
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from serin.api.names import MIRROR
from serin.traffic.pointer import find, items, parts, pointer
from serin.traffic.splits import FULL, Pair

FILTER: Final = "RequestMirror"
FEATURE: Final = "HTTPRouteRequestMirror"
PERCENT_FEATURE: Final = "HTTPRouteRequestPercentageMirror"

_PLACE: Final = pointer("metadata", "annotations", MIRROR)


def copied(route: dict[str, Any], rule: Pair) -> float:
    """The percentage of the rule's requests of which the canary gets a copy; 0 without a filter that does it."""
    return sum(_percent(each) for _, each in _filters(route, rule))


def mirrored(route: dict[str, Any], rule: Pair, percent: int) -> bool:
    """True when Serin has nothing to change in what the rule copies to the canary."""
    if percent:
        return copied(route, rule) == percent and rule.canary.service in ours(route)
    return not _filters(route, rule) or foreign(route, rule)


def foreign(route: dict[str, Any], rule: Pair) -> bool:
    """True when somebody else mirrors to the canary: its counts would be of requests that nobody meant for it."""
    return bool(_filters(route, rule)) and rule.canary.service not in ours(route)


def ours(route: dict[str, Any]) -> frozenset[str]:
    """The Services to which Serin mirrors in this route."""
    text = (route["metadata"].get("annotations") or {}).get(MIRROR, "")
    return frozenset(each for each in text.split(",") if each)


def changes(route: dict[str, Any], rules: Iterable[Pair], percent: int) -> list[dict[str, Any]]:
    """The JSON patch after which the canary gets copies of `percent` of each rule's requests, and of no others.

    Args:
        route: as it was read.
        rules: those that lead to both variants and are not `mirrored` yet.
        percent: 0 to 100.
    """
    patch: list[dict[str, Any]] = []
    touched: set[str] = set()
    for rule in rules:
        touched.add(rule.canary.service)
        ours_there = _filters(route, rule)
        if ours_there and len(ours_there) == len(items(find(route, rule.split.scope), "filters")) and not percent:
            # The list came with the filter.
            patch.append({"op": "remove", "path": f"{rule.split.scope}/filters"})
            continue
        # From the last one: an index that is taken away moves those behind it.
        patch += [{"op": "remove", "path": place} for place, _ in reversed(ours_there)]
        if percent:
            patch += _added(route, rule, percent)
    if not touched:
        return []
    named = ours(route)
    return [*patch, *_annotated(route, named | touched if percent else named - touched)]


def supports(features: Iterable[str] | None, controller: str, percent: int) -> bool:
    """Whether a Gateway's controller copies requests.

    Args:
        features: `status.supportedFeatures` of its GatewayClass; None where it says nothing about any.
        controller: name of the controller, for those whose classes say nothing.
        percent: of the requests; a part needs more of a controller than all.
    """
    needed = FEATURE if percent == FULL else PERCENT_FEATURE
    return needed in (_KNOWN.get(controller, ()) if features is None else frozenset(features))


_KNOWN: Final[dict[str, frozenset[str]]] = {
    "gateway.envoyproxy.io/gatewayclass-controller": frozenset({FEATURE, PERCENT_FEATURE}),
    "istio.io/gateway-controller": frozenset({FEATURE, PERCENT_FEATURE}),
    "io.cilium/gateway-controller": frozenset({FEATURE, PERCENT_FEATURE}),
    "gateway.nginx.org/nginx-gateway-controller": frozenset({FEATURE, PERCENT_FEATURE}),
    "kgateway.dev/kgateway": frozenset({FEATURE, PERCENT_FEATURE}),
    "networking.gke.io/gateway": frozenset({FEATURE, PERCENT_FEATURE}),
    "projectcontour.io/gateway-controller": frozenset({FEATURE}),
}
"""What the conformance reports of Gateway API 1.3 and 1.4 say of controllers. A class need not list its features."""


def _filters(route: dict[str, Any], rule: Pair) -> list[tuple[str, dict[str, Any]]]:
    """(pointer, `requestMirror`) of each filter of a rule that copies requests to the canary's Service."""
    home = route["metadata"]["namespace"]
    found = []
    for at, each in items(find(route, rule.split.scope), "filters"):
        mirror = each.get("requestMirror")
        if each.get("type") != FILTER or not isinstance(mirror, dict):
            continue
        ref = mirror.get("backendRef") or {}
        there = (ref.get("kind", "Service"), ref.get("namespace") or home, ref.get("name"))
        if there == ("Service", home, rule.canary.service):
            found.append((f"{rule.split.scope}{pointer('filters', at)}", mirror))
    return found


def _percent(mirror: dict[str, Any]) -> float:
    fraction = mirror.get("fraction")
    if isinstance(fraction, dict):
        return FULL * float(fraction.get("numerator", 0)) / float(fraction.get("denominator") or FULL)
    return float(mirror.get("percent", FULL))


def _added(route: dict[str, Any], rule: Pair, percent: int) -> Iterator[dict[str, Any]]:
    backend = find(route, pointer(*parts(rule.canary.path)[:-1]))
    ref = {key: backend[key] for key in ("name", "port") if key in backend}
    mirror = {"backendRef": ref} if percent == FULL else {"backendRef": ref, "percent": percent}
    if not isinstance(find(route, f"{rule.split.scope}/filters"), list):
        yield {"op": "add", "path": f"{rule.split.scope}/filters", "value": []}
    # Behind the others: the Gateway API leaves their order open, and what is first may say what is copied.
    yield {"op": "add", "path": f"{rule.split.scope}/filters/-", "value": {"type": FILTER, "requestMirror": mirror}}


def _annotated(route: dict[str, Any], services: frozenset[str]) -> Iterator[dict[str, Any]]:
    if services == ours(route):
        return
    there = route["metadata"].get("annotations")
    if not services:
        yield {"op": "remove", "path": _PLACE}
    elif not there:
        yield {"op": "add", "path": "/metadata/annotations", "value": {MIRROR: ",".join(sorted(services))}}
    else:
        yield {"op": "add", "path": _PLACE, "value": ",".join(sorted(services))}
