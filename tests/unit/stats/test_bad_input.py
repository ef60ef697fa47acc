"""What can't be judged is refused with a sentence that says what to write instead."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from serin.stats import Dispersion, LatencyConfig, LatencyLook, Look, RateConfig, start, update

RATE = RateConfig(0.0125, 0.1, 0.01, 0.005, 100, (60.0,))
LATENCY = LatencyConfig(0.0125, 0.05, 0.15, (0.1, 0.15, 0.2), 100, (60.0,))


@pytest.mark.parametrize(
    ("config", "change", "sentence"),
    [
        (RATE, {"alpha": 0.0}, "between 0 and 1"),
        (RATE, {"min_requests": -1}, "write 0 or more"),
        (RATE, {"stages": ()}, "planned seconds of each stage"),
        (RATE, {"stages": (60.0, 0.0)}, "all of them positive"),
        (RATE, {"worse_than_control": -0.1}, "for example 10%"),
        (RATE, {"max_share": 1.0}, "for example 1%"),
        (RATE, {"warn_share": 0.0}, "warn is"),
        (RATE, {"worse_than_control": None, "max_share": None, "warn_share": None}, "nothing to judge"),
        (RATE, {"dispersion": Dispersion(-1.0)}, "tau2 is a variance"),
        (LATENCY, {"quantile": 1.0}, "for example 0.95"),
        (LATENCY, {"edges": ()}, "0 edges"),
        (LATENCY, {"edges": (0.15, 0.1)}, "ascending"),
        (LATENCY, {"edges": (0.15, float("inf"))}, r"without \+Inf"),
        (LATENCY, {"max_seconds": 0.16}, r"no edge there \(edges: 0.1, 0.15, 0.2\); add the edge 0.16"),
        (LATENCY, {"max_seconds": None, "worse_than_control": None}, "nothing to judge"),
        (LATENCY, {"dispersion": (Dispersion(),)}, "one per edge"),
    ],
)
def test_bad_settings(config: Any, change: dict[str, Any], sentence: str) -> None:
    """Each is refused before the first look."""
    with pytest.raises(ValueError, match=sentence):
        start(dataclasses.replace(config, **change))


@pytest.mark.parametrize(
    "arguments",
    [(0.0, 1, 0, 1, 0), (float("nan"), 1, 0, 1, 0), (5.0, 1, 2, 1, 0), (5.0, 1, 0, 1, -1), (5.0, 1, 0, 1, 0, True)],
)
def test_impossible_looks(arguments: tuple[Any, ...]) -> None:
    """No length, more bad than total, negative counts, control's requests while baking."""
    with pytest.raises(ValueError, match="a look"):
        Look(*arguments)


@pytest.mark.parametrize(
    ("control", "total"),
    [((1, 2), 3), ((2, 1, 3), 3), ((1, 2, 4), 3), ((-1, 0, 1), 3)],
)
def test_impossible_histograms(control: tuple[int, ...], total: int) -> None:
    """One count per edge, none of them falling or above the total."""
    with pytest.raises(ValueError, match="a latency look needs"):
        LatencyLook(5.0, LATENCY.edges, control, (0, 0, 0), total, 0)


def test_looks_of_another_kind() -> None:
    """A look goes to the guardrail that it was made for."""
    look = LatencyLook(5.0, (0.1, 0.15), (0, 0), (0, 0), 0, 0)
    with pytest.raises(ValueError, match="the look has the edges"):
        update(LATENCY, start(LATENCY), look)
    with pytest.raises(ValueError, match="needs a LatencyLook"):
        update(LATENCY, start(LATENCY), Look(5.0, 1, 0, 1, 0))  # type: ignore[call-overload]
