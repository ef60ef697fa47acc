"""Copies of requests for the canary: the Gateway API's filter `RequestMirror` in the rules that lead to both variants.

The gateway sends a part of the requests a second time, to the canary, and drops the answers. Users get control's.
A filter has no name, so the route says in an annotation to which Service Serin copies for which canary. The same patch
writes it, and it tells Serin's filter from one of the user's after any crash. While it is known that a run has copied,
whatever copies to its canary is taken for its own, annotation or not: nothing of it may stay. Only the Gateway API can
do this here; who can't is refused before any traffic moves.

https://gateway-api.sigs.k8s.io/guides/http-request-mirroring/
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from serin.api.names import MIRROR
from serin.traffic.pointer import find, items, parts, pointer
from serin.traffic.splits import FULL, Pair

FILTER: Final = "RequestMirror"
FEATURE: Final = "HTTPRouteRequestMirror"
PERCENT_FEATURE: Final = "HTTPRouteRequestPercentageMirror"

_KIND: Final = "HTTPRoute"
_PLACE: Final = pointer("metadata", "annotations", MIRROR)


@dataclass(frozen=True, slots=True)
class Copies:
    """What a run wants to have copied by a route.

    Args:
        canary: the canary's Deployment.
        percent: of the requests, 0 to 100; None for a run that has copied nothing: the mark alone says what is Serin's.
        rules: those that lead to both variants.
    """

    canary: str
    percent: int | None
    rules: Sequence[Pair]

    def share(self, route: dict[str, Any]) -> float:
        """The largest percentage of a rule's requests of which the canary gets a copy now."""
        return max((_share(route, each.split.scope, {each.canary.service}) for each in self.rules), default=0.0)

    def in_force(self, route: dict[str, Any]) -> bool:
        """True when nothing is to be changed, in these rules and in those that were among them before."""
        return not self.changes(route)

    def foreign(self, route: dict[str, Any]) -> str:
        """A Service of the canary's to which somebody else copies: it would count requests that nobody meant for it."""
        theirs = {each.canary.service for each in self.rules} - self._own(route)
        copied = (name for name in sorted(theirs) if any(_share(route, scope, {name}) for scope in _scopes(route)))
        return next(copied, "")

    def changes(self, route: dict[str, Any]) -> list[dict[str, Any]]:
        """The JSON patch after which the canary gets copies of `percent` of each rule's requests, and of no others."""
        if self.percent and not self.rules:
            return []  # a look holds, until the rules are known again
        own, wanted = self._own(route), {each.split.scope: each for each in self.rules if self.percent}
        patch: list[dict[str, Any]] = []
        for scope in _scopes(route):
            patch += _changed(route, scope, own, wanted.get(scope), self.percent or 0)
        return [*patch, *_marked(route, self.canary, {each.canary.service for each in wanted.values()})]

    def _own(self, route: dict[str, Any]) -> set[str]:
        found = marked(route, self.canary)
        return found if self.percent is None else found | {each.canary.service for each in self.rules}


def marked(route: dict[str, Any], canary: str) -> set[str]:
    """The Services to which Serin copies for a canary, as the route's annotation says."""
    return {service for name, service in _marks(route) if name == canary}


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


def _scopes(route: dict[str, Any]) -> list[str]:
    """Where the rules of a route are, if it is of a kind that has such filters."""
    rules = (route.get("spec") or {}).get("rules")
    if route.get("kind") != _KIND or not isinstance(rules, list):
        return []
    return [pointer("spec", "rules", at) for at in range(len(rules))]


def _filters(route: dict[str, Any], scope: str, services: set[str]) -> list[tuple[str, dict[str, Any]]]:
    """(pointer, `requestMirror`) of each filter of a rule that copies requests to one of these Services."""
    home = route["metadata"]["namespace"]
    found = []
    for at, each in items(find(route, scope), "filters"):
        mirror = each.get("requestMirror")
        if each.get("type") != FILTER or not isinstance(mirror, dict):
            continue
        ref = mirror.get("backendRef") or {}
        here = (ref.get("kind", "Service"), ref.get("namespace") or home) == ("Service", home)
        if here and ref.get("name") in services:
            found.append((f"{scope}{pointer('filters', at)}", mirror))
    return found


def _share(route: dict[str, Any], scope: str, services: set[str]) -> float:
    return sum(_percent(each) for _, each in _filters(route, scope, services))


def _percent(mirror: dict[str, Any]) -> float:
    fraction = mirror.get("fraction")
    if isinstance(fraction, dict):
        return FULL * float(fraction.get("numerator", 0)) / float(fraction.get("denominator") or FULL)
    return float(mirror.get("percent", FULL))


def _changed(
    route: dict[str, Any], scope: str, own: set[str], rule: Pair | None, percent: int
) -> Iterator[dict[str, Any]]:
    """What makes a rule copy `percent` to the canary, or nothing where it is none of the experiment's."""
    there = _filters(route, scope, own)
    if rule is None and there and len(there) == len(items(find(route, scope), "filters")):
        yield {"op": "remove", "path": f"{scope}/filters"}  # the list came with the filter
        return
    if rule is not None and len(there) == 1 and _share(route, scope, {rule.canary.service}) == percent:
        return
    # From the last one: an index that is taken away moves those behind it.
    yield from ({"op": "remove", "path": place} for place, _ in reversed(there))
    if rule is not None:
        yield from _added(route, rule, percent)


def _added(route: dict[str, Any], rule: Pair, percent: int) -> Iterator[dict[str, Any]]:
    backend = find(route, pointer(*parts(rule.canary.path)[:-1]))
    ref = {key: backend[key] for key in ("name", "port") if key in backend}
    mirror = {"backendRef": ref} if percent == FULL else {"backendRef": ref, "percent": percent}
    if not isinstance(find(route, f"{rule.split.scope}/filters"), list):
        yield {"op": "add", "path": f"{rule.split.scope}/filters", "value": []}
    # Behind the others: the Gateway API leaves their order open, and what is first may say what is copied.
    yield {"op": "add", "path": f"{rule.split.scope}/filters/-", "value": {"type": FILTER, "requestMirror": mirror}}


def mark(route: dict[str, Any]) -> str:
    """The annotation that tells Serin's filters, as it is written."""
    return str((route["metadata"].get("annotations") or {}).get(MIRROR, ""))


def _marks(route: dict[str, Any]) -> set[tuple[str, str]]:
    """(canary's Deployment, Service) of each mark: several experiments may share a route."""
    found = (each.partition("=") for each in mark(route).split(","))
    return {(name, service) for name, equals, service in found if equals}


def _marked(route: dict[str, Any], canary: str, services: Iterable[str]) -> Iterator[dict[str, Any]]:
    wanted = {each for each in _marks(route) if each[0] != canary} | {(canary, each) for each in services}
    if wanted == _marks(route):
        return
    text = ",".join(f"{name}={service}" for name, service in sorted(wanted))
    if before := mark(route):
        yield {"op": "test", "path": _PLACE, "value": before}
    if not text:
        yield {"op": "remove", "path": _PLACE}
    elif route["metadata"].get("annotations"):
        yield {"op": "add", "path": _PLACE, "value": text}
    else:
        yield {"op": "add", "path": "/metadata/annotations", "value": {MIRROR: text}}
