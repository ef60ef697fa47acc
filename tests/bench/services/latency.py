"""Percentiles, errors, CPU and memory of both engines under the reference load, and the highest rate that they hold.

The engines take turns on the same database, in rounds, so that a machine that is slow for a minute is slow for both.
"""

import argparse
import json
import math
import os
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench.services.measure import BARS, MOST_ERRORS, Outcome, loaded, measured, warmed
from tests.bench.services.place import ENGINES, Engine, Place, made
from tests.load.__main__ import seconds

PERCENTILES = (50, 95, 99)
_MOST_RATE = 1000.0
_MOST_LAG = 0.02
_MOST_OTHERS = 0.2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this bench."""
    parser.add_argument("--rate", type=float, default=50.0, help="requests a second to each of the two endpoints")
    parser.add_argument("--duration", type=seconds, default=60.0, help="how long each round of an engine is measured")
    parser.add_argument("--warm-up", type=seconds, default=10.0, help="load before it that is not counted")
    parser.add_argument("--rounds", type=int, default=2, help="rounds of each engine, taking turns")
    parser.add_argument("--step", type=seconds, default=20.0, help="length of a step of the search; 0s leaves it out")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers here")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw P95 over the rate here (.png or .svg)")


def main(options: argparse.Namespace, console: Console) -> int:
    """Run the bench; exit code 1 when the Phase 4 engine misses a bar."""
    found = {engine: Outcome(options.rate) for engine in ENGINES}
    curves: dict[Engine, list[Outcome]] = {}
    with made() as place:
        for number in range(options.rounds):
            for engine in ENGINES if number % 2 == 0 else tuple(reversed(ENGINES)):
                with console.status(f"{engine}: {options.rate:g} requests/s each, round {number + 1}"):
                    measured(
                        place,
                        engine,
                        found[engine],
                        duration=options.duration,
                        warm_up=options.warm_up,
                        seed=number + 1,
                    )
        console.print(machine(), highlight=False)
        console.print(table(found))
        if warning := disturbed(found):
            console.print(warning, highlight=False, soft_wrap=True)
        if options.step > 0:
            for engine in ENGINES:
                curves[engine] = search(place, engine, options, console)
            console.print(curve_table(curves))
    if options.json:
        options.json.write_text(json.dumps(as_json(found, curves), indent=2) + "\n", encoding="utf-8")
    if options.picture:
        draw(curves, options.picture)
    return 0 if found["phase4"].holds() else 1


def machine() -> str:
    """Say what it was measured on."""
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} cores for the services, PostgreSQL and the generator; load average now {load:.1f}."


def disturbed(found: dict[Engine, Outcome]) -> str | None:
    """Say when the machine was too busy for the numbers to be those of the services."""
    if all(one.lag() < _MOST_LAG and one.cores("others") < _MOST_OTHERS for one in found.values()):
        return None
    return "The machine was busy with something else: these latencies are an upper bound, not the services'."


def search(place: Place, engine: Engine, options: argparse.Namespace, console: Console) -> list[Outcome]:
    """Raise the rate by a quarter until a bar breaks, then halve the gap twice."""
    steps: list[Outcome] = []
    with place.services(engine) as services:
        warmed(place, services, rate=options.rate, duration=options.warm_up)

        def holds(rate: float) -> bool:
            steps.append(Outcome(rate))
            with console.status(f"{engine}: {rate:g} requests/s each"):
                loaded(place, services, steps[-1], duration=options.step, seed=len(steps))
                held = steps[-1].holds()
                if not held:
                    # What piled up must not be the next step's burden.
                    warmed(place, services, rate=10.0, duration=min(5.0, options.step))
            return held

        low, high = 0.0, float(options.rate)
        while high <= _MOST_RATE and holds(high):
            low, high = high, round(high * 1.25)
        for _ in range(2):
            middle = round((low + high) / 2)
            if middle in (low, high):
                break
            low, high = (middle, high) if holds(middle) else (low, middle)
    return sorted(steps, key=lambda step: step.rate)


def highest(steps: list[Outcome]) -> float:
    """Return the highest rate below the first one that breaks a bar; 0 when none holds."""
    best = 0.0
    for step in steps:
        if not step.holds():
            break
        best = step.rate
    return best


def table(found: dict[Engine, Outcome]) -> Table:
    """Return both engines side by side, an endpoint a row."""
    rate = found["phase4"].rate
    made_of = Table(title=f"{rate:g} requests/s to each endpoint, open loop, 2,000 users", title_justify="left")
    made_of.add_column("", no_wrap=True)
    for engine in ENGINES:
        made_of.add_column(engine, justify="right")
    for key, bar in BARS.items():
        name = key[1]
        for percent in PERCENTILES:
            limit = f" (bar {bar * 1000:g})" if percent == 95 else ""
            row = [_milliseconds(found[engine].routes[key].percentile(percent)) for engine in ENGINES]
            made_of.add_row(f"{name} P{percent} ms{limit}", *row)
        made_of.add_row(f"{name} requests", *(f"{len(found[engine].routes[key].latencies):,}" for engine in ENGINES))
        made_of.add_row(
            f"{name} errors (bar {MOST_ERRORS:.1%})", *(f"{found[engine].errors(key):.2%}" for engine in ENGINES)
        )
        made_of.add_section()
    for name in ("recommendation", "conversation", "postgres", "generator"):
        made_of.add_row(f"{name} CPU cores", *(f"{found[engine].cores(name):.2f}" for engine in ENGINES))
        made_of.add_row(f"{name} RSS MiB", *(f"{found[engine].rss[name] / 2**20:.0f}" for engine in ENGINES))
    made_of.add_row("others CPU cores", *(f"{found[engine].cores('others'):.2f}" for engine in ENGINES))
    made_of.add_row("generator sends late, P99 ms", *(_milliseconds(found[engine].lag()) for engine in ENGINES))
    return made_of


def curve_table(curves: dict[Engine, list[Outcome]]) -> Table:
    """Return the steps of the search."""
    made_of = Table(title="How P95 grows with the rate", title_justify="left")
    for heading in ("ENGINE", "requests/s each", *(f"{key[1]} P95 ms" for key in BARS), "errors", "both bars"):
        made_of.add_column(heading, justify="left" if heading == "ENGINE" else "right")
    for engine, steps in curves.items():
        for step in steps:
            made_of.add_row(
                engine,
                f"{step.rate:g}",
                *(_milliseconds(step.routes[key].percentile(95)) for key in BARS),
                f"{max(step.errors(key) for key in BARS):.2%}",
                "hold" if step.holds() else "-",
            )
        made_of.add_row(engine, f"highest: {highest(steps):g}", end_section=True)
    return made_of


def _milliseconds(value: float) -> str:
    return f"{value * 1000:.1f}" if math.isfinite(value) else "none"


def as_json(found: dict[Engine, Outcome], curves: dict[Engine, list[Outcome]]) -> dict[str, Any]:
    """Return the numbers as plain JSON; latencies in milliseconds, null where requests had no answer."""

    def one(outcome: Outcome) -> dict[str, Any]:
        return {
            "rate": outcome.rate,
            "seconds": round(outcome.seconds, 1),
            "holds": outcome.holds(),
            "routes": {
                "/".join(key): {
                    "requests": len(series.latencies),
                    "errors": round(outcome.errors(key), 5),
                    **{
                        f"p{p}_ms": round(value * 1000, 2) if math.isfinite(value) else None
                        for p in PERCENTILES
                        for value in (series.percentile(p),)
                    },
                }
                for key, series in sorted(outcome.routes.items())
            },
            "cpu_cores": {name: round(outcome.cores(name), 3) for name in outcome.cpu_seconds},
            "rss_mib": {name: round(rss / 2**20, 1) for name, rss in outcome.rss.items()},
            "failures": outcome.kinds,
        }

    return {
        "engines": {engine: one(outcome) for engine, outcome in found.items()},
        "search": {
            engine: {"highest": highest(steps), "steps": [one(step) for step in steps]}
            for engine, steps in curves.items()
        },
    }


def draw(curves: dict[Engine, list[Outcome]], path: Path) -> None:
    """Draw P95 over the rate, one panel an endpoint."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import, and few runs draw

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for number, (key, bar) in enumerate(BARS.items(), start=1):
        axes = figure.add_subplot(1, 2, number)
        for engine, steps in curves.items():
            points = [(step.rate, step.routes[key].percentile(95) * 1000) for step in steps]
            points = [point for point in points if math.isfinite(point[1])]
            axes.plot(*zip(*points, strict=True), marker="o", markersize=3, label=engine)
        axes.axhline(bar * 1000, color="grey", linestyle="--", linewidth=1)
        axes.set(title=f"{key[1]} (bar {bar * 1000:g} ms)", xlabel="requests/s to each endpoint", ylabel="P95 ms")
        axes.set_yscale("log")
        axes.legend(frameon=False)
    figure.savefig(path)
