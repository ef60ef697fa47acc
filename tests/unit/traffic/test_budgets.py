"""Which pods a disruption budget counts."""

from typing import Any

import pytest

from serin.traffic.budgets import selects

LABELS = {"app": "shop", "serin.dev/variant": "control"}


def expression(operator: str, *values: str, key: str = "serin.dev/variant") -> dict[str, Any]:
    """Return a selector of one expression."""
    return {"matchExpressions": [{"key": key, "operator": operator, **({"values": list(values)} if values else {})}]}


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ({}, True),
        ({"matchLabels": {"app": "shop"}}, True),
        ({"matchLabels": {"app": "shop", "serin.dev/variant": "canary"}}, False),
        (expression("In", "control", "other"), True),
        (expression("In", "canary"), False),
        (expression("NotIn", "canary"), True),
        (expression("NotIn", "control"), False),
        (expression("NotIn", "a", key="absent"), True),
        (expression("Exists"), True),
        (expression("Exists", key="absent"), False),
        (expression("DoesNotExist"), False),
        (expression("DoesNotExist", key="absent"), True),
        ({"matchLabels": {"app": "shop"}, **expression("In", "canary")}, False),
    ],
)
def test_a_selector_matches_as_kubernetes_says(selector: dict[str, Any], matches: bool) -> None:
    """Labels and expressions must all hold; an absent key is in no set, and so not in any."""
    assert selects(selector, LABELS) is matches
