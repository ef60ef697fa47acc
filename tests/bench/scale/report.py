"""The figures as tables, as JSON, as a picture."""

import math
import statistics
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from tests.bench.scale.bars import Bar, beaten
from tests.bench.scale.costs import PROGRAMS
from tests.bench.scale.found import FACTOR, Found
from tests.bench.scale.peers import PEERS, READY_200_MORE, SOURCE

Row = tuple[str, Callable[[Found], str]]


def back(found: Found) -> str:
    """Return how long spoilt canaries kept traffic."""
    if not found.back:
        return "-"
    return f"{statistics.median(found.back):.0f} / {max(found.back):.0f}"


_ROWS: Final[tuple[Row | None, ...]] = (
    ("look lag P50 / P99, s: at most", lambda x: f"{x.lag(0.5):.3g} / {x.lag(0.99):.3g}"),
    ("gap between looks P50 / P99, s: at most", lambda x: f"{x.gap(0.5):.4g} / {x.gap(0.99):.4g}"),
    ("looks, of those that were due", lambda x: f"{100 * x.looks / x.expected:.1f}%"),
    None,
    ("operator CPU, cores", lambda x: f"{x.used.cores('operator'):.3f}"),
    ("operator RSS, MiB", lambda x: f"{x.used.rss('operator'):.0f}"),
    ("operator CPU per look, ms", lambda x: f"{x.milliseconds:.2f}"),
    None,
    ("API requests/s", lambda x: f"{x.requests:.2f}"),
    ("  by verb", lambda x: " ".join(f"{verb} {rate:.2f}" for verb, rate in x.verbs.items())),
    ("  of these for the Lease", lambda x: f"{x.lease:.2f}"),
    ("  of these checkpoints", lambda x: f"{x.checkpoints:.2f}"),
    ("  of these changes", lambda x: f"{x.changes:.2f}"),
    ("  as the operator counts them", lambda x: f"{x.used.told().total() / x.used.seconds:.2f} and watches"),
    ("API writes per idle look", lambda x: f"{x.idle_writes:.4g}"),
    ("Prometheus queries/s", lambda x: f"{x.used.queries():.3f}"),
    None,
    ("API server CPU, cores", lambda x: f"{x.used.cores('kube-apiserver'):.2f}"),
    ("etcd CPU, cores", lambda x: f"{x.used.cores('etcd'):.2f}"),
    ("Prometheus CPU, cores", lambda x: f"{x.used.cores('prometheus'):.2f}"),
    ("metrics of the services and bench, cores", lambda x: f"{x.used.cores('traffic') + x.used.cores('bench'):.2f}"),
    ("others on this machine, cores", lambda x: f"{x.used.cores('others'):.2f}"),
    None,
    (f"x{FACTOR:g} errors to weight 0, s: median / most", back),
    ("start among them: led / all looked at, s", lambda x: f"{x.led:.1f} / {x.looked:.1f}"),
    ("made, until they count", lambda x: f"{x.ready[0]:,} in {x.ready[1]:.0f} s"),
)


def table(found: Sequence[Found]) -> Table:
    """Return a column a size."""
    shown = Table(title="Experiments of two services with two guardrails each", title_justify="left")
    shown.add_column("N", no_wrap=True)
    for each in found:
        shown.add_column(f"{each.size:,}", justify="right")
    for row in _ROWS:
        if row is None:
            shown.add_section()
        else:
            shown.add_row(row[0], *(row[1](each) for each in found))
    return shown


def growth(found: Sequence[Found]) -> Table:
    """Return what one experiment more costs, from each size to the next."""
    shown = Table(title="What one experiment more costs", title_justify="left")
    for heading in (
        "from",
        "to",
        "CPU, microcores",
        "RSS, KiB",
        "API requests/h",
        "queries/h",
        "API server, microcores",
    ):
        shown.add_column(heading, justify="right")
    for one, other in pairwise(found):
        more = other.size - one.size

        def each(value: Callable[[Found], float], one: Found = one, other: Found = other, more: int = more) -> float:
            return (value(other) - value(one)) / more

        shown.add_row(
            f"{one.size:,}",
            f"{other.size:,}",
            f"{1e6 * each(lambda x: x.used.cores('operator')):.0f}",
            f"{1024 * each(lambda x: x.used.rss('operator')):.1f}",
            f"{3600 * each(lambda x: x.requests):.2f}",
            f"{3600 * each(lambda x: x.used.queries()):.2f}",
            f"{1e6 * each(lambda x: x.used.cores('kube-apiserver')):.0f}",
        )
    return shown


