"""Whether memory stays flat under an hour of load: the slope of each process's resident memory, and what grew.

Also prints the hit ratio of every cache, since the load is the reference load. The processes run with tracemalloc on,
which costs memory for each live block: a leak looks larger here than without it, never smaller.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import threading
import time
import tracemalloc
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import statsmodels.api as sm
import uvloop
from rich.console import Console
from rich.table import Table

from tests.bench.services.measure import plan
from tests.bench.services.place import Place, made
from tests.bench.services.processes import Running, service_running
from tests.load import Load, Report
from tests.load.__main__ import seconds

_WARM_UP_SHARE = 0.2
"""Part of the load at its beginning that fills caches and pools; it is in no slope."""
_SAMPLE_SECONDS = 1.0
_TOP = 8
_BLOCKS = 16
_LONGEST_ANSWER = 120.0
_FLAT_PERCENT = 5.0
"""An hour's growth, at the upper end of its interval, below which memory counts as flat."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this bench."""
    parser.add_argument("--duration", type=seconds, default=3600.0, help="how long the load lasts")
    parser.add_argument("--rate", type=float, default=50.0, help="requests a second to each of the two endpoints")
    parser.add_argument("--engine", choices=("phase3", "phase4"), default="phase4", help="engine of both services")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers here")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw memory over time here (.png or .svg)")


@dataclass(slots=True)
class Course:
    """Resident memory of one process over time.

    Attributes:
        at: Seconds since the load began.
        rss: Resident bytes at that moment.
    """

    at: list[float] = field(default_factory=list)
    rss: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Slope:
    """How memory grows.

    Attributes:
        mib_per_hour: Slope of a straight line through the samples after the warm-up.
        low: Lower end of its 95 % interval.
        high: Upper end of its 95 % interval.
        rss_mib: Mean after the warm-up.
    """

    mib_per_hour: float
    low: float
    high: float
    rss_mib: float

    @property
    def flat(self) -> bool:
        """Whether even the upper end is little, seen from the process's size."""
        return self.high < self.rss_mib * _FLAT_PERCENT / 100


def slope(course: Course, warm_up: float) -> Slope:
    """Fit a line to the samples after `warm_up` seconds.

    Neighbouring samples are nearly the same value, so an interval from all of them would be far too narrow. The line
    goes through the means of blocks instead (3 minutes each in an hour), whose deviations are close to independent.
    """
    at, rss = np.asarray(course.at), np.asarray(course.rss) / 2**20
    keep = at >= warm_up
    blocks = [np.array_split(values[keep], min(_BLOCKS, int(keep.sum()))) for values in (at / 3600, rss)]
    hours, means = (np.array([block.mean() for block in part]) for part in blocks)
    fit = sm.OLS(means, sm.add_constant(hours)).fit()
    low, high = fit.conf_int()[1]
    return Slope(float(fit.params[1]), float(low), float(high), float(rss[keep].mean()))


def main(options: argparse.Namespace, console: Console) -> int:
    """Run the bench; exit code 1 when memory grows or a request failed."""
    with made() as place, ExitStack() as stack:
        recommendation = stack.enter_context(traced(place, "recommendation", options.engine))
        more = {"recommendation_url": recommendation.url}
        services = (
            recommendation,
            stack.enter_context(traced(place, "conversation", options.engine, **more)),
        )
        courses, report = under_load(place, services, options, console)
        grown = {one.service: growth(place.folder / one.service) for one in services}
        ratios = {one.service: hit_ratios(one.url) for one in services}
    slopes = {name: slope(course, options.duration * _WARM_UP_SHARE) for name, course in courses.items()}
    console.print(f"{report.sent.total():,} requests in {report.seconds:.0f} s. {report.sentence()}", highlight=False)
    console.print(slope_table(slopes))
    for service, lines in grown.items():
        console.print(growth_table(service, lines))
    for service, found in ratios.items():
        for cache, ratio in found.items():
            console.print(f"{service}: cache {cache}: hit ratio {ratio:.1%}", highlight=False)
    if options.json:
        options.json.write_text(json.dumps(as_json(slopes, grown, ratios, report), indent=2) + "\n", encoding="utf-8")
    if options.picture:
        draw(courses, options.picture)
    return 0 if all(one.flat for one in slopes.values()) and report.own_failures == 0 else 1


def traced(place: Place, service: str, engine: Any, **more: str) -> Any:
    """Run a service with tracemalloc on; its snapshots go to a folder of its name."""
    (place.folder / service).mkdir()
    command = [sys.executable, "-X", "tracemalloc=1", "-m", "tests.bench.services.traced", service]
    return service_running(
        service, place.folder, command=[*command, str(place.folder / service)], **place.settings(engine), **more
    )


