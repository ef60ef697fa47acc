"""What grows: courses of numbers over time, the line through each, and how they are shown."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from tests.bench.services.memory import Course as Resident
from tests.bench.services.memory import slope

WARM_UP_SHARE = 0.2
"""Part of the time at its beginning that fills caches, pools and buffers; it is in no line."""


@dataclass(slots=True)
class Course:
    """One number over time.

    Attributes:
        unit: How the number is read, for example `MiB`.
        most: Growth for each unit of time that still counts as flat, at the upper end of the interval.
        at: Times, in the unit of the bench (hours or weeks).
        values: The number at each.
    """

    unit: str
    most: float
    at: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def add(self, at: float, value: float) -> None:
        """Add one sample."""
        self.at.append(at)
        self.values.append(value)


@dataclass(frozen=True, slots=True)
class Line:
    """How a number grows after the warm-up.

    Attributes:
        slope: For each unit of time.
        low: Lower end of its 95 % interval.
        high: Upper end of its 95 % interval.
        first: Mean of the first quarter.
        last: Mean of the last quarter.
        most: The largest value.
        flat: Whether the upper end is little.
    """

    slope: float
    low: float
    high: float
    first: float
    last: float
    most: float
    flat: bool


def line(course: Course) -> Line:
    """Fit the line of the services' memory bench to the samples after the warm-up: hours stand for the unit of time."""
    at, values = np.asarray(course.at), np.asarray(course.values, float)
    warm = at[0] + (at[-1] - at[0]) * WARM_UP_SHARE
    fit = slope(Resident([each * 3600 for each in course.at], [each * 2**20 for each in course.values]), warm * 3600)
    after = np.array_split(values[at >= warm], 4)
    return Line(
        fit.mib_per_hour,
        fit.low,
        fit.high,
        float(after[0].mean()),
        float(after[-1].mean()),
        float(values.max()),
        fit.high <= course.most,
    )


def table(title: str, time: str, lines: dict[str, tuple[Course, Line]]) -> Table:
    """Return the lines as a table."""
    made = Table(title=title, title_justify="left")
    for heading in ("", "first quarter", "last quarter", "most", f"slope/{time}", "95 % interval", "flat"):
        made.add_column(heading, justify="right" if heading else "left")
    for name, (course, one) in lines.items():
        made.add_row(
            f"{name}, {course.unit}" if course.unit else name,
            f"{one.first:,.1f}",
            f"{one.last:,.1f}",
            f"{one.most:,.1f}",
            f"{one.slope:+.2f}",
            f"{one.low:+.2f} to {one.high:+.2f}",
            "yes" if one.flat else f"NO (limit {course.most:g})",
        )
    return made


def as_json(lines: dict[str, tuple[Course, Line]]) -> dict[str, Any]:
    """Return the lines as plain JSON."""
    return {
        name: {
            "unit": course.unit,
            "first": round(one.first, 3),
            "last": round(one.last, 3),
            "most": round(one.most, 3),
            "slope": round(one.slope, 4),
            "interval": [round(one.low, 4), round(one.high, 4)],
            "flat": one.flat,
        }
        for name, (course, one) in lines.items()
    }


def draw(courses: dict[str, Course], time: str, path: Path) -> None:
    """Draw each course over time, one below the other (.png or .svg)."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import, and few runs draw

    figure = Figure(figsize=(8, 1.5 * len(courses)), layout="constrained")
    for axes, (name, course) in zip(figure.subplots(len(courses), sharex=True), courses.items(), strict=True):
        axes.plot(course.at, course.values, linewidth=1)
        axes.axvline(course.at[0] + (course.at[-1] - course.at[0]) * WARM_UP_SHARE, color="grey", linestyle=":")
        axes.set(ylabel=f"{name}\n{course.unit}".strip(), ylim=(0, None))
    axes.set(xlabel=time)
    figure.savefig(path)