def beside_peers(found: Sequence[Found]) -> Table:
    """Return the peers' figures beside Serin's at the same N."""
    shown = Table(title="Beside the peers", title_justify="left", caption=SOURCE, caption_justify="left")
    headings = ("N", "", "API requests/s", "queries/s", "CPU, cores", "RSS MiB", "gap P50 / P99 s", "API server, cores")
    for heading in headings:
        shown.add_column(heading, justify="left" if not heading else "right", no_wrap=heading == "")
    for each in (each for each in found if each.size in PEERS):
        for name, peer in PEERS[each.size].items():
            gap = f"{peer.gap[0]:.1f} / {peer.gap[1]:.1f}"
            theirs = (peer.requests, peer.queries, peer.cpu, peer.rss, gap, peer.apiserver)
            shown.add_row(f"{each.size}", name, *map(str, theirs))
        won = beaten(each)
        cells = (
            ("requests", f"{each.requests:.2f}"),
            ("queries", f"{each.used.queries():.2f}"),
            ("cpu", f"{each.used.cores('operator'):.3f}"),
            ("rss", f"{each.used.rss('operator'):.0f}"),
            ("gap", f"{each.gap(0.5):.1f} / {each.gap(0.99):.1f}"),
            ("apiserver", f"{each.used.cores('kube-apiserver'):.2f}"),
        )
        texts = (
            f"[{'green' if won[name] else 'red'}]{text}{'' if won[name] else ' (not beaten)'}[/]"
            for name, text in cells
        )
        shown.add_row(f"{each.size}", "Serin", *texts, end_section=True)
    return shown


def judged(bars: Sequence[Bar]) -> Table:
    """Return the bars."""
    shown = Table(title="Bars", title_justify="left")
    for heading in ("", "measured", "at most", ""):
        shown.add_column(heading, justify="right" if heading else "left")
    for bar in bars:
        unit = f" {bar.unit}" if bar.unit else ""
        mark = "[green]held[/]" if bar.holds else "[red]missed[/]"
        shown.add_row(bar.name, f"{bar.value:.4g}{unit}", f"{bar.limit:g}{unit}", mark)
    return shown


def show(console: Console, found: Sequence[Found], bars: Sequence[Bar]) -> None:
    """Print everything."""
    console.print(table(found))
    if len(found) > 1:
        console.print(growth(found))
    if any(each.size in PEERS for each in found):
        console.print(beside_peers(found))
        more = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in READY_200_MORE.items())
        console.print(f"200 more until they were ready: {more} (as above).", highlight=False)
    console.print(judged(bars))


def as_json(found: Sequence[Found], bars: Sequence[Bar]) -> dict[str, Any]:
    """Return the numbers as plain JSON; seconds, cores, MiB; null for what never came."""

    def finite(value: float) -> float | None:
        return round(value, 5) if math.isfinite(value) else None

    def one(each: Found) -> dict[str, Any]:
        return {
            "experiments": each.size,
            "interval": each.interval,
            "seconds": finite(each.used.seconds),
            "looks": finite(each.looks),
            "looks_due": finite(each.expected),
            "lag": {f"p{round(100 * share)}_at_most": finite(each.lag(share)) for share in (0.5, 0.9, 0.99)},
            "gap": {f"p{round(100 * share)}_at_most": finite(each.gap(share)) for share in (0.5, 0.9, 0.99)},
            "cpu_cores": {name: finite(each.used.cores(name)) for name in (*PROGRAMS, "others")},
            "rss_mib": {name: finite(each.used.rss(name)) for name in PROGRAMS},
            "cpu_ms_per_look": finite(each.milliseconds),
            "api": {
                "requests": finite(each.requests),
                "verbs": {verb: finite(rate) for verb, rate in each.verbs.items()},
                "calls": {f"{verb} {what}": count for (verb, what), count in sorted(each.used.calls().items())},
                "lease": finite(each.lease),
                "checkpoints": finite(each.checkpoints),
                "changes": finite(each.changes),
                "as_told_by_the_operator": finite(each.used.told().total() / each.used.seconds),
                "writes_per_idle_look": finite(each.idle_writes),
            },
            "prometheus_queries": finite(each.used.queries()),
            "errors_to_weight_0": [finite(seconds) for seconds in each.back],
            "start": {"led": finite(each.led), "looked": finite(each.looked)},
            "ready": {"experiments": each.ready[0], "seconds": finite(each.ready[1])},
        }

    return {
        "sizes": [one(each) for each in found],
        "bars": [
            {"name": bar.name, "value": finite(bar.value), "limit": bar.limit, "holds": bar.holds} for bar in bars
        ],
        "peers": {"source": SOURCE},
    }


def draw(found: Sequence[Found], path: Path) -> None:
    """Draw CPU, memory, lag and requests over N."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import, and few runs draw

    figure = Figure(figsize=(10, 6), layout="constrained")
    sizes = [each.size for each in found]
    panels: tuple[tuple[str, Callable[[Found], float]], ...] = (
        ("CPU, cores", lambda x: x.used.cores("operator")),
        ("RSS, MiB", lambda x: x.used.rss("operator")),
        ("look lag P99, s: at most", lambda x: x.lag(0.99)),
        ("API requests/s", lambda x: x.requests),
    )
    peers: tuple[Callable[[Any], float] | None, ...] = (
        lambda x: x.cpu, lambda x: x.rss, None, lambda x: x.requests,
    )  # fmt: skip
    for number, ((title, value), theirs) in enumerate(zip(panels, peers, strict=True), start=1):
        axes = figure.add_subplot(2, 2, number)
        axes.plot(sizes, [value(each) for each in found], marker="o", label="Serin")
        for name in ("Flagger", "Argo Rollouts") if theirs is not None else ():
            there = [size for size in sizes if size in PEERS]
            if there and theirs is not None:
                axes.plot(there, [theirs(PEERS[size][name]) for size in there], marker="s", label=f"{name}, elsewhere")
        axes.set(title=title, xlabel="experiments", xscale="log")
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False)
    figure.savefig(path)
