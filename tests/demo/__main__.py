"""The command: `python -m tests.demo --help`. Exit code 0 only when all experiments ended as they should."""

import argparse
import asyncio
import sys
import time
from pathlib import Path

from rich.console import Console

from tests.demo import install as installing
from tests.demo.experiment import DEMO, Experiment, with_faults
from tests.demo.findings import Finding, find
from tests.demo.follow import Seen, diagnosis, ended, follow, under_load
from tests.demo.kubectl import NAMESPACE, KubectlError, apply, environment, kubectl
from tests.demo.record import Recorder, record_rest
from tests.demo.view import View

FIRST_ANSWERS = 5.0
AFTERWARDS = 10.0
"""Seconds of load after the end: pods that drain could still fail requests."""


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.demo", description="Three experiments on a real cluster.")
    names = [experiment.name for experiment in DEMO]
    parser.add_argument("experiments", nargs="*", metavar="experiment", help=f"{', '.join(names)}; all without")
    parser.add_argument("--rate", type=float, default=22.0, help="requests per second to each service (22)")
    parser.add_argument("--timeout", type=float, default=900.0, help="seconds for one experiment (900)")
    parser.add_argument("--install-only", action="store_true", help="install everything, start nothing")
    parser.add_argument("--record", type=Path, metavar="FOLDER", help="keep what kubectl shows in each phase here")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.experiments if name not in names]:
        parser.error(f"there is no experiment {unknown[0]}: write {', '.join(names)}")
    return options


async def run_one(experiment: Experiment, options: argparse.Namespace, console: Console, recorder: Recorder) -> Finding:
    """Run one experiment from a clean start to its end, under load all the time."""
    say = console.print
    say(f"\n[bold]{experiment.name}: {experiment.title}[/]")
    await installing.reset(lambda line: say(f"  {line}", highlight=False))
    seen = Seen(experiment.name)
    async with under_load(options.rate) as load:
        await asyncio.sleep(FIRST_ANSWERS)
        await apply(with_faults(experiment))
        with View(console, experiment, load.report) as view:

            async def on_look(look: Seen) -> None:
                await recorder.look(look)
                await view.show(look)

            try:
                await follow(experiment.name, until=ended, on_look=on_look, wait=options.timeout, seen=seen)
                await asyncio.sleep(AFTERWARDS)
            except TimeoutError as error:
                say(str(error), highlight=False, markup=False)
        report = load.report
    finding = find(experiment, seen, report)
    for line in finding.lines():
        say(line, highlight=False, soft_wrap=True, markup=False)
    if not finding.as_it_should:
        say(
            await diagnosis(experiment.name, await installing.operator()), highlight=False, soft_wrap=True, markup=False
        )
    return finding


async def drive(options: argparse.Namespace, console: Console) -> int:
    """Install, run the experiments one after the other, say how it went; return the exit code."""
    begun = time.monotonic()
    await installing.install(lambda line: console.print(line, highlight=False, soft_wrap=True))
    if options.install_only:
        return 0
    recorder = Recorder(options.record)
    chosen = [experiment for experiment in DEMO if not options.experiments or experiment.name in options.experiments]
    findings = [await run_one(experiment, options, console, recorder) for experiment in chosen]
    if options.record:
        await record_rest(recorder, console, options.rate)
    console.print(f"\n[bold]All in {time.monotonic() - begun:.0f} s[/]")
    for finding in findings:
        console.print(finding.lines()[0], highlight=False, markup=False)
    console.print(await kubectl("-n", NAMESPACE, "get", "cex"), highlight=False, markup=False, soft_wrap=True)
    if options.record:
        console.print(f"What kubectl showed in each phase: {options.record}")
    look_around(console)
    return 0 if all(finding.as_it_should for finding in findings) else 1


def look_around(console: Console) -> None:
    """Say how to look around and how to remove everything."""
    found = environment()
    first = found["PATH"].partition(":")[0]
    console.print(
        f"""To look around:
  export KUBECONFIG={found["KUBECONFIG"]} PATH={first}:$PATH
  kubectl get cex -A
  kubectl -n {NAMESPACE} describe cex errors
  Prometheus: http://127.0.0.1:30090   recommendation: http://127.0.0.1:30081   conversation: http://127.0.0.1:30082
To remove the cluster:   make cluster-down
To remove everything:    make cluster-purge clean""",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def main() -> int:
    """Run the program and return its exit code."""
    options = parse(sys.argv[1:])
    # A file or a pipe has no width; sentences must not be cut there.
    console = Console(width=None if sys.stdout.isatty() else 200)
    installing.cluster()
    try:
        return asyncio.run(drive(options, console))
    except KubectlError as error:
        console.print(f"Failed: {error}", style="red", highlight=False, markup=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("\nInterrupted. The cluster and the experiment stay; run it again at any time.")
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
