"""Six simulated weeks of ten experiments through `decide`: memory, size of status and checkpoint, what stays open.

Each experiment is the one of the documentation (5 % for a day, 50 % for twelve, a bake of an hour) over one to three
services, and is asked for again as soon as it has ended: good and bad releases, shared incidents, outages of
Prometheus, pauses and deletions take their turns. The engine, the statistics and the record are the operator's own; the
cluster and the traffic are those of `kubectl serin simulate`. Every status goes through JSON as the API server would
keep it, so that what a run carries along is what a restart would find.
"""

import argparse
import gc
import json
import time
import tracemalloc
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import psutil
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from serin.api.names import RETRY
from serin.api.spec import Spec, parse_spec
from serin.api.status import TERMINAL, Phase, parse_status, status_to_json
from serin.engine.generated import Fault
from serin.engine.world import World
from tests.bench.soak.growth import Course, as_json, draw, line, table

_DAY: Final = 86_400.0
_WEEK: Final = 7 * _DAY
_SAMPLES_A_DAY: Final = 4
_KINDS: Final = ("good", "errors", "incident", "outage", "slow", "paused", "good", "late errors", "deleted", "good")
_GOES: Final = frozenset({"good", "incident", "outage", "paused", "deleted"})
"""Kinds that must not be rolled back."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this bench."""
    parser.add_argument("--weeks", type=float, default=6.0, help="simulated weeks")
    parser.add_argument("--interval", default="10m", help="analysis.interval of the experiments")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers here")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw the numbers over time here (.png or .svg)")


def spec(number: int, interval: str) -> Spec:
    """Return an experiment over one to three services."""
    services = [
        {"name": f"s{each}", "control": {"deployment": f"s{each}"}, "canary": {"deployment": f"s{each}-next"}}
        for each in range(number % 3 + 1)
    ]
    stages = [{"name": "canary", "weight": 5, "duration": "24h"}, {"name": "ab", "weight": 50, "duration": "12d"}]
    analysis = {"interval": interval, "minRequests": 100}
    return parse_spec({"services": services, "stages": stages, "promotion": {"bake": "1h"}, "analysis": analysis})


@dataclass
class Experiment:
    """One experiment that is asked for again and again.

    Attributes:
        number: Of the ten.
        world: Its cluster.
        counts: How runs ended, for all experiments together.
        wrong: Runs that ended otherwise than they should.
    """

    number: int
    world: World
    counts: Counter[str]
    wrong: list[str]
    runs: int = 0
    began: float = 0.0
    looks: int = 0

    @property
    def kind(self) -> str:
        """What happens in the present run."""
        return _KINDS[(self.number + self.runs) % len(_KINDS)]

    def begin(self) -> None:
        """What happens in the run that begins now, at times after its start."""
        at = self.began = self.world.now - self.world.start
        for name, pods in self.world._deployments.items():  # each run is of another release
            pods.template = "new" if name.endswith("-next") else "old"
        faults = {
            "errors": Fault(errors=0.03, after=at + 3_600),
            "slow": Fault(latency=0.06, after=at + 7_200),
            "late errors": Fault(errors=0.03, after=at + 5 * _DAY),
            "incident": Fault(errors=0.2, after=at + 2 * _DAY, until=at + 2 * _DAY + 3_600, shared=True),
        }
        self.world.faults = (faults[self.kind],) if self.kind in faults else ()
        self.world.outages = ((at + _DAY, at + _DAY + 7_200),) if self.kind == "outage" else ()

    def until(self, when: float) -> None:
        """Look until the simulated time is `when` seconds after the start."""
        while self.world.now - self.world.start < when:
            self._people()
            decision = self.world.look()
            self.looks += 1
            self.world.acts.clear()  # the simulation's own log
            status = decision.status
            if self.world.deleting and not self.world.finalizer:
                self._made_anew()
            elif status.phase in TERMINAL and not decision.acts and not self.world.finalizer:
                self._ended()
            self.world.now += max(0.5, min(decision.wake_after, self.world.spec.analysis.interval.seconds))

    def through_json(self) -> tuple[int, int]:
        """Bytes of the status and of its checkpoint, after it was written and read."""
        text = json.dumps(status_to_json(self.world.status))
        self.world.status = parse_status(json.loads(text))
        return len(text), len(json.dumps(self.world.status.checkpoint))

    def _people(self) -> None:
        passed = self.world.now - self.world.start - self.began
        paused = self.kind == "paused" and 3 * _DAY < passed < 4 * _DAY
        if paused != self.world.spec.paused:
            self.world.spec = msgspec.structs.replace(self.world.spec, paused=paused)
        if self.kind == "deleted" and passed > 2 * _DAY and self.world.finalizer:
            self.world.deleting = True

    def _ended(self) -> None:
        phase = self.world.status.phase
        self.counts[f"{self.kind}: {phase}"] += 1
        if (phase is Phase.SUCCEEDED) != (self.kind in _GOES):
            self.wrong.append(f"experiment {self.number}, run {self.runs} ({self.kind}): {self.world.status.message}")
        self._again()

    def _made_anew(self) -> None:
        self.counts[f"{self.kind}: gone"] += 1
        self.world.deleting = False
        self.world.status = parse_status({})
        self._again()

    def _again(self) -> None:
        self.runs += 1
        self.world.annotations[RETRY] = str(self.runs)
        self.begin()


