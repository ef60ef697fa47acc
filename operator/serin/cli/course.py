"""The course of a simulated experiment: what was at each look, and the same as lines of blocks on a terminal."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from serin.api.status import Phase, Status

_BLOCKS = "▁▂▃▄▅▆▇█"
_DECADES = 4
"""The evidence is drawn from a ten-thousandth of its limit; below that there is nothing to see."""


@dataclass(frozen=True, slots=True)
class Point:
    """One look; `at` in seconds after the start, `evidence` as a multiple of what decides, by what is judged."""

    at: float
    weight: int
    phase: Phase
    evidence: dict[str, float]


@dataclass(slots=True)
class Course:
    """All looks of a run, in order."""

    points: list[Point] = field(default_factory=list)

    def note(self, at: float, status: Status) -> None:
        """Takes the status after a look; a look that changed nothing that is drawn is left out."""
        evidence = {
            f"{service.name} {each.name}": multiple(each.evidence)
            for service in status.services
            for each in service.guardrails
            if each.evidence
        }
        evidence |= {f"{name} sample ratio": multiple(found.evidence) for name, found in status.sample_ratios}
        self.points.append(Point(at, status.weight, status.phase, evidence))

    @property
    def series(self) -> tuple[str, ...]:
        """The guardrails and sample ratios that were ever judged."""
        return tuple(dict.fromkeys(name for point in self.points for name in point.evidence))

    def lines(self, width: int = 72) -> list[tuple[str, str]]:
        """(label, blocks): the weight, and the evidence of each series on a logarithmic scale up to its limit."""
        if not self.points:
            return []
        columns = _columns(self.points, width)
        drawn = [("weight", blocks([max(point.weight for point in column) / 100 for column in columns]))]
        for name in self.series:
            highest = [max(point.evidence.get(name, 0.0) for point in column) for column in columns]
            drawn.append((name, blocks([_height(value) for value in highest])))
        return drawn


def multiple(text: str) -> float:
    """The number in `0.00033` or `over 9,999`.

    >>> multiple("over 9,999")
    9999.0
    """
    return float(text.rpartition(" ")[2].replace(",", ""))


def blocks(heights: Sequence[float]) -> str:
    """Heights from 0 to 1 as a line of block characters, a space for nothing."""
    return "".join(
        " " if height <= 0 else _BLOCKS[min(len(_BLOCKS) - 1, int(height * len(_BLOCKS)))] for height in heights
    )


def _height(value: float) -> float:
    return min(1.0, 1 + math.log10(value) / _DECADES) if value > 0 else 0.0


def _columns(points: list[Point], width: int) -> list[list[Point]]:
    """The looks by equal parts of the time; a part without a look repeats the last one."""
    end = points[-1].at or 1.0
    columns: list[list[Point]] = [[] for _ in range(width)]
    for point in points:
        columns[min(width - 1, int(point.at / end * width))].append(point)
    last = points[0]
    for column in columns:
        if not column:
            column.append(last)
        last = column[-1]
    return columns
