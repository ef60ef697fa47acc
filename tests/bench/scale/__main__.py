"""`python -m tests.bench.scale`: what Serin costs with thousands of experiments, and the bars that it must clear."""

import argparse
import asyncio
import json
import os
import re
import signal
import sys
import time
from pathlib import Path

from rich.console import Console

from tests.bench.scale import report
from tests.bench.scale.bars import bars
from tests.bench.scale.found import Found, Plan
from tests.bench.scale.measure import Bench
from tests.bench.scale.place import SCRAPE, made
from tests.load.__main__ import seconds

SIZES = [100, 1000, 5000]


def main(arguments: list[str] | None = None) -> int:
    """Run the bench; exit code 1 when a bar is missed."""
    options = _options(sys.argv[1:] if arguments is None else arguments)
    console = Console(width=None if sys.stdout.isatty() else 120)
    # In the background of a script SIGINT is ignored, and with it the end that cleans up.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    begun = time.monotonic()
    with console.status("starting etcd, kube-apiserver, Prometheus and the services' metrics") as status:
        last = ""

        def say(text: str) -> None:
            nonlocal last
            status.update(text)
            kind = re.sub(r"[0-9,]+", "", text)
            if not console.is_terminal and kind != last:
                print(f"[{time.monotonic() - begun:5.0f} s] {text}", file=sys.stderr, flush=True)
                last = kind

        try:
            plan = Plan(options.interval, options.duration, options.spoilt, begun=options.begun)
            most = plan.last(options.sizes)[-1].stop
            with made(most, options.scrape, plan.to_spoil(options.sizes)) as place:
                found = asyncio.run(_all(Bench(place, plan, say), options, console))
        except KeyboardInterrupt:
            print("stopped; everything that was started has ended", file=sys.stderr)
            return 130
        except RuntimeError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
    held = bars(found)
    text = f"{os.cpu_count()} cores for everything; each size watched for {options.duration:g} s, a look every"
    console.print(f"{text} {options.interval:g} s, a scrape every {options.scrape:g} s.", highlight=False)
    report.show(console, found, held)
    return 0 if all(bar.holds for bar in held) else 1


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.scale", description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--sizes", type=_sizes, default=SIZES, metavar="N,N,...", help="experiments at a time")
    parser.add_argument("--duration", type=seconds, default=245.0, help="how long each size is watched")
    parser.add_argument("--interval", type=seconds, default=30.0, help="between two looks at an experiment")
    parser.add_argument("--scrape", type=seconds, default=SCRAPE, help="between two scrapes of Prometheus")
    parser.add_argument("--spoilt", type=int, default=5, help="canaries that get ten times the errors; 0: none")
    parser.add_argument(
        "--begun", type=int, default=Plan().begun, help="experiments that begin by themselves; more are copies of one"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers here")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw them over N here (.png or .svg)")
    return parser.parse_args(arguments)


def _sizes(text: str) -> list[int]:
    return sorted({int(part) for part in text.split(",")})


async def _all(bench: Bench, options: argparse.Namespace, console: Console) -> list[Found]:
    """Each size; what is known so far after each one, for the whole takes a while."""
    found: list[Found] = []
    async for each in bench.run(options.sizes):
        found.append(each)
        if len(found) < len(options.sizes):
            console.print(report.table(found))
        if options.json:
            options.json.write_text(json.dumps(report.as_json(found, bars(found)), indent=2) + "\n", encoding="utf-8")
        if options.picture:
            report.draw(found, options.picture)
    return found


if __name__ == "__main__":
    raise SystemExit(main())
