"""The statistics, measured: Serin's guardrails and the peers' rules on the same traffic, and the bars they must clear.

    make bench-statistics                      # everything, 4,000 runs of each healthy cell
    make bench-statistics BENCH_ARGS=--quick   # a tenth of the runs

Every number has its seed, its runs and its Monte-Carlo error. The exit code is 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from serin.stats import Dispersion
from tests.bench.statistics import cost, guardrails, latency, picture, troubles
from tests.bench.statistics.peers import PEERS, kayenta
from tests.bench.statistics.report import Bar, delay, error_of_median, part, percent, table
from tests.bench.statistics.streams import LOOK, LOOKS, errors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Minutes = NDArray[np.float64]

CELLS = ((50.0, False), (50.0, True), (1000.0, False), (1000.0, True))
FAULTS = ((1.5, 0), (2.0, 0), (5.0, 0), (2.0, 360), (5.0, 360))
SERIN, SERIN_NEW = "Serin, 24 h of history", "Serin, no history"
FALSE_BAR = 0.025


def cell_name(rps: float, *, noisy: bool) -> str:
    """A cell as the tables call it."""
    return f"{rps:,.0f}/s {'noisy' if noisy else 'iid'}"


def serin(seed: list[int], runs: int, rps: float, *, noisy: bool, factor: float, onset: int, known: bool) -> Minutes:
    """Minutes from the onset until the rollback; -1 where it came before."""
    rng = np.random.default_rng(seed)
    stream = errors(rng, runs, rps, noisy=noisy, factor=factor, onset=onset)
    dispersions = [Dispersion()] * runs
    if known:
        dispersions = guardrails.history([errors(rng, runs, rps, noisy=noisy) for _ in range(4)], LOOK)
    found = guardrails.rollback_looks(guardrails.rate_configs(dispersions), guardrails.looks_of(stream, LOOK), LOOKS)
    return np.where(found > onset, found - onset, -1.0) * LOOK / 60


class Bench:
    """One run of the bench: its size, and the bars found so far."""

    def __init__(self, runs: int, seed: int, *, peers: bool) -> None:
        self.runs = runs
        self.seed = [seed] if seed else []
        self.peers = PEERS if peers else {}
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
        rows: dict[str, list[str]] = {name: [] for name in [*self.peers, SERIN, SERIN_NEW]}
        for number, (rps, noisy) in enumerate(CELLS):
            name = cell_name(rps, noisy=noisy)
            self.note(f"healthy, {name}")
            seed = [1, number, *self.seed]
            stream = errors(np.random.default_rng(seed), self.runs, rps, noisy=noisy)
            slow = errors(np.random.default_rng(seed), max(40, self.runs // 4), rps, noisy=noisy)
            for rule, decides in self.peers.items():
                found = decides(slow if decides is kayenta else stream)
                rows[rule].append(percent(found))
                self.false[name, rule] = part(found)[0]
            for rule, known in ((SERIN, True), (SERIN_NEW, False)):
                found = serin(seed, self.runs, rps, noisy=noisy, factor=1.0, onset=0, known=known)
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
            rows: dict[str, list[str]] = {name: [] for name in [*self.peers, SERIN, SERIN_NEW]}
            for number, (rps, noisy) in enumerate(CELLS):
                name = cell_name(rps, noisy=noisy)
                seed = [2, number, int(10 * factor), onset, *self.seed]
                self.note(f"x{factor:g}{' after 3 h' if onset else ''}, {name}")
                stream = errors(np.random.default_rng(seed), self.few, rps, noisy=noisy, factor=factor, onset=onset)
                for rule, decides in self.peers.items():
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
        runs, few = max(40, self.runs // 8), max(40, self.runs // 40)
        for margin in latency.MARGINS:
            at = f"margin {100 * margin:g} %"
            self._latency_healthy(margin, at, runs)
            self._latency_harmful(margin, at, few)

    def _latency_healthy(self, margin: float, at: str, runs: int) -> None:
        rows: dict[str, list[str]] = {}
        for noise, known in latency.HEALTHY:
            name = f"arms differ by {100 * noise:.0f} %, {known}"
            rows[name] = []
            for rps in (50.0, 1000.0):
                self.note(f"latency healthy, {at}, {rps:g}/s, {name}")
                cell = latency.Cell(rps, noise, 1.0, known, margin)
                found = latency.minutes([3, int(rps), *self.seed], runs, cell)
                rows[name].append(percent(found))
                if known == "history":
                    share, error = part(found)
                    title = f"latency, false rollbacks, {at}, {rps:,.0f}/s, {name}: %"
                    self.bars.append(Bar(title, 100 * share, 100 * error, 100 * FALSE_BAR))
        title = f"Latency, {at}: false rollback of a healthy canary in 6 h, %; {runs} runs"
        table(title, ["50/s", "1,000/s"], rows)

    def _latency_harmful(self, margin: float, at: str, few: int) -> None:
        rows: dict[str, list[str]] = {}
        for factor in (1.05, 1.1, 1.25, 1.5):
            name = f"+{100 * factor - 100:.0f} %"
            rows[name] = []
            for noise, known in ((0.0, "history"), (0.05, "history"), (0.0, "nothing")):
                for rps in (50.0, 1000.0):
                    self.note(f"latency {name}, {at}, {rps:g}/s, {known}")
                    cell = latency.Cell(rps, noise, factor, known, margin)
                    found = latency.minutes([4, int(rps), *self.seed], few, cell)
                    rows[name].append(delay(found))
                    limit = latency.BARS.get((factor, rps, margin))
                    if limit is not None and not noise and known == "history":
                        middle = float(np.quantile(found, 0.5, method="lower"))
                        title = f"P95 {name}, {at}, {rps:,.0f}/s: min"
                        self.bars.append(Bar(title, middle, error_of_median(found), limit))
        columns = ["50/s", "1,000/s", "50/s, arms 5 %", "1,000/s, arms 5 %", "50/s, no history", "1,000/s, no history"]
        table(f"Latency, {at}: minutes until a slower canary is rolled back, median / 95th; {few} runs", columns, rows)

    def troubles(self) -> None:
        """Robustness: nothing here is a bar. It shows where the guardrails fail."""
        rows: dict[str, list[str]] = {}
        runs, few = max(40, self.runs // 4), max(40, self.runs // 40)
        for trouble in troubles.TROUBLES:
            self.note(trouble.name)
            rows[trouble.name] = []
            for rps in (50.0, 1000.0):
                healthy = troubles.minutes(trouble, [5, int(rps), *self.seed], runs, rps, 1.0)
                ill = troubles.minutes(trouble, [6, int(rps), *self.seed], few, rps, troubles.FAULT)
                rows[trouble.name] += [percent(healthy), delay(ill)]
        columns = ["50/s: false, %", "x3: min", "1,000/s: false, %", "x3: min"]
        table(f"Troubles, 24 h of history; {runs} healthy runs, {few} with a fault", columns, rows)
        self.note("two weeks")
        some = max(40, self.runs // 20)
        table(
            f"Two weeks of looks of 5 minutes, a daily and a weekly swing; {some} runs",
            ["false, %", "x1.5: hours"],
            {
                "weekly cycle": [
                    percent(troubles.weeks([7, *self.seed], some, 1.0)),
                    delay(troubles.weeks([8, *self.seed], few, 1.5)),
                ]
            },
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
                        found = troubles.bake(
                            [9, *self.seed], few, rps, incident=incident, factor=factor, limit=limit, hot=hot
                        )
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
    parser.add_argument(
        "--seed", type=int, default=0, help="another set of seeds: what was tuned on one must hold on it"
    )
    parser.add_argument("--own", action="store_true", help="Serin's rows alone: the peers' take most of the time")
    parser.add_argument("--only", choices=["errors", "latency", "troubles", "cost"], help="one part")
    parser.add_argument(
        "--picture", type=Path, default=Path("docs/statistics/delay.svg"), help="where the picture goes"
    )
    asked = parser.parse_args()
    if asked.runs < 40:
        parser.error("--runs needs 40 or more: fewer say nothing about a share of 2.5 %")
    bench = Bench(max(40, asked.runs // 10) if asked.quick else asked.runs, asked.seed, peers=not asked.own)
    if asked.only in {None, "errors"}:
        bench.healthy()
        bench.harmful()
        if not asked.own:
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
