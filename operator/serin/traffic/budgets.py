"""Disruption budgets beside a split by pods: control shrinks, and what a budget asks of it must not shrink with it.

Kubernetes asks a budget about evictions alone, so Serin's scaling would not be stopped. But a budget with a fixed
number of control's pods can't be met when control gives them to the canary: until the experiment ends no node could be
drained. A user who wrote it meant the service, whose pods are as many as before. So it is refused with what says that.
"""

from typing import Any, Final

from serin.api.spec import Service
from serin.engine.observation import Problem
from serin.kube.client import Kube

_POLICY: Final = ("policy/v1", "poddisruptionbudgets")


def too_many(
    kube: Kube, namespace: str, service: Service, control: dict[str, str], canary: dict[str, str]
) -> list[Problem]:
    """A problem for each budget that asks for a number of control's pods and does not count the canary's.

    Args:
        kube: the API client.
        namespace: of the service.
        service: which one.
        control: labels of its pods.
        canary: labels of its pods.
    """
    found = []
    for budget in kube.list(*_POLICY, namespace):
        # A share of control's pods, or what may be missing of them, shrinks with control.
        least = budget["spec"].get("minAvailable")
        selector = budget["spec"].get("selector")
        if not isinstance(least, int) or least == 0 or selector is None:
            continue
        if selects(selector, control) and not selects(selector, canary):
            shared = dict(sorted(control.items() & canary.items()))
            hint = ", ".join(f"{key}: {value}" for key, value in shared.items()) or "a label that both have"
            text = (
                f"{service.name}: PodDisruptionBudget {budget['metadata']['name']} asks for {least} of control's pods,"
                " of which the canary takes the place: give it a selector that matches the pods of both"
                f" ({hint}), or write maxUnavailable"
            )
            found.append(Problem("DisruptionBudget", text))
    return found


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a label selector matches; an empty one matches everything."""
    return (selector.get("matchLabels") or {}).items() <= labels.items() and all(
        _holds(each, labels) for each in selector.get("matchExpressions") or ()
    )


def _holds(expression: dict[str, Any], labels: dict[str, str]) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case _:  # DoesNotExist; the API server knows no other
            return value is None