@dataclass
class Soak:
    """All experiments, and what is measured of them.

    Attributes:
        experiments: The ten.
        courses: Numbers over weeks.
    """

    experiments: list[Experiment]
    courses: dict[str, Course] = field(
        default_factory=lambda: {
            "traced memory": Course("MiB", 0.2),
            "resident memory": Course("MiB", 2.0),
            "largest status": Course("KiB", 0.5),
            "largest checkpoint": Course("KiB", 0.3),
            "most transitions": Course("", 0.5),
            "Deployments, kept templates": Course("", 0.5),
        }
    )

    def sample(self, weeks: float) -> None:
        """One value for each course."""
        sizes = [each.through_json() for each in self.experiments]
        gc.collect()
        worlds = [each.world for each in self.experiments]
        values = {
            "traced memory": tracemalloc.get_traced_memory()[0] / 2**20,
            "resident memory": psutil.Process().memory_info().rss / 2**20,
            "largest status": max(size for size, _ in sizes) / 1024,
            "largest checkpoint": max(size for _, size in sizes) / 1024,
            "most transitions": max(len(each.status.transitions) for each in worlds),
            "Deployments, kept templates": sum(len(each._deployments) + len(each._kept) for each in worlds),
        }
        for name, value in values.items():
            self.courses[name].add(weeks, value)


def main(options: argparse.Namespace, console: Console) -> int:
    """Run the bench; exit code 1 when something grows, or a run ended otherwise than it should."""
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    experiments = [
        Experiment(number, World(spec(number, options.interval), seed=number), counts, wrong) for number in range(10)
    ]
    begun = time.monotonic()
    tracemalloc.start()
    soak = Soak(experiments)
    for each in experiments:
        each.begin()
    times = np.arange(1, round(options.weeks * 7 * _SAMPLES_A_DAY) + 1) / (7 * _SAMPLES_A_DAY)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        for weeks in progress.track(times, description=f"{options.weeks:g} weeks of ten experiments"):
            for each in experiments:
                each.until(weeks * _WEEK)
            soak.sample(float(weeks))
            if not console.is_terminal and weeks == int(weeks):
                console.print(f"week {int(weeks)} after {time.monotonic() - begun:.0f} s", highlight=False)
    tracemalloc.stop()
    lines = {name: (course, line(course)) for name, course in soak.courses.items()}
    looks, seconds = sum(each.looks for each in experiments), time.monotonic() - begun
    console.print(
        f"{options.weeks:g} weeks of ten experiments, {looks:,} decisions, {sum(counts.values())} runs ended;"
        f" {seconds:.0f} s",
        highlight=False,
    )
    console.print(_ends(counts))
    for each in wrong:
        console.print(f"[red]not as it should be:[/] {each}", highlight=False)
    console.print(table("What grows", "week", lines))
    if options.json:
        found: dict[str, Any] = {"weeks": options.weeks, "decisions": looks, "runs": dict(counts), "wrong": wrong}
        options.json.write_text(json.dumps({**found, "lines": as_json(lines)}, indent=2) + "\n")
    if options.picture:
        draw(soak.courses, "weeks", options.picture)
    return 0 if not wrong and all(one.flat for _, one in lines.values()) else 1


def _ends(counts: Counter[str]) -> Table:
    made = Table(title="How runs ended", title_justify="left")
    made.add_column("RUN")
    made.add_column("ENDED AS")
    made.add_column("RUNS", justify="right")
    for what, count in sorted(counts.items()):
        made.add_row(*what.split(": "), str(count))
    return made
