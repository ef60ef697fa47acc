"""`serin simulate -f FILE`: what would happen when, in seconds, with no cluster.

The engine and the statistics are the operator's own; only the cluster and the traffic are generated. It answers the
question that a reader of a policy has: would it find my kind of fault, and how soon?
"""

import argparse
import sys
from pathlib import Path

import yaml
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from serin.api.names import KIND
from serin.api.spec import InvalidSpecError, Spec, parse_spec
from serin.api.status import TERMINAL, Phase, Status
from serin.api.units import Duration, Share
from serin.cli.course import Course
from serin.cli.faults import EXAMPLE, SPLIT, parse_fault
from serin.cli.picture import NoPictureError, draw
from serin.engine.generated import Fault, Traffic
from serin.engine.goals.schedule import goal_problems
from serin.engine.goals.world import GoalEffect
from serin.engine.wording import count, length, unix
from serin.engine.world import World

__all__ = ["add_arguments", "main", "read_experiment"]

_LOOKS = 1500
"""A long experiment is looked at this often a stage at most; merging looks is safe for the tests, and saves minutes."""

EXIT = {Phase.SUCCEEDED: 0, Phase.ROLLED_BACK: 3, Phase.FAILED: 3}
NOT_ENDED = 4
BAD_INPUT = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("-f", "--file", required=True, type=Path, help="a CanaryExperiment in YAML")
    parser.add_argument("--errors", type=Share, help="share of the canary's requests that fail in addition, like 5%%")
    parser.add_argument("--latency", type=Duration, help="latency added to the canary's requests, like 60ms")
    parser.add_argument("--from", dest="after", type=Duration, default=Duration("0s"), help="when the fault begins")
    parser.add_argument("--service", default="", help="the service that has the fault; default: all")
    parser.add_argument(
        "--fault",
        type=parse_fault,
        action="append",
        default=[],
        metavar="WHAT",
        help=f"any number of: {EXAMPLE}; or a route that splits otherwise: {SPLIT}".replace("%", "%%"),
    )
    parser.add_argument(
        "--sticky-users",
        type=int,
        default=0,
        metavar="N",
        help="users whom routes keep on their variant, some very active (default: split by the request)",
    )
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw weight and evidence (.png, .svg, .pdf)")
    parser.add_argument(
        "--goal",
        type=parse_effect,
        action="append",
        default=[],
        metavar="NAME=EFFECT",
        help="the canary's mean minus control's, like satisfaction=-0.2 (default 0); any number of them",
    )
    parser.add_argument("--users-per-day", type=float, default=500.0, help="of each goal, both variants (default 500)")
    parser.add_argument("--sd", type=float, default=1.0, help="standard deviation over users (default 1)")
    parser.add_argument("--rps", type=float, default=50.0, help="requests per second of each service (default 50)")
    parser.add_argument(
        "--base-errors", type=Share, default=Share("0.2%"), help="errors of both variants (default 0.2%%)"
    )
    parser.add_argument(
        "--outage", nargs=2, type=Duration, metavar=("FROM", "LENGTH"), help="Prometheus does not answer"
    )
    parser.add_argument("--replicas", type=int, default=20, help="pods of control (default 20)")
    parser.add_argument("--seed", type=int, default=1, help="of the random numbers (default 1)")


def read_experiment(path: Path) -> Spec:
    """The spec of the first CanaryExperiment of a YAML file.

    Raises:
        InvalidSpecError: the file has none, or it can't be read; the text is a sentence.
    """
    try:
        documents = list(yaml.safe_load_all(path.read_text()))
    except (OSError, yaml.YAMLError) as error:
        raise InvalidSpecError(f"{path} can't be read: {error}") from None
    for document in documents:
        if isinstance(document, dict) and document.get("kind") == KIND:
            return parse_spec(document.get("spec"))
    raise InvalidSpecError(f"{path} has no {KIND}")


def main(options: argparse.Namespace) -> int:
    """Runs the simulation and prints it as a table; the exit code says how it ended."""
    try:
        spec = read_experiment(options.file)
        faults = (*_faults(options), *options.fault)
        for fault in faults:
            _check_fault(spec, fault)
        effects = _effects(spec, options)
    except InvalidSpecError as error:
        sys.stderr.write(f"serin simulate: {error}\n")
        return BAD_INPUT
    world = World(
        spec,
        Traffic(rate=options.rps, errors=options.base_errors.value),
        faults=faults,
        outages=_outages(options),
        replicas=options.replicas,
        seed=options.seed,
        goals=effects,
        sticky=options.sticky_users,
        look_seconds=_look_seconds(spec),
    )
    planned = sum(stage.duration.seconds for stage in spec.stages) + spec.promotion.bake.seconds
    course = Course()
    for decision in world.run(until=planned * 3 + 3600):
        course.note(world.now - world.start, decision.status)
    _show(spec, world, course, faults)
    if options.picture is not None:
        try:
            draw(options.picture, course, world.status, faults, start=world.start, title=str(options.file))
        except NoPictureError as error:
            sys.stderr.write(f"serin simulate: {error}\n")
            return BAD_INPUT
    return EXIT.get(world.status.phase, NOT_ENDED)


