"""A Deployment that is not there: which one is meant, as far as names tell."""

from typing import Any

import pytest

from serin.api.spec import Canary, Control, Service
from serin.traffic.replicas import workloads


class Deployments:
    """A namespace with two Deployments."""

    def find(self, _: str, name: str) -> dict[str, Any] | None:
        """The one of that name."""
        return {"metadata": {"name": name}} if name in {"shop", "shop-next"} else None

    def alike(self, _: str, name: str) -> str:
        """The one that begins likewise."""
        return "shop-next" if name.startswith("shop-n") else "shop" if name.startswith("sh") else ""


@pytest.mark.parametrize(
    ("control", "canary", "said"),
    [
        ("shpo", "shop-next", "correct control.deployment (there is shop)"),
        (
            "shpo",
            "shop",
            "(there is shop, which is canary.deployment already: if it is control, correct both)",
        ),
        (
            "shop-next",
            "shop-nxet",
            "(there is shop-next, which is control.deployment already: if it is canary, correct both)",
        ),
        ("cart", "shop-next", "create it or correct control.deployment"),
    ],
)
def test_the_name_that_is_meant_is_said(control: str, canary: str, said: str) -> None:
    """And where it is the other one's, following it would make both the same."""
    service = Service(name="shop", control=Control(deployment=control), canary=Canary(deployment=canary))
    _, (problem,) = workloads(Deployments(), "shop", service)  # type: ignore[arg-type]
    assert problem.message.endswith(said)
