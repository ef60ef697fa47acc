"""By how much a canary is surely worse than control: the lower end of each ratio's interval, kept in the checkpoint.

A decision between two looks has no evidence of its own, and the status has the ratio only as a text for people.
"""

from collections.abc import Iterable, Mapping
from math import inf
from typing import Final

from serin.stats import Evidence

_KEY: Final = "_low"
"""In the checkpoint, behind the service. No guardrail that a user names has an underscore."""


def kept(evidence: Mapping[str, Iterable[tuple[str, Evidence]]]) -> dict[str, str]:
    """The record of each service's guardrails, to put into the checkpoint."""
    return {
        f"{service}/{_KEY}": " ".join(
            f"{name}={0.0 if each.ratio is None else each.ratio_low:.6g}" for name, each in parts
        )
        for service, parts in evidence.items()
    }


def low(checkpoint: Mapping[str, str], service: str, guardrail: str) -> float:
    """The lower end of the ratio to control; 0 where nothing can be said.

    Without a record (an older operator wrote the checkpoint) it is infinite, and waits for the next look.
    """
    record = checkpoint.get(f"{service}/{_KEY}")
    if record is None:
        return inf
    found = dict(part.split("=", 1) for part in record.split())
    return float(found.get(guardrail, 0.0))
