"""What keeps requests from being copied to the canary, before the first one is."""

from typing import Any

from serin.api.spec import Service, canary_name
from serin.engine.observation import Problem
from serin.kube.client import JSON_PATCH, Kube
from serin.kube.errors import Forbidden, Invalid, NotFound
from serin.traffic.conditions import identity
from serin.traffic.mirrors import FEATURE, PERCENT_FEATURE, Copies, supports
from serin.traffic.presets import Address
from serin.traffic.splits import FULL, Pair

_GATEWAY_API = "gateway.networking.k8s.io/v1"


def mirror_problems(
    kube: Kube, service: Service, address: Address, route: dict[str, Any], rules: tuple[Pair, ...], percent: int
) -> list[Problem]:
    """Why `percent` of the requests of these rules can't be copied; with 0, why what is counted would be copies."""
    if (text := copied_elsewhere(address, Copies(canary_name(service), None, rules).foreign(route))) != "":
        hint = "let Serin mirror by a stage like {name: mirror, mirror: 100, duration: 1h}"
        return [Problem("MirroredElsewhere", f"{service.name}: {text}, or {hint}")]
    if not percent or not rules:
        return []
    untold = _unsupported(kube, service, route, percent)
    return untold or _refused(kube, service, address, route, rules, percent)


def copied_elsewhere(address: Address, name: str) -> str:
    """What is wrong with a filter of somebody else's to the canary's Service; empty without one."""
    if not name:
        return ""
    return (
        f"{address} has a RequestMirror filter to the canary's Service {name} that is not Serin's, so copies would be"
        " counted as requests: remove the filter"
    )


def _unsupported(kube: Kube, service: Service, route: dict[str, Any], percent: int) -> list[Problem]:
    """A controller that does not know the filter answers every request of the rule with an error."""
    needed = FEATURE if percent == FULL else PERCENT_FEATURE
    home, reports = route["metadata"]["namespace"], (route.get("status") or {}).get("parents") or ()
    controllers = {identity(each["parentRef"], home): each.get("controllerName", "") for each in reports}
    for parent in route["spec"].get("parentRefs") or ():
        controller = controllers.get(identity(parent, home), "")
        if not supports(_features(kube, route, parent), controller, percent):
            who = f"{controller or 'the controller'} of {parent.get('kind', 'Gateway')} {parent['name']}"
            what = "requests" if percent == FULL else "a part of the requests"
            text = (
                f"{service.name}: nothing says that {who} copies {what}: its GatewayClass does not list {needed} in"
                " status.supportedFeatures. Leave out the stage with mirror"
            )
            all_of_them = "" if percent == FULL else f", or write mirror: 100 if it lists {FEATURE}"
            return [Problem("MirrorNotSupported", text + all_of_them)]
    return []


def _features(kube: Kube, route: dict[str, Any], parent: dict[str, Any]) -> list[str] | None:
    """What the class of a Gateway says that it can do; None where it says nothing, or must not be read."""
    if parent.get("kind", "Gateway") != "Gateway":
        return None
    namespace = parent.get("namespace") or route["metadata"]["namespace"]
    try:
        gateway = kube.get(_GATEWAY_API, "gateways", namespace, parent["name"])
        found = kube.get(_GATEWAY_API, "gatewayclasses", None, gateway["spec"]["gatewayClassName"])
    except (Forbidden, NotFound):
        return None
    features = (found.get("status") or {}).get("supportedFeatures")
    # Up to Gateway API 1.1 they were texts.
    return [each if isinstance(each, str) else each["name"] for each in features] if features else None


def _refused(
    kube: Kube, service: Service, address: Address, route: dict[str, Any], rules: tuple[Pair, ...], percent: int
) -> list[Problem]:
    """What the API server would make of the filter, by a trial: an older CRD drops `percent`, and all is copied."""
    preset = address.preset
    wanted = Copies(canary_name(service), percent, rules)
    try:
        after = kube.patch(
            preset.api_version,
            preset.plural,
            route["metadata"]["namespace"],
            address.name,
            wanted.changes(route),
            JSON_PATCH,
            trial=True,
        )
    except (Invalid, Forbidden) as error:
        text = f"{service.name}: {address} can't have a RequestMirror filter: {error}"
        return [Problem("MirrorNotSupported", f"{text}. Correct the rule, or leave out the stage with mirror")]
    if wanted.in_force(after):
        return []
    text = (
        f"{service.name}: the Gateway API's CRDs in this cluster are too old for RequestMirror's percent, and drop it:"
        " install 1.3 or newer, or write mirror: 100"
    )
    return [Problem("MirrorNotSupported", text)]