def _check_fault(spec: Spec, fault: Fault) -> None:
    """A fault of a service that isn't there, or of a split that nobody tests, would look like good news."""
    names = [service.name for service in spec.services]
    if fault.service and fault.service not in names:
        raise InvalidSpecError(f"a fault of service {fault.service}: the experiment has {', '.join(names)}")
    pods = [each.name for each in spec.services if each.traffic.type == "Replicas" and fault.service in {"", each.name}]
    if fault.split is not None and pods:
        text = f"a fault of the split of {', '.join(pods)}: with traffic.type Replicas it is not tested"
        raise InvalidSpecError(f"{text}: name a service that is split by a route")


def parse_effect(text: str) -> tuple[str, float]:
    """A goal's effect as it is written on the command line.

    Raises:
        argparse.ArgumentTypeError: it can't be read; the text is a sentence that says what to write.
    """
    name, sign, effect = text.partition("=")
    try:
        return name, float(effect if sign else "")
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text}: write it like satisfaction=-0.2") from None


def _effects(spec: Spec, options: argparse.Namespace) -> dict[str, GoalEffect]:
    """What the users of each goal are like."""
    names, given = [goal.name for goal in spec.goals], dict(options.goal)
    unknown = sorted(set(given) - set(names))
    if unknown:
        raise InvalidSpecError(f"--goal {unknown[0]}: the experiment has {', '.join(names) or 'no goals'}")
    for problem in goal_problems(spec):
        raise InvalidSpecError(problem.message)
    return {
        name: GoalEffect(effect=given.get(name, 0.0), sd=options.sd, users_per_day=options.users_per_day)
        for name in names
    }


def _faults(options: argparse.Namespace) -> tuple[Fault, ...]:
    if options.errors is None and options.latency is None:
        return ()
    errors = options.errors.value if options.errors is not None else 0.0
    latency = options.latency.seconds if options.latency is not None else 0.0
    return (Fault(errors, latency, options.after.seconds, options.service),)


def _outages(options: argparse.Namespace) -> tuple[tuple[float, float], ...]:
    if not options.outage:
        return ()
    begin, size = (each.seconds for each in options.outage)
    return ((begin, begin + size),)


def _look_seconds(spec: Spec) -> float:
    longest = max(stage.duration.seconds for stage in spec.stages)
    interval = spec.analysis.interval.seconds
    return max(interval, round(longest / _LOOKS / interval) * interval)


def _show(spec: Spec, world: World, course: Course, faults: tuple[Fault, ...]) -> None:
    console = Console()
    table = Table("AFTER", "TO", "REASON", "MESSAGE", box=None, pad_edge=False, header_style="bold")
    for transition in world.status.transitions:
        after = length(unix(transition.time) - world.start)
        table.add_row(after, transition.to, transition.reason, transition.message)
    console.print(table)
    console.print()
    _show_guardrails(console, world.status)
    _show_goals(console, world.status)
    _show_ratios(console, world.status)
    look = _look_seconds(spec)
    if look > spec.analysis.interval.seconds:
        console.print(
            f"Looks of {length(look)} instead of {spec.analysis.interval}, to be quick; they are safe to merge."
        )
    curves = Table("", "", box=None, pad_edge=False, show_header=False)
    room = console.width - 2 - max((len(name) for name in ("weight", *course.series)), default=0)
    for label, line in course.lines(max(10, min(100, room))):
        curves.add_row(label, line)
    console.print(curves)
    console.print("weight up to 100 %; evidence on a logarithmic scale, a full block decides\n")
    phase = world.status.phase
    colour = "green" if phase is Phase.SUCCEEDED else "red" if phase in TERMINAL else "yellow"
    took = length(world.now - world.start)
    open_end = "" if phase in TERMINAL else f": {escape(world.status.message)}"
    console.print(f"[{colour}]{phase}[/] after {took}{_found(world, faults)}{open_end}")


def _found(world: World, faults: tuple[Fault, ...]) -> str:
    """How soon the first fault of the canary alone was found."""
    begun = [fault.after for fault in faults if not fault.shared]
    if not world.status.found_at or not begun:
        return ""
    return f", found {length(unix(world.status.found_at) - world.start - min(begun))} after the fault began"


def _show_goals(console: Console, status: Status) -> None:
    table = Table("GOAL", "VERDICT", "SUMMARY", box=None, pad_edge=False, header_style="bold")
    for each in status.goals:
        table.add_row(each.name, each.verdict, each.summary)
    if table.row_count:
        console.print(table)
        console.print()


def _show_ratios(console: Console, status: Status) -> None:
    table = Table("SPLIT OF", "OBSERVED", "INTENDED", "N", "EVIDENCE", box=None, pad_edge=False, header_style="bold")
    for name, found in status.sample_ratios:
        n, evidence = f"{count(found.n)} {found.unit}", f"{found.evidence}x its limit"
        table.add_row(name, found.observed, found.intended, n, evidence)
    if table.row_count:
        console.print(table)
        console.print()


def _show_guardrails(console: Console, status: Status) -> None:
    table = Table("SERVICE", "GUARDRAIL", "VERDICT", "SUMMARY", box=None, pad_edge=False, header_style="bold")
    for service in status.services:
        for each in service.guardrails:
            table.add_row(service.name, each.name, each.verdict, each.summary)
    if table.row_count:
        console.print(table)
        console.print()
