"""Whether a route's controller has taken what is written: a weight in a spec is a wish until somebody follows it.

Gateways report per parent (`status.parents[]`), most others in `status.conditions[]`; both say which generation they
have seen. A resource that reports nothing can only be given time.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

_SAYS_NO: Final = frozenset({"Accepted", "ResolvedRefs", "Valid", "ResourcesAvailable"})
"""Conditions that are False when a route is not in force."""

_NEEDED: Final = ("Accepted", "ResolvedRefs")
"""What a controller of a Gateway API route has to say of it."""


def reports(route: dict[str, Any]) -> bool:
    """True when the resource tells what became of it."""
    status = route.get("status") or {}
    return "parentRefs" in route.get("spec", {}) or any(
        "observedGeneration" in each for each in status.get("conditions") or ()
    )


def trouble(route: dict[str, Any]) -> str:
    """Why what is written is not in force; empty when nothing speaks against it."""
    for each in _followers(route):
        if each.found is None:
            asks = f"does the {each.kind} exist, and does its controller run?"
            return f"no controller has taken {_named(route)} for {each.name}: {asks}"
        if text := _conditions(route, each.found, each.name, needed=each.needed):
            return text
    return ""


def behind(route: dict[str, Any]) -> bool:
    """True when somebody who follows the resource has not seen its present generation: it is away, or late.

    Whoever has seen it and says no is not behind.
    """
    return any(each.found is None or _late(route, each.found, needed=each.needed) for each in _followers(route))


class _Follower(NamedTuple):
    """Somebody who has to take a resource, and what it says of it; None where a parent has nobody who says anything."""

    name: str
    found: Sequence[dict[str, Any]] | None
    needed: Sequence[str] = ()
    kind: str = ""


def _followers(route: dict[str, Any]) -> Iterator[_Follower]:
    status, spec = route.get("status") or {}, route.get("spec", {})
    if "parentRefs" not in spec:
        yield _Follower("its controller", status.get("conditions") or ())
        return
    namespace, known = route["metadata"]["namespace"], status.get("parents") or ()
    for parent in spec["parentRefs"]:
        mine = [each for each in known if identity(each["parentRef"], namespace) == identity(parent, namespace)]
        if not mine:
            kind = parent.get("kind", "Gateway")
            yield _Follower(f"{kind} {parent['name']}", None, kind=kind)
        for each in mine:
            name = f"controller {each.get('controllerName', '')}"
            yield _Follower(name, each.get("conditions") or (), needed=_NEEDED)


def _late(route: dict[str, Any], found: Sequence[dict[str, Any]], *, needed: Sequence[str]) -> bool:
    there, generation = {each["type"]: each for each in found}, route["metadata"].get("generation", 0)
    return any(name not in there for name in needed) or any(
        _generation(each, needed, generation) < generation for each in found
    )


def _generation(condition: dict[str, Any], needed: Sequence[str], present: int) -> int:
    """The generation that a condition is about; one that need not be there may leave it out."""
    seen: int = condition.get("observedGeneration", 0 if condition["type"] in needed else present)
    return seen


def _conditions(route: dict[str, Any], found: Sequence[dict[str, Any]], by: str, *, needed: Sequence[str]) -> str:
    what, generation = _named(route), route["metadata"].get("generation", 0)
    there = {each["type"]: each for each in found}
    for name in needed:
        if name not in there:
            return f"{by} has not said {name} of {what} yet"
    for name, each in there.items():
        seen = _generation(each, needed, generation)
        if seen < generation:
            return (
                f"{by} has not taken the present {what} (generation {generation}), only generation {seen}: does it run?"
            )
        if name in _SAYS_NO and each["status"] != "True":
            reason = each.get("message") or each.get("reason") or "no reason given"
            return f"{by} says {name}={each['status']} of {what}: {reason}"
    return ""


def _named(route: dict[str, Any]) -> str:
    return f"{route.get('kind', 'route')} {route['metadata']['name']}"


def identity(ref: dict[str, Any], namespace: str) -> tuple[object, ...]:
    """Which parent of a route is meant, with what the Gateway API takes for granted."""
    return (
        ref.get("group", "gateway.networking.k8s.io"),
        ref.get("kind", "Gateway"),
        ref.get("namespace") or namespace,
        ref["name"],
        ref.get("sectionName"),
        ref.get("port"),
    )
