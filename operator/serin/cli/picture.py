"""The course of a simulated experiment as a picture, with matplotlib: `pip install serin[picture]`."""

import math
from itertools import groupby
from pathlib import Path
from typing import Any

from serin.api.status import Status
from serin.cli.course import Course
from serin.engine.generated import Fault
from serin.engine.wording import length, unix

_UNITS = ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes"), (0.0, "seconds"))
_PHASE = {"Paused": "0.85", "Holding": "#f6e3b4", "RollingBack": "#f3c4bd", "Baking": "#d5e6d0", "Promoting": "#dbe4f2"}


class NoPictureError(Exception):
    """There can't be a picture; the text is a sentence that says what to do."""


def draw(path: Path, course: Course, status: Status, faults: tuple[Fault, ...], *, start: float, title: str) -> None:
    """Writes the picture; the file's suffix chooses its format (`.png`, `.svg`, `.pdf`).

    Args:
        path: where to.
        course: of the whole run.
        status: at the end of it.
        faults: drawn as red spans, incidents of both versions as grey ones.
        start: Unix seconds.
        title: above it.

    Raises:
        NoPictureError: matplotlib is not installed, or the file can't be written.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - half a second and 60 MiB that only a picture needs
    except ImportError:
        raise NoPictureError("a picture needs matplotlib: pip install 'serin[picture]'") from None
    end = max(course.points[-1].at, 1.0)
    size, unit = next((size or 1.0, unit) for size, unit in _UNITS if end >= 2 * size)
    figure = Figure(figsize=(9, 5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 2))
    above.set_title(title, loc="left")
    _draw_weight(above, course, size, end)
    for transition in status.transitions:
        above.axvline((unix(transition.time) - start) / size, color="0.6", linewidth=0.5)
    _draw_evidence(below, course, size)
    below.set_xlabel(f"{unit} after the start; {status.phase} after {length(end)}")
    for fault in faults:
        if fault.after < end:
            colour = "grey" if fault.shared else "crimson"
            below.axvspan(fault.after / size, min(fault.until, end) / size, color=colour, alpha=0.12)
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise NoPictureError(f"{path} can't be written: {error}") from None


def _draw_weight(axes: Any, course: Course, size: float, end: float) -> None:
    """The canary's weight as a step, with the phases that are not plain progress behind it."""
    times = [point.at / size for point in course.points]
    axes.step(times, [point.weight for point in course.points], where="post", color="black")
    axes.set(ylabel="weight, %", ylim=(-3, 103))
    named = {}
    for phase, points in groupby(course.points, key=lambda point: point.phase):
        if colour := _PHASE.get(str(phase)):
            span = [point.at / size for point in points]
            named[str(phase)] = axes.axvspan(span[0], max(span[-1], span[0] + 0.002 * end / size), color=colour)
    if named:
        axes.legend(named.values(), named.keys(), loc="upper left", fontsize="small")


def _draw_evidence(axes: Any, course: Course, size: float) -> None:
    """The evidence of each guardrail, and the line above which it decides."""
    times = [point.at / size for point in course.points]
    for name in course.series:
        axes.plot(times, [point.evidence.get(name) or math.nan for point in course.points], label=name)
    axes.axhline(1.0, color="crimson", linestyle="--", linewidth=1)
    axes.set(yscale="log", ylabel="evidence ÷ what decides")
    if course.series:
        axes.legend(loc="upper left", fontsize="small")
