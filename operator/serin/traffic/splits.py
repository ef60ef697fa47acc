"""What every route has in common: places where a number says how much of the traffic a Service gets.

A vendor's resource is read into `Split`s, one for each rule that divides traffic. Which of its backends is control and
which is the canary follows from the Services' selectors and the labels of the two Deployments' pods: nobody has to
write it down a second time, and a route that leads elsewhere than it should is noticed before any traffic moves.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from serin.api.names import CANARY, VARIANT_LABEL

FULL = 100
"""What the weights of control and canary add up to."""

Kind = Literal["control", "canary", "both", "other", "missing"]


@dataclass(frozen=True, slots=True)
class Backend:
    """One backend of a rule."""

    service: str
    """Name of the Service in the route's namespace; empty for anything else."""
    path: str
    """JSON pointer to its weight; empty when the resource has no number for it."""
    weight: int | None
    """As it is written; None where it is not."""


REST = Backend("", "", None)
"""Whatever gets the traffic that a canary's number leaves."""


@dataclass(frozen=True, slots=True)
class Split:
    """One rule."""

    name: str
    """What a user calls it; empty when it has no name."""
    scope: str
    """JSON pointer to the rule: a change of anything in it may be a change of the split."""
    backends: tuple[Backend, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """The two backends of a rule that Serin writes."""

    split: Split
    control: Backend
    canary: Backend

    def weight(self) -> float | None:
        """The canary's share in percent of what control and canary get; None when it is not written."""
        if self.canary.weight is None or (self.control.weight is None and self.control.path):
            return None
        control = self.control.weight if self.control.weight is not None else FULL - self.canary.weight
        total = control + self.canary.weight
        return 100 * self.canary.weight / total if total > 0 else None

    def named(self) -> tuple[Backend, ...]:
        """Those of the two that are a Service."""
        return tuple(each for each in (self.control, self.canary) if each.service)

    def others(self) -> tuple[Backend, ...]:
        """The backends of somebody else that get traffic."""
        ours = (self.control, self.canary)
        return tuple(each for each in self.split.backends if each not in ours and each.weight != 0)

    def written(self, weight: int) -> bool:
        """True when the rule already says `weight`, in Serin's own numbers."""
        control_done = not self.control.path or self.control.weight == FULL - weight
        return control_done and self.canary.weight == weight


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of the two Deployments' pods; None for a Deployment that is not there."""

    control: Mapping[str, str] | None
    canary: Mapping[str, str] | None


def kind_of(service: str, selectors: Mapping[str, Mapping[str, str]], labels: Labels) -> Kind:
    """Whose pods a Service selects."""
    if service not in selectors:
        return "missing" if service else "other"
    selector = selectors[service]
    hits = [
        bool(selector) and pods is not None and selector.items() <= pods.items()
        for pods in (labels.control, labels.canary)
    ]
    if all(hits):
        return "both"
    if hits[0]:
        return "control"
    # A canary that was deleted has no labels any more; its Service may still say what it was for.
    gone = labels.canary is None and selector.get(VARIANT_LABEL) == CANARY
    return "canary" if hits[1] or gone else "other"


def pair(split: Split, selectors: Mapping[str, Mapping[str, str]], labels: Labels, *, rest: bool = False) -> Pair | str:
    """The two backends of a rule, or why it has not exactly these two; empty when it does not lead to both.

    A canary whose Deployment or Service is gone is the backend that is left over beside control: without that a
    rollback could not find what to take the traffic from.

    Args:
        split: the rule.
        selectors: of the namespace's Services, by name.
        labels: of the two Deployments' pods.
        rest: the rule names the canary alone, and control is the rest of the traffic.
    """
    if rest:
        split = Split(split.name, split.scope, (REST, *split.backends))
    found: dict[Kind, list[Backend]] = {}
    for each in split.backends:
        found.setdefault(kind_of(each.service, selectors, labels), []).append(each)
    control, canary = [REST] if rest else found.get("control", []), found.get("canary", [])
    if found.get("both"):
        name = found["both"][0].service
        return f"Service {name} selects the pods of control and of the canary: give each a Service of its own"
    if not control:
        return ""
    if not canary:
        left = [each for each in split.backends if each not in control and each.service]
        unknown = [each for each in left if kind_of(each.service, selectors, labels) == "missing"]
        canary = unknown or (left if labels.canary is None else [])
        if len(canary) == 1 and (labels.canary is None or len(left) == 1):
            return Pair(split, control[0], canary[0])
        return ""
    if len(control) > 1 or len(canary) > 1:
        twice = (control if len(control) > 1 else canary)[0].service
        return f"Service {twice} is a backend twice: keep one of them"
    return Pair(split, control[0], canary[0])


def pairs(
    splits: Iterable[Split], selectors: Mapping[str, Mapping[str, str]], labels: Labels, *, rest: bool = False
) -> tuple[tuple[Pair, ...], tuple[str, ...]]:
    """(the rules that lead to both, sentences about rules that almost do)."""
    answers = [pair(each, selectors, labels, rest=rest) for each in splits]
    good = tuple(each for each in answers if isinstance(each, Pair))
    return good, tuple(dict.fromkeys(each for each in answers if isinstance(each, str) and each))


Splits = Callable[[dict[str, Any], str], tuple[Split, ...]]
"""Reads a resource and the namespace of its Services into its rules."""
