"""Which variant a user belongs to by the gateway's hash, beside the one that really served.

The gateway decides, not the services. But a gateway that lost its stickiness would mix the two groups of an experiment
without any error, so each process computes the same hash, notes it beside what it serves, and counts disagreements.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import xxhash
from prometheus_client import CollectorRegistry, Counter

from serin_services.copies import is_copy

BUCKETS: Final = 100
USER_HEADER: Final = "x-user-id"
"""What the gateway hashes."""
VARIANT_HEADER: Final = "x-variant"
"""What the gateway adds for the backend that it chose."""
WEIGHT_HEADER: Final = "x-canary-weight"
"""Percent of users that the canary has, when the gateway says so."""
SALT_HEADER: Final = "x-salt-"
"""With the service's name behind it: the salt that the gateway hashes behind the user, when there is one."""

_CANARY: Final = "canary"
_KINDS: Final = ("variant", "bucket", "user")


def bucket(user_id: str, salt: str = "") -> int:
    """Return the bucket of a user, 0 to 99: xxh64 with seed 0, as Envoy's consistent hash of headers computes it.

    A second header, the salt of an experiment, is folded in as Envoy does it: rotate left by one bit, then xor.
    """
    number = xxhash.xxh64_intdigest(user_id.encode(), seed=0)
    if salt:
        number = ((number << 1 | number >> 63) & 0xFFFF_FFFF_FFFF_FFFF) ^ xxhash.xxh64_intdigest(salt.encode(), seed=0)
    return number % BUCKETS


@dataclass(frozen=True, slots=True)
class Served:
    """What is noted beside a row that a request wrote."""

    variant: str
    bucket: int
    copy: bool = False
    """A copy of a request: nobody gets the answer, so nothing is noted."""


class Assignment:
    """Compares what served with what should have.

    Exports `serin_assignments_total{agreed}` (yes, no, unknown: the gateway said nothing; copy: it was none) and
    `serin_assignment_disagreements_total{kind}`: `variant` (the gateway chose another variant than this process is),
    `bucket` (the canary's share does not hold this user, or control's does not), `user` (the gateway hashed another
    user than the one that the request is about).

    Args:
        variant: Variant of this process.
        registry: Where the series go.
        service: Name of the service, for the header of its salt.
    """

    def __init__(self, variant: str, registry: CollectorRegistry, service: str = "") -> None:
        self._variant = variant
        self._salt_header = f"{SALT_HEADER}{service}"
        self._assignments = Counter(
            "serin_assignments_total",
            "Requests by whether the gateway's choice agrees.",
            ("agreed",),
            registry=registry,
        )
        self._disagreements = Counter(
            "serin_assignment_disagreements_total", "Requests in the wrong place.", ("kind",), registry=registry
        )
        for agreed in ("yes", "no", "unknown", "copy"):
            self._assignments.labels(agreed)
        for kind in _KINDS:
            self._disagreements.labels(kind)

    def note(self, headers: Mapping[str, str], user_id: str) -> Served:
        """Compare one request, and return what to write beside its rows.

        Args:
            headers: Headers of the request, found by their lower-case names.
            user_id: The user that the request is about.
        """
        hashed = headers.get(USER_HEADER)
        number = bucket(user_id, headers.get(self._salt_header, ""))
        if is_copy(headers):  # with the headers of the request that went to control
            self._assignments.labels("copy").inc()
            return Served(self._variant, number, copy=True)
        chosen, weight = headers.get(VARIANT_HEADER), _percent(headers.get(WEIGHT_HEADER))
        wrong = {
            "variant": chosen is not None and chosen != self._variant,
            "bucket": weight is not None and (number < weight) != (self._variant == _CANARY),
            "user": hashed is not None and hashed != user_id,
        }
        for kind, is_wrong in wrong.items():
            if is_wrong:
                self._disagreements.labels(kind).inc()
        known = chosen is not None or weight is not None
        self._assignments.labels("no" if any(wrong.values()) else "yes" if known else "unknown").inc()
        return Served(self._variant, number)


def _percent(text: str | None) -> int | None:
    if text is None or not text.isdecimal():
        return None
    number = int(text)
    return number if number <= BUCKETS else None
