"""`python -m tests.load`: the load as a program.

Exit code 0 when no request failed but on purpose, 1 when some did, 2 for wrong arguments.
"""

import argparse
import asyncio
import json
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from rich.console import Console

from tests.load.generator import run
from tests.load.plan import Plan, Service, Target
from tests.load.report import Failure, Report

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}


def seconds(text: str) -> float:
    """Read a duration such as 90, 30s or 5m."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration: write for example 30s or 5m")
    return float(match[1]) * _UNITS[match[2]]


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.load",
        description="Open-loop load with a pool of users for the recommendation and the conversation service.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    for service, port in (("recommendation", 30081), ("conversation", 30082)):
        parser.add_argument(
            f"--{service}",
            metavar="URL",
            nargs="+",
            default=[],
            help=f"address of the service, for example http://127.0.0.1:{port}; several share the requests",
        )
    parser.add_argument("--rate", type=float, default=20.0, help="requests per second for each service")
    parser.add_argument("--duration", type=seconds, default=30.0, help="how long to send, for example 30s or 5m")
    parser.add_argument("--users", type=int, default=2000, help="size of the pool of users")
    parser.add_argument("--skew", type=float, default=0.0, help="how unequal users are: 0 alike, 1 as on the web")
    parser.add_argument("--asks", type=float, default=1.0, help="rankings of a user's visit, on average")
    parser.add_argument("--turns", type=int, default=5, help="messages of a conversation")
    parser.add_argument("--arrivals", choices=("poisson", "fixed"), default="poisson", help="gaps between requests")
    parser.add_argument(
        "--connections",
        choices=("fresh", "keep"),
        default="fresh",
        help="a new connection for each request (kube-proxy chooses a pod for each connection), or reuse",
    )
    parser.add_argument("--timeout", type=seconds, default=10.0, help="a request that takes longer has failed")
    parser.add_argument("--max-inflight", type=int, default=500, help="what is due beyond it is not sent")
    parser.add_argument("--seed", type=int, default=1, help="draws users, texts and gaps")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report here")
    parser.add_argument("--log", type=Path, metavar="FILE", help="write a JSON line here for each failed request")
    parser.add_argument("--quiet", action="store_true", help="no live line")
    return parser.parse_args(arguments)


def plan_of(options: argparse.Namespace) -> Plan:
    """Turn options into a plan.

    Raises:
        ValueError: Something can't be sent; its text says what to write.
    """
    asked: tuple[tuple[Service, list[str]], ...] = (
        ("recommendation", options.recommendation),
        ("conversation", options.conversation),
    )
    targets = tuple(
        Target(service, tuple(url.rstrip("/") for url in urls), options.rate) for service, urls in asked if urls
    )
    if not targets:
        raise ValueError("say where to send: --recommendation URL, --conversation URL or both")
    return Plan(
        targets=targets,
        duration=options.duration,
        users=options.users,
        skew=options.skew,
        asks=options.asks,
        arrivals=options.arrivals,
        connections=options.connections,
        turns=options.turns,
        timeout=options.timeout,
        max_inflight=options.max_inflight,
        seed=options.seed,
    )


def live_line(report: Report) -> str:
    """Say in one line what the last five seconds brought."""
    parts = [
        f"{row.service[:3]}/{row.variant} {row.answered / 5:.0f}/s"
        f" p95 {(row.p95 or 0) * 1000:.0f} ms{f' failed {row.failed}' if row.failed else ''}"
        for row in report.window(5.0)
    ]
    return f"{report.seconds:4.0f} s  {report.sent.total():,} sent  {report.own_failures} failed  " + "  ".join(parts)


@contextmanager
def _failure_log(path: Path | None) -> Iterator[TextIO | None]:
    if path is None:
        yield None
        return
    with path.open("w", encoding="utf-8", buffering=1) as file:
        yield file


async def drive(plan: Plan, options: argparse.Namespace, console: Console) -> Report:
    """Run a plan with a live line; Ctrl-C ends it and still gives the report."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    with ExitStack() as stack:
        file = stack.enter_context(_failure_log(options.log))
        status = stack.enter_context(console.status("starting")) if console.is_terminal and not options.quiet else None

        def on_failure(failure: Failure) -> None:
            if file is not None:
                file.write(json.dumps(asdict(failure)) + "\n")

        def on_second(report: Report) -> None:
            if status is not None:
                status.update(live_line(report))
            elif not options.quiet and int(report.seconds) % 10 == 0:
                console.print(live_line(report), soft_wrap=True, highlight=False)

        return await run(plan, stop=stop, on_failure=on_failure, on_second=on_second)


def main(arguments: list[str] | None = None) -> int:
    """Run the program and return its exit code."""
    options = parse(sys.argv[1:] if arguments is None else arguments)
    # A file or a pipe has no width; the table must not be cut to 80 columns there.
    console = Console(width=None if sys.stdout.isatty() else 120)
    try:
        plan = plan_of(options)
    except ValueError as error:
        Console(stderr=True).print(f"error: {error}", highlight=False, soft_wrap=True)
        return 2
    report = asyncio.run(drive(plan, options, console))
    console.print(report.table())
    console.print(report.sentence(), highlight=False, soft_wrap=True)
    if options.json is not None:
        options.json.write_text(json.dumps(report.as_json(), indent=2) + "\n", encoding="utf-8")
    return 0 if report.own_failures == 0 else 1


if __name__ == "__main__":
    raise SystemExit(main())