def under_load(
    place: Place, services: tuple[Running, ...], options: argparse.Namespace, console: Console
) -> tuple[dict[str, Course], Report]:
    """Put the load on both services; sample memory, and take a snapshot after the warm-up and at the end."""
    recommendation, conversation = services
    courses = {one.service: Course() for one in services}
    ended = threading.Event()
    start = time.monotonic()

    def sample() -> None:
        warm = False
        while not ended.wait(_SAMPLE_SECONDS):
            at = time.monotonic() - start
            if not warm and at >= options.duration * _WARM_UP_SHARE:
                warm = True
                snapshot(place, services, 1)
            for one in services:
                courses[one.service].at.append(at)
                courses[one.service].rss.append(one.process.memory_info().rss)

    sampler = threading.Thread(target=sample)
    sampler.start()
    load = Load(plan((recommendation, conversation), options.rate, options.duration, seed=1))
    try:
        with (
            console.status(f"{options.engine}: load for {options.duration:g} s"),
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            report = runner.run(load.run())
    finally:
        ended.set()
        sampler.join()
    snapshot(place, services, 2)
    return courses, report


def snapshot(place: Place, services: tuple[Running, ...], number: int, wait: float = 60.0) -> None:
    """Make each service write a snapshot, and wait for it.

    Raises:
        RuntimeError: There was none in time.
    """
    for one in services:
        os.kill(one.process.pid, signal.SIGUSR2)
        deadline = time.monotonic() + wait
        while not (place.folder / one.service / f"{number}.snapshot").exists():
            if time.monotonic() > deadline:
                raise RuntimeError(f"{one.service} wrote no snapshot within {wait:g} s")
            time.sleep(0.1)


def growth(folder: Path) -> list[tuple[str, int, int]]:
    """Return where memory grew most between the snapshots: place in the code, bytes and blocks more."""
    ours = tracemalloc.Filter(inclusive=False, filename_pattern=tracemalloc.__file__)
    before, after = (
        tracemalloc.Snapshot.load(str(folder / f"{number}.snapshot")).filter_traces([ours]) for number in (1, 2)
    )
    rows = after.compare_to(before, "lineno")
    rows.sort(key=lambda row: -row.size_diff)
    return [(_place(row.traceback[0]), row.size_diff, row.count_diff) for row in rows[:_TOP]]


def _place(frame: tracemalloc.Frame) -> str:
    parts = Path(frame.filename).parts
    return f"{'/'.join(parts[-2:])}:{frame.lineno}"


def hit_ratios(url: str) -> dict[str, float]:
    """Return the hit ratio of each cache that was asked, as health tells it."""
    # What an hour has shown must not be lost to a service that still works off what piled up.
    with urllib.request.urlopen(f"{url}/api/v2/health", timeout=_LONGEST_ANSWER) as response:  # noqa: S310 - our own
        caches = json.load(response)["caches"]
    return {name: cache["hit_ratio"] for name, cache in caches.items() if cache["hit_ratio"] is not None}


def slope_table(slopes: dict[str, Slope]) -> Table:
    """Return the slopes as a table."""
    table = Table(title="Resident memory after the warm-up", title_justify="left")
    for heading in ("SERVICE", "mean MiB", "slope MiB/h", "95 % interval", f"flat (< {_FLAT_PERCENT:g} %/h)"):
        table.add_column(heading, justify="left" if heading == "SERVICE" else "right")
    for service, one in slopes.items():
        table.add_row(
            service,
            f"{one.rss_mib:.1f}",
            f"{one.mib_per_hour:+.2f}",
            f"{one.low:+.2f} to {one.high:+.2f}",
            "yes" if one.flat else "no",
        )
    return table


def growth_table(service: str, lines: list[tuple[str, int, int]]) -> Table:
    """Return what grew as a table."""
    table = Table(title=f"{service}: what grew most from the warm-up to the end (tracemalloc)", title_justify="left")
    for heading in ("LINE", "KiB more", "blocks more"):
        table.add_column(heading, justify="left" if heading == "LINE" else "right")
    for line, size, count in lines:
        table.add_row(line, f"{size / 1024:+,.1f}", f"{count:+,}")
    return table


def as_json(
    slopes: dict[str, Slope],
    grown: dict[str, list[tuple[str, int, int]]],
    ratios: dict[str, dict[str, float]],
    report: Report,
) -> dict[str, Any]:
    """Return the numbers as plain JSON."""
    return {
        "seconds": round(report.seconds, 1),
        "requests": report.sent.total(),
        "failures": dict(report.failures),
        "services": {
            name: {
                "mean_mib": round(one.rss_mib, 2),
                "slope_mib_per_hour": round(one.mib_per_hour, 3),
                "interval": [round(one.low, 3), round(one.high, 3)],
                "flat": one.flat,
                "growth": [{"line": line, "bytes": size, "blocks": count} for line, size, count in grown[name]],
                "hit_ratios": ratios[name],
            }
            for name, one in slopes.items()
        },
    }


def draw(courses: dict[str, Course], path: Path) -> None:
    """Draw resident memory over time."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import, and few runs draw

    figure = Figure(figsize=(8, 3.4), layout="constrained")
    axes = figure.add_subplot()
    for service, course in courses.items():
        axes.plot(np.asarray(course.at) / 60, np.asarray(course.rss) / 2**20, label=service, linewidth=1)
    axes.axvline(max(course.at[-1] for course in courses.values()) * _WARM_UP_SHARE / 60, color="grey", linestyle=":")
    axes.set(xlabel="minutes", ylabel="resident MiB", ylim=(0, None))
    axes.legend(frameon=False)
    figure.savefig(path)
