"""Which variant a user is hashed to: the same function as the proxy's, over what the cluster's policies say.

Envoy hashes each named header with xxHash64 (seed 0) and folds the hashes: `rotate left by one, then xor`
(`HashPolicyImpl::generateHash`). The result modulo the sum of the weights picks the backend, in the route's order. With
the canary first and a sum of 100 a user's bucket is a percent: whoever has 5 % keeps all of them at 50 %.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import xxhash

from serin.traffic.splits import Split

USER_HEADER: Final = "x-user-id"
_BITS: Final = 64
_MASK: Final = (1 << _BITS) - 1


@dataclass(frozen=True, slots=True)
class Hashing:
    """What a rule hashes: header names in order, and the values of those that the gateway itself sets."""

    headers: tuple[str, ...]
    salts: Mapping[str, str]

    @property
    def user_header(self) -> str:
        """The one header that comes from the request; empty when it isn't exactly one."""
        free = [each for each in self.headers if each not in self.salts]
        return free[0] if len(free) == 1 else ""

    def number(self, user: str) -> int:
        """The 64-bit hash of a user's request."""
        return combined([self.salts.get(each, user) for each in self.headers])


def combined(values: Sequence[str]) -> int:
    """Envoy's hash of several header values, unsigned, 64 bits."""
    number = 0
    for value in values:
        rotated = ((number << 1) | (number >> (_BITS - 1))) & _MASK
        number = rotated ^ xxhash.xxh64_intdigest(value.encode(), seed=0)
    return number


def chosen(split: Split, number: int) -> tuple[str, int, int]:
    """(Service, bucket, sum of the weights) that a hash picks.

    Raises:
        ValueError: the rule has no weight at all, so nobody is served.
    """
    weights = [1 if each.weight is None else each.weight for each in split.backends]
    total = sum(weights)
    if total == 0:
        raise ValueError("all weights of the rule are 0: nobody is served")
    bucket, passed = number % total, 0
    for each, weight in zip(split.backends, weights, strict=True):
        passed += weight
        if bucket < passed:
            return each.service, bucket, total
    raise AssertionError("a bucket is below the sum")


def hashing(
    route: dict[str, Any], rule: str, policies: Iterable[dict[str, Any]], clients: Iterable[dict[str, Any]]
) -> Hashing | None:
    """What a rule of a route hashes; None when it is split by the request.

    Args:
        route: the HTTPRoute.
        rule: the rule's name; empty for one without.
        policies: BackendTrafficPolicies of the route's namespace.
        clients: ClientTrafficPolicies of the Gateways' namespaces.
    """
    best: tuple[bool, dict[str, Any]] | None = None
    for policy in policies:
        for ref in _targets(policy):
            if (ref.get("kind"), ref.get("name")) != ("HTTPRoute", route["metadata"]["name"]):
                continue
            section = ref.get("sectionName")
            if section in {None, rule} and (best is None or section is not None):
                best = (section is not None, policy)
    if best is None:
        return None
    consistent = (best[1]["spec"].get("loadBalancer") or {}).get("consistentHash") or {}
    headers = consistent.get("headers") or ([consistent["header"]] if "header" in consistent else [])
    names = tuple(str(each["name"]).lower() for each in headers)
    return Hashing(names, _salts(route, clients)) if names else None


def _salts(route: dict[str, Any], clients: Iterable[dict[str, Any]]) -> dict[str, str]:
    namespace = route["metadata"]["namespace"]
    parents = {(ref.get("namespace") or namespace, ref["name"]) for ref in route["spec"].get("parentRefs", ())}
    found: dict[str, str] = {}
    for policy in clients:
        mine = {(policy["metadata"]["namespace"], ref.get("name")) for ref in _targets(policy)}
        early = (policy["spec"].get("headers") or {}).get("earlyRequestHeaders") or {}
        if mine & parents:
            found |= {str(each["name"]).lower(): str(each["value"]) for each in early.get("set") or ()}
    return found


def _targets(policy: dict[str, Any]) -> list[dict[str, Any]]:
    spec = policy["spec"]
    return [*(spec.get("targetRefs") or ()), *([spec["targetRef"]] if "targetRef" in spec else ())]
