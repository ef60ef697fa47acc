"""What is wrong with a route before any traffic moves, in sentences that say what to write instead."""

from typing import Any

from serin.api.spec import Service
from serin.engine.observation import Problem
from serin.kube.errors import Forbidden
from serin.traffic.presets import Address
from serin.traffic.splits import FULL, Labels, Pair, Split, kind_of


def is_mixed(rule: Pair) -> bool:
    """True when writing 100 for two would change the share of a third."""
    numbers = (rule.control.weight, rule.canary.weight)
    return bool(rule.others()) and (None in numbers or sum(each or 0 for each in numbers) != FULL)


def mixed(service: Service, address: Address, rule: Pair) -> Problem:
    """Somebody else's backend, whose share would change."""
    other = rule.others()[0]
    text = (
        f"{service.name}: {address} also leads to {other.service or 'another backend'}, whose share would change: write"
        f" the weights of {rule.control.service} and {rule.canary.service} so that they add up to {FULL}, and the"
        " other's to match"
    )
    return Problem("OtherBackends", text)


def no_backends(
    service: Service, address: Address, chosen: tuple[Split, ...], selectors: dict[str, dict[str, str]], labels: Labels
) -> str:
    """Why no rule leads to both, and which Services would do."""
    found = {each.service: kind_of(each.service, selectors, labels) for split in chosen for each in split.backends}
    missing = sorted(name for name, kind in found.items() if kind == "missing")
    if missing:
        return f"{service.name}: {address} leads to Service {missing[0]}, which does not exist: create it"
    ours = {name: kind for name, kind in found.items() if kind in {"control", "canary"}}
    has = ", ".join(f"{name} ({kind})" for name, kind in sorted(ours.items())) or "neither"
    candidates = {role: [name for name in sorted(selectors) if kind_of(name, selectors, labels) == role]
                  for role in ("control", "canary")}  # fmt: skip
    hint = "; ".join(
        f"{role}: {', '.join(names) or 'no Service selects its pods alone, so make one'}"
        for role, names in candidates.items()
    )
    return (
        f"{service.name}: no rule of {address} has a backend for control and one for the canary (it has {has}): add"
        f" both as backends of one rule ({hint})"
    )


def pointed_problems(service: Service, address: Address, route: dict[str, Any]) -> list[Problem]:
    """A problem for each pointer that leads to no number."""
    found = []
    for split in address.preset.splits(route, route["metadata"]["namespace"]):
        for field, each in zip(("controlPath", "canaryPath"), split.backends, strict=True):
            if each.weight is None:
                text = (
                    f"{service.name}: weights.{field} {each.path}: {address} has no number there: write the JSON"
                    " pointer of a weight, like /spec/backends/0/weight"
                )
                found.append(Problem("WeightNotFound", text))
    return found


def kind(service: Service) -> str:
    """What the spec calls the kind of the route."""
    ref = service.traffic.weights
    return f"{ref.api_version} {ref.kind}" if ref is not None else "HTTPRoute"


def forbidden(service: Service, error: Forbidden) -> str:
    """Which right is missing, and where it comes from."""
    return (
        f"{service.name}: the operator may not read the route: add the component for it from"
        f" manifests/components/routers ({error})"
    )
