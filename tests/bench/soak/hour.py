"""A real hour of the operator on real etcd, API server and Prometheus: memory, connections, files, threads, tasks.

Ten experiments under one operator: four that stay in their stage, three that are released again as soon as they have
ended, two whose every other release is bad, and one that is deleted in the middle and made anew. Every ten minutes
Prometheus stops answering for half a minute, since what waits for a time limit is what is easily forgotten. Looks are
taken every five seconds instead of thirty, so an hour has the looks of six. The operator runs with tracemalloc on: a
leak looks larger here than without it, never smaller.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.progress import Progress

from serin.api.names import API_VERSION, PLURAL
from serin.kube.errors import KubeError
from tests.bench.services.memory import growth, growth_table
from tests.bench.soak.growth import Course, Line, as_json, draw, line, table
from tests.integration.controller.process import Operator, cluster_of, operator, repeated
from tests.integration.controller.scene import Scene, Version, scenery, service_of
from tests.load.__main__ import seconds

_SAMPLE: Final = 5.0
_OUTAGE_EVERY, _OUTAGE = 600.0, 30.0
_SAY: Final = 300.0
"""Seconds between two lines in a log, which has no bar."""
_STEADY, _RELEASED, _BAD, _DELETED = range(4), range(4, 7), range(7, 9), range(9, 10)
_ENDED: Final = frozenset({"Succeeded", "RolledBack", "Failed"})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this bench."""
    parser.add_argument("--duration", type=seconds, default=3600.0, help="how long the operator is watched")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers here")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw the numbers over time here (.png or .svg)")


@dataclass
class Shops:
    """Ten experiments, and the people who release, correct and delete.

    Attributes:
        scene: Where they are.
        counts: What became of the runs.
        wrong: Healthy runs that did not succeed.
    """

    scene: Scene
    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)
    _release: Counter[str] = field(default_factory=Counter)
    _ended_runs: set[str] = field(default_factory=set)

    def start(self) -> None:
        """Make all of them."""
        for number in range(10):
            self.scene.prepare(_name(number), **_spec(number))

    def work(self) -> None:
        """One round: whoever has ended is released again."""
        for obj in self.scene.admin.list(API_VERSION, PLURAL):
            namespace, status = obj["metadata"]["namespace"], obj.get("status") or {}
            number = int(namespace.rpartition("-")[2])
            self.sizes[namespace] = len(json.dumps(status))
            if number in _DELETED and status.get("countedUntil") and status.get("stageSeconds", 0) > 15:
                self.scene.admin.delete(API_VERSION, PLURAL, namespace, "try")
                self.counts["deleted in a stage"] += 1
            elif status.get("phase") in _ENDED and "finalizers" not in obj["metadata"]:
                self._ended(number, namespace, status)
        for number in _DELETED:
            self.scene.experiment(_name(number), **_spec(number))  # refused while there is one

    def _ended(self, number: int, namespace: str, status: dict[str, Any]) -> None:
        if status["runId"] in self._ended_runs:
            return
        self._ended_runs.add(status["runId"])
        release = self._release[namespace]
        bad = _is_bad(number, release)
        self.counts[f"{'bad' if bad else 'good'} release: {status['phase']}"] += 1
        if bad == (status["phase"] == "Succeeded"):
            self.wrong.append(f"{namespace}, release {release}: {status['message']}")
        self._release[namespace] = release + 1
        share = 0.2 if _is_bad(number, release + 1) else 0.0
        self.scene.traffic.versions[namespace, "shop", "canary"] = Version(errors=share)
        spec = {"services": [service_of(image=f"shop:{release + 3}")]}
        self.scene.admin.patch(API_VERSION, PLURAL, namespace, "try", {"spec": spec})


def _name(number: int) -> str:
    return f"soak-{number}"


def _is_bad(number: int, release: int) -> bool:
    return number in _BAD and release % 2 == 1


def _spec(number: int) -> dict[str, Any]:
    long = number in (*_STEADY, *_DELETED)
    return {
        "stages": [{"name": "half", "weight": 50, "duration": "7d" if long else "20s"}],
        "promotion": {"bake": "10s"},
    }


def main(options: argparse.Namespace, console: Console) -> int:
    """Run the bench; exit code 1 when something grows, or a release ended otherwise than it should."""
    with tempfile.TemporaryDirectory(prefix="serin-soak-") as name, ExitStack() as stack:
        home = Path(name)
        scene = stack.enter_context(scenery(home))
        cluster = cluster_of(scene.plane, home)
        (snapshots := home / "snapshots").mkdir()
        program = ("-X", "tracemalloc=1", "-m", "tests.bench.soak.watched", str(snapshots))
        running = stack.enter_context(operator(cluster, "soak", *program))
        shops = Shops(scene)
        shops.start()
        stack.enter_context(repeated(shops.work, 2.0, despite=(KubeError,)))
        courses = watched(running, shops, snapshots, options.duration, console)
        looks = looks_of(running)
        grown = growth(snapshots)
        log = running.log.read_text()
    lines = {name: (course, line(course)) for name, course in courses.items()}
    show(console, options.duration, looks, shops, lines)
    console.print(growth_table("operator", grown))
    if "Traceback" in log:
        console.print(f"[red]the operator's log has a traceback:[/] {log[log.index('Traceback') :][:2000]}")
    if options.json:
        runs = {"runs": dict(shops.counts), "wrong": shops.wrong, "looks": dict(looks), "seconds": options.duration}
        top = [{"line": place, "bytes": size, "blocks": blocks} for place, size, blocks in grown]
        options.json.write_text(json.dumps({**runs, "lines": as_json(lines), "growth": top}, indent=2) + "\n")
    if options.picture:
        draw(courses, "hours", options.picture)
    flat = all(one.flat for _, one in lines.values())
    return 0 if flat and not shops.wrong and "Traceback" not in log else 1


