"""What a look at a route comes to, in the words that people read."""

from typing import Final

from serin.engine.observation import RouteReading, Workload
from serin.traffic.presets import Address
from serin.traffic.splits import FULL

NOBODY: Final = Workload(
    name="", uid="", generation=0, observed_generation=0, replicas=0, current=0, updated=0, ready=0, available=0,
    template_hash="",
)  # fmt: skip


def pods_needed(weight: int, total: int) -> int:
    """Pods of the canary that its share needs: the share of control's size, rounded up."""
    return -(-weight * total // FULL)


def missing_pods(control: Workload | None, canary: Workload | None, weight: int, total: int) -> list[str]:
    """What the Deployments still lack for a weight."""
    notes = []
    for role, each, want in (("canary", canary or NOBODY, pods_needed(weight, total)), ("control", control, total)):
        if each is None:
            notes.append("control's Deployment is missing")
        elif each.ready < want or each.observed_generation < each.generation:
            trouble_text = f" ({each.trouble})" if each.trouble else ""
            notes.append(f"{role} has {each.ready} of {want} pods ready{trouble_text}")
        elif want == 0 and each.current:
            notes.append(f"{role} still has {each.current} pods and goes to 0")
    return notes


def without_route(address: str, weight: int, notes: list[str], pods: str) -> RouteReading:
    """A route that is gone."""
    if weight == 0:
        # A route that is gone leads nobody to the canary: there is nothing to take back.
        return RouteReading(0.0, settled=not notes, token=f"gone/{pods}", note=", ".join(notes))
    text = f"{address} is gone: create it again, or set spec.abort: true"
    return RouteReading(None, settled=False, token=f"gone/{pods}", note=text, trouble=text)


def without_rule(
    address: Address, weight: int, notes: list[str], token: str, sentences: tuple[str, ...], *, left: bool
) -> RouteReading:
    """A route of which no rule leads to both variants."""
    if weight == 0 and not left and not sentences:
        return RouteReading(0.0, settled=not notes, token=token, note=", ".join(notes))
    why = "; ".join(sentences) or "no rule leads to control's and to the canary's Service any more"
    text = f"{address}: {why}: correct the route"
    return RouteReading(None, settled=False, token=token, note=text, trouble=text)


def percent(share: float | None) -> str:
    """A share as it is read aloud."""
    return "an unknown share" if share is None else f"{share:.3g}%"
