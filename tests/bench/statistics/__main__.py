"""The statistics, measured: Serin's guardrails and the peers' rules on the same traffic, and the bars they must clear.

    make bench-statistics                      # everything, 4,000 runs of each healthy cell
    make bench-statistics BENCH_ARGS=--quick   # a tenth of the runs

Every number has its seed, its runs and its Monte-Carlo error. The exit code is 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from serin.stats import Dispersion
from tests.bench.statistics import cost, guardrails, latency, picture, troubles
from tests.bench.statistics.peers import PEERS, kayenta
from tests.bench.statistics.streams import LOOK, LOOKS, errors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Minutes = NDArray[np.float64]

CELLS = ((50.0, False), (50.0, True), (1000.0, False), (1000.0, True))
FAULTS = ((1.5, 0), (2.0, 0), (5.0, 0), (2.0, 360), (5.0, 360))
SERIN, SERIN_NEW = "Serin, 24 h of history", "Serin, no history"
FALSE_BAR = 0.025


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


def cell_name(rps: float, *, noisy: bool) -> str:
    """A cell as the tables call it."""
    return f"{rps:,.0f}/s {'noisy' if noisy else 'iid'}"


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


def serin(seed: list[int], runs: int, rps: float, *, noisy: bool, factor: float, onset: int, known: bool) -> Minutes:
    """Minutes from the onset until the rollback; -1 where it came before."""
    rng = np.random.default_rng(seed)
    stream = errors(rng, runs, rps, noisy=noisy, factor=factor, onset=onset)
    dispersions = [Dispersion()] * runs
    if known:
        dispersions = guardrails.history([errors(rng, runs, rps, noisy=noisy) for _ in range(4)], LOOK)
    found = guardrails.rollback_looks(guardrails.rate_configs(dispersions), guardrails.looks_of(stream, LOOK), LOOKS)
    return np.where(found > onset, found - onset, -1.0) * LOOK / 60


def table(title: str, columns: list[str], rows: dict[str, list[str]]) -> None:
    """Print a table as Markdown, so that it can be pasted into the docs."""
    widths = [max(len(row[i]) for row in [columns, *rows.values()]) for i in range(len(columns))]
    first = max(len(name) for name in [*rows, ""])
    print(f"\n{title}\n")
    for name, cells in [("", columns), ("-" * first, ["-" * width for width in widths]), *rows.items()]:
        print(f"| {name:{first}} | " + " | ".join(f"{c:{w}}" for c, w in zip(cells, widths, strict=True)) + " |")
    sys.stdout.flush()


class Bench:
    """One run of the bench: its size, and the bars found so far."""

    def __init__(self, runs: int) -> None:
        self.runs = runs
        self.few = max(40, runs // 10)
        self.bars: list[Bar] = []
        self.false: dict[tuple[str, str], float] = {}
        self.x2: dict[tuple[str, str], float] = {}
        self.begin = time.monotonic()

    def note(self, text: str) -> None:
        """Say what is being done, to those who wait."""
        print(f"[{time.monotonic() - self.begin:5.0f} s] {text}", file=sys.stderr, flush=True)

    def healthy(self) -> None:
        """Both rules' tables: false rollbacks."""
        rows: dict[str, list[str]] = {name: [] for name in [*PEERS, SERIN, SERIN_NEW]}
        for number, (rps, noisy) in enumerate(CELLS):
            name = cell_name(rps, noisy=noisy)
            self.note(f"healthy, {name}")
            stream = errors(np.random.default_rng([1, number]), self.runs, rps, noisy=noisy)
            slow = errors(np.random.default_rng([1, number]), max(40, self.runs // 4), rps, noisy=noisy)
            for rule, decides in PEERS.items():
                found = decides(slow if decides is kayenta else stream)
                rows[rule].append(percent(found))
                self.false[name, rule] = part(found)[0]
            for rule, known in ((SERIN, True), (SERIN_NEW, False)):
                found = serin([1, number], self.runs, rps, noisy=noisy, factor=1.0, onset=0, known=known)
                rows[rule].append(percent(found))
                share, error = part(found)
                self.false[name, rule] = share
                self.bars.append(Bar(f"false rollbacks, {name}, {rule}: %", 100 * share, 100 * error, 100 * FALSE_BAR))
        columns = [cell_name(rps, noisy=noisy) for rps, noisy in CELLS]
        title = (
            f"False rollback of a healthy canary in 6 h, %; {self.runs:,} runs (Kayenta {max(40, self.runs // 4):,})"
        )
        table(title, columns, rows)

    def harmful(self) -> None:
        """The tables of minutes, peers and Serin."""
        limits = {(50.0, False, 5.0): 4.0, (50.0, False, 2.0): 45.0, (50.0, True, 5.0): 9.0, (50.0, True, 2.0): 85.0}
        limits[1000.0, False, 2.0] = 3.0
        columns = [cell_name(rps, noisy=noisy) for rps, noisy in CELLS]
        for factor, onset in FAULTS:
            rows: dict[str, list[str]] = {name: [] for name in [*PEERS, SERIN, SERIN_NEW]}
            for number, (rps, noisy) in enumerate(CELLS):
                name = cell_name(rps, noisy=noisy)
                seed = [2, number, int(10 * factor), onset]
                self.note(f"x{factor:g}{' after 3 h' if onset else ''}, {name}")
                stream = errors(np.random.default_rng(seed), self.few, rps, noisy=noisy, factor=factor, onset=onset)
                for rule, decides in PEERS.items():
                    found = decides(stream)
                    found = np.where(found > onset, found - onset, -1.0) * LOOK / 60
                    rows[rule].append(delay(found))
                    if (factor, onset) == (2.0, 0):
                        self.x2[name, rule] = float(np.quantile(found, 0.5, method="lower"))
                for rule, known in ((SERIN, True), (SERIN_NEW, False)):
                    found = serin(seed, self.few, rps, noisy=noisy, factor=factor, onset=onset, known=known)
                    rows[rule].append(delay(found))
                    middle = float(np.quantile(found[found >= 0], 0.5, method="lower"))
                    if (factor, onset) == (2.0, 0):
                        self.x2[name, rule] = middle
                    limit = limits.get((rps, noisy, factor))
                    if known and not onset and limit is not None:
                        self.bars.append(Bar(f"x{factor:g}, {name}: min", middle, error_of_median(found), limit))
            late = " that begins after 3 h" if onset else ""
            table(f"Minutes until x{factor:g}{late} is rolled back, median / 95th; {self.few} runs", columns, rows)

    def latency(self) -> None:
        """Latency: false rollbacks with and without phi, and minutes until a slower canary is found."""
        runs, rows = max(40, self.runs // 8), {}
        cells = ((0.0, "history"), (0.05, "history"), (0.05, "nothing"), (0.1, "nothing"), (0.05, "no phi"))
        for noise, known in cells:
            name = f"arms differ by {100 * noise:.0f} %, {known}"
            rows[name] = []
            for rps in (50.0, 1000.0):
                self.note(f"latency healthy, {rps:g}/s, {name}")
                found = latency.minutes([3, int(rps)], runs, rps, noise=noise, factor=1.0, known=known)
                rows[name].append(percent(found))
                if known == "history":
                    share, error = part(found)
                    self.bars.append(
                        Bar(
                            f"latency, false rollbacks, {rps:g}/s, {name}: %", 100 * share, 100 * error, 100 * FALSE_BAR
                        )
                    )
        table(f"Latency: false rollback of a healthy canary in 6 h, %; {runs} runs", ["50/s", "1,000/s"], rows)
        rows, few = {}, max(40, self.runs // 40)
        for factor in (1.05, 1.1, 1.25, 1.5):
            name = f"+{100 * factor - 100:.0f} %"
            rows[name] = []
            for noise, known in ((0.0, "history"), (0.05, "history"), (0.0, "nothing")):
                for rps in (50.0, 1000.0):
                    self.note(f"latency {name}, {rps:g}/s, {known}")
                    found = latency.minutes([4, int(rps)], few, rps, noise=noise, factor=factor, known=known)
                    rows[name].append(delay(found))
                    if factor == 1.25 and not noise and known == "history":
                        middle = float(np.quantile(found, 0.5, method="lower"))
                        self.bars.append(Bar(f"P95 +25 %, {rps:g}/s: min", middle, error_of_median(found), 2.5))
        columns = ["50/s", "1,000/s", "50/s, arms 5 %", "1,000/s, arms 5 %", "50/s, no history", "1,000/s, no history"]
        table(f"Latency: minutes until a slower canary is rolled back, median / 95th; {few} runs", columns, rows)

    def troubles(self) -> None:
        """Robustness: nothing here is a bar. It shows where the guardrails fail."""
        rows: dict[str, list[str]] = {}
        runs, few = max(40, self.runs // 4), max(40, self.runs // 40)
        for trouble in troubles.TROUBLES:
            self.note(trouble.name)
            rows[trouble.name] = []
            for rps in (50.0, 1000.0):
                healthy = troubles.minutes(trouble, [5, int(rps)], runs, rps, 1.0)
                ill = troubles.minutes(trouble, [6, int(rps)], few, rps, troubles.FAULT)
                rows[trouble.name] += [percent(healthy), delay(ill)]
        columns = ["50/s: false, %", "x3: min", "1,000/s: false, %", "x3: min"]
        table(f"Troubles, 24 h of history; {runs} healthy runs, {few} with a fault", columns, rows)
        self.note("two weeks")
        some = max(40, self.runs // 20)
        table(
            f"Two weeks of looks of 5 minutes, a daily and a weekly swing; {some} runs",
            ["false, %", "x1.5: hours"],
            {"weekly cycle": [percent(troubles.weeks([7], some, 1.0)), delay(troubles.weeks([8], few, 1.5))]},
        )
        rows, few = {}, max(40, self.runs // 8)
        for limit in (0.01, None):
            for incident, factor in ((False, 1.0), (True, 1.0), (False, 5.0), (False, 10.0), (False, 20.0)):
                what = "healthy, shared x5 in it" if incident else "healthy" if factor == 1 else f"x{factor:g}"
                name = f"{'no max' if limit is None else 'max 1 %'}, {what}"
                self.note(f"bake: {name}")
                rows[name] = []
                for hot in (False, True):
                    for rps in (50.0, 1000.0):
                        found = troubles.bake([9], few, rps, incident=incident, factor=factor, limit=limit, hot=hot)
                        rows[name].append(percent(found) if factor == 1 else delay(found))
        columns = ["50/s calm", "1,000/s calm", "50/s noisy", "1,000/s noisy"]
        table(f"Bake of 1 h: false rollback, %, or minutes; {few} runs", columns, rows)

    def cost(self) -> None:
        """What it costs."""
        self.note("cost")
        table("Cost, processor time", ["value"], {name: [f"{value:,.0f}"] for name, value in cost.measured().items()})

    def picture(self, path: Path) -> None:
        """The picture of both tables."""
        names = [cell_name(rps, noisy=noisy) for rps, noisy in CELLS]
        rules = [*PEERS, SERIN, SERIN_NEW]
        picture.draw(path, {n: {r: (self.false[n, r], self.x2[n, r]) for r in rules} for n in names}, FALSE_BAR)
        print(f"\nPicture: {path}")

    def verdict(self) -> int:
        """The bars, and the exit code."""
        rows = {
            bar.name: [f"{bar.value:.2f}", f"±{bar.error:.2f}", f"{bar.limit:g}", "holds" if bar.holds else "MISSED"]
            for bar in self.bars
        }
        table("Bars", ["found", "error", "at most", ""], rows)
        missed = [bar.name for bar in self.bars if not bar.holds]
        print(f"\n{len(self.bars) - len(missed)} of {len(self.bars)} bars hold; {time.monotonic() - self.begin:.0f} s")
        return 1 if missed else 0


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="make bench-statistics", description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=4000, help="runs of each healthy cell (4000)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the runs")
    parser.add_argument("--only", choices=["errors", "latency", "troubles", "cost"], help="one part")
    parser.add_argument(
        "--picture", type=Path, default=Path("docs/statistics/delay.svg"), help="where the picture goes"
    )
    asked = parser.parse_args()
    if asked.runs < 40:
        parser.error("--runs needs 40 or more: fewer say nothing about a share of 2.5 %")
    bench = Bench(max(40, asked.runs // 10) if asked.quick else asked.runs)
    if asked.only in {None, "errors"}:
        bench.healthy()
        bench.harmful()
        bench.picture(asked.picture)
    if asked.only in {None, "latency"}:
        bench.latency()
    if asked.only in {None, "troubles"}:
        bench.troubles()
    if asked.only in {None, "cost"}:
        bench.cost()
    return bench.verdict()


if __name__ == "__main__":
    sys.exit(main())