def show(
    console: Console, duration: float, looks: Counter[str], shops: Shops, lines: dict[str, tuple[Course, Line]]
) -> None:
    """Print what happened, and what grew."""
    found = ", ".join(f"{count:,} {result}" for result, count in looks.most_common())
    console.print(f"{duration:,.0f} s; looks: {found}", highlight=False)
    for what, count in sorted(shops.counts.items()):
        console.print(f"{what}: {count}", highlight=False)
    for each in shops.wrong:
        console.print(f"[red]not as it should be:[/] {each}", highlight=False)
    console.print(table("The operator after the warm-up", "h", lines))


def watched(running: Operator, shops: Shops, snapshots: Path, duration: float, console: Console) -> dict[str, Course]:
    """Sample the operator's process for so many seconds; a snapshot of memory after the warm-up and at the end.

    Raises:
        RuntimeError: It ended.
    """
    process, begun = psutil.Process(running.process.pid), time.monotonic()
    courses = {
        "resident memory": Course("MiB", 5.0),
        "open files": Course("", 2.0),
        "connections": Course("", 2.0),
        "threads": Course("", 3.0),
        "asyncio tasks": Course("", 10.0),
        # A young one fills: with its last transitions (two for each outage), and with digits that zlib can't shorten.
        # Where that ends is what the six weeks show.
        "largest status": Course("KiB", 4.0),
    }
    outage = Outages()
    taken, said = 0, _SAY
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("watching the operator", total=duration)
        while (passed := time.monotonic() - begun) < duration:
            time.sleep(_SAMPLE)
            if running.process.poll() is not None:
                raise RuntimeError(f"the operator ended with {running.process.returncode}: {running.log.read_text()}")
            outage.work(passed)
            if not taken and passed > duration * 0.2:
                taken = snapshot(process, snapshots, 1)
            sample(process, snapshots / "tasks", shops, courses, passed / 3600)
            progress.update(task, completed=passed)
            if not console.is_terminal and passed >= said:
                said += _SAY
                console.print(f"{passed / 60:.0f} min: {so_far(courses, shops)}", highlight=False)
    outage.end()
    snapshot(process, snapshots, 2)
    return courses


def so_far(courses: dict[str, Course], shops: Shops) -> str:
    """The present values, and how many runs have ended."""
    now = [
        f"{name} {course.values[-1]:.4g}{f' {course.unit}' if course.unit else ''}" for name, course in courses.items()
    ]
    return f"{', '.join(now)}; runs ended: {sum(shops.counts.values())}"


def sample(process: psutil.Process, tasks: Path, shops: Shops, courses: dict[str, Course], at: float) -> None:
    """Add one value to each course."""
    values = {
        "resident memory": process.memory_info().rss / 2**20,
        "open files": process.num_fds(),
        "connections": len(process.net_connections()),
        "threads": process.num_threads(),
        "asyncio tasks": float(tasks.read_text() or 0) if tasks.exists() else 0.0,
        "largest status": max(shops.sizes.values(), default=0) / 1024,
    }
    for name, value in values.items():
        courses[name].add(at, value)


@dataclass
class Outages:
    """Prometheus is stopped now and then, and does not answer until it goes on."""

    process: psutil.Process = field(default_factory=lambda: _child("prometheus"))
    stopped: bool = False

    def work(self, passed: float) -> None:
        """Stop it or let it go on, as the time says."""
        stop = passed > _OUTAGE_EVERY / 2 and (passed - _OUTAGE_EVERY / 2) % _OUTAGE_EVERY < _OUTAGE
        if stop != self.stopped:
            self.process.send_signal(signal.SIGSTOP if stop else signal.SIGCONT)
            self.stopped = stop

    def end(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)


def _child(name: str) -> psutil.Process:
    return next(each for each in psutil.Process().children() if each.name() == name)


def snapshot(process: psutil.Process, folder: Path, number: int, wait: float = 120.0) -> int:
    """Make the operator write a snapshot, and wait for it; its number.

    Raises:
        RuntimeError: There was none in time.
    """
    os.kill(process.pid, signal.SIGUSR2)
    deadline = time.monotonic() + wait
    while not (folder / f"{number}.snapshot").exists():
        if time.monotonic() > deadline:
            raise RuntimeError(f"the operator wrote no snapshot within {wait:g} s")
        time.sleep(0.1)
    return number


def looks_of(running: Operator) -> Counter[str]:
    """Return how many looks of a service the operator took, by what they gave."""
    found: Counter[str] = Counter()
    for family in text_string_to_metric_families(running.get("/metrics")[1]):
        for each in family.samples:
            if each.name == "serin_looks_total":
                found[each.labels["result"]] += int(each.value)
    return found


if __name__ == "__main__":
    sys.exit("run it as python -m tests.bench.soak hour")
