"""How the bench writes down what it found: shares and medians with their Monte-Carlo error, tables, bars."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Minutes = NDArray[np.float64]


class Bar(NamedTuple):
    """A number that must not exceed its limit; `error` is one standard error of the Monte Carlo."""

    name: str
    value: float
    error: float
    limit: float

    @property
    def holds(self) -> bool:
        """Held if the value is at most the limit."""
        return self.value <= self.limit


def part(found: Minutes) -> tuple[float, float]:
    """Share of the runs that were rolled back, and its standard error (of one run more, so that 0 has one too)."""
    n = len(found)
    share = float(np.isfinite(found).mean())
    careful = (share * n + 0.5) / (n + 1)
    return share, math.sqrt(careful * (1 - careful) / n)


def percent(found: Minutes) -> str:
    """`2.1 ±0.2`."""
    share, error = part(found)
    return f"{100 * share:.1f} ±{100 * error:.1f}"


def delay(found: Minutes) -> str:
    """Median / 95th percentile, and what was missed."""
    found = found[found >= 0]
    if not len(found):
        return "-"
    middle, late = (float(each) for each in np.quantile(found, [0.5, 0.95], method="lower"))
    missed = float(np.isinf(found).mean())
    text = f"{_minutes(middle)} / {_minutes(late)}"
    return f"{text} ({100 * missed:.0f} % missed)" if missed else text


def _minutes(value: float) -> str:
    return "missed" if math.isinf(value) else f"{value:g}"


def error_of_median(found: Minutes) -> float:
    """Half the width of the 68 % interval of the median, by order statistics."""
    ordered = np.sort(found)
    half = math.sqrt(len(ordered)) / 2
    low, high = (ordered[round(len(ordered) / 2 + sign * half)] for sign in (-1, 1))
    return float(high - low) / 2 if np.isfinite(high) else math.inf


def table(title: str, columns: list[str], rows: dict[str, list[str]]) -> None:
    """Print a table as Markdown, so that it can be pasted into the docs."""
    widths = [max(len(row[i]) for row in [columns, *rows.values()]) for i in range(len(columns))]
    first = max(len(name) for name in [*rows, ""])
    print(f"\n{title}\n")
    for name, cells in [("", columns), ("-" * first, ["-" * width for width in widths]), *rows.items()]:
        print(f"| {name:{first}} | " + " | ".join(f"{c:{w}}" for c, w in zip(cells, widths, strict=True)) + " |")
    sys.stdout.flush()
