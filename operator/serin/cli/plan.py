"""`kubectl serin plan -f FILE`: can this experiment answer its questions, and how long would harm go unseen?

Asked before the start, when a stage can still be made longer. Nothing is changed anywhere; Prometheus is only read.
"""

import argparse
import dataclasses
import json
import math
import sys
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml
from rich.console import Console
from rich.progress import Progress

from serin.api.names import KIND
from serin.api.spec import InvalidSpecError, PrometheusRef, Spec
from serin.api.units import Duration, Share
from serin.cli import plan_show
from serin.cli.plan_delay import FAULTS, Delay, Fault, canary_percent, delay
from serin.cli.plan_figures import Figures, ServiceFigures, figures
from serin.cli.plan_goals import GoalPlan, plan_goal, warnings_of
from serin.cli.simulate import read_experiment
from serin.engine.goals.schedule import goal_problems, schedule
from serin.stats.goals import bounds

OK: Final = 0
BAD_INPUT: Final = 2
UNANSWERED: Final = 5
"""The plan is readable, and can't answer (all of) its questions: the warnings say why."""

_WEEK: Final = 7.0
_DAY: Final = 86_400.0
_HALF: Final = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("-f", "--file", required=True, type=Path, help="a CanaryExperiment in YAML")
    parser.add_argument("-n", "--namespace", default="", help="of the experiment; default: that of the file")
    parser.add_argument("--prometheus", default="", metavar="ADDRESS", help="instead of spec.prometheus.address")
    parser.add_argument("--offline", action="store_true", help="do not ask Prometheus")
    parser.add_argument(
        "--requests-per-second", dest="rps", type=_positive, help="of each service, both variants together"
    )
    parser.add_argument("--errors", type=Share, default=Share("0.2%"), help="that fail anyway (default 0.2%%)")
    parser.add_argument("--p50", type=Duration, default=Duration("45ms"), help="median latency (default 45ms)")
    parser.add_argument("--p95", type=Duration, default=Duration("110ms"), help="its P95 (default 110ms)")
    parser.add_argument("--users-per-day", type=_positive, help="new users a day, both variants together")
    parser.add_argument(
        "--sd", type=_spread, action=_Spreads, default={}, metavar="[GOAL=]VALUE", help="standard deviation over users"
    )
    parser.add_argument("--power", type=_probability, default=0.8, help="to prove what is there (default 0.8)")
    parser.add_argument("--runs", type=int, default=40, help="simulated experiments for each delay (default 40)")
    parser.add_argument("--seed", type=int, default=1, help="of the random numbers (default 1)")
    parser.add_argument("--output", choices=["table", "json"], default="table", help="for people or for programs")


def main(options: argparse.Namespace) -> int:
    """Plans, prints, and answers with an exit code that a script can use."""
    try:
        spec = _asked(options)
    except InvalidSpecError as error:
        sys.stderr.write(f"serin plan: {error}\n")
        return BAD_INPUT
    known = figures(spec, options.namespace or _namespace(options.file), options)
    if all(each.rate is None for each in known.services.values()) and not any(
        each.users_per_day for each in known.goals.values()
    ):
        for note in known.notes:
            sys.stderr.write(f"serin plan: {note}\n")
        sys.stderr.write("serin plan: no traffic is known: give --requests-per-second and --users-per-day\n")
        return BAD_INPUT
    goals = tuple(plan_goal(spec, goal, known.goals[goal.name], options.power) for goal in spec.goals)
    delays = _delays(spec, known, options)
    warnings = _warnings(spec, known, goals, delays)
    if options.output == "json":
        print(json.dumps(as_json(spec, known, goals, delays, warnings), indent=2))
    else:
        plan_show.show(Console(), spec, known, goals, delays, warnings, options)
    return UNANSWERED if warnings else OK


def _asked(options: argparse.Namespace) -> Spec:
    """The experiment, when it and the options make sense."""
    spec = read_experiment(options.file)
    if options.prometheus:
        spec = msgspec.structs.replace(spec, prometheus=_elsewhere(options.prometheus))
    for problem in goal_problems(spec):
        raise InvalidSpecError(problem.message)
    unknown = sorted(set(options.sd) - {"", *(goal.name for goal in spec.goals)})
    if unknown:
        raise InvalidSpecError(f"--sd {unknown[0]}=...: the experiment has no such goal")
    if options.p95.seconds <= options.p50.seconds or options.runs < 1:
        raise InvalidSpecError("--p95 must be longer than --p50, and --runs at least 1")
    return spec


Delays = dict[tuple[str, str, str], Delay | None]
"""By service, stage and fault."""


def as_json(
    spec: Spec, known: Figures, goals: tuple[GoalPlan, ...], delays: Delays, warnings: list[str]
) -> dict[str, Any]:
    """The plan for programs: numbers in full, seconds and users; null for what is not known."""
    plan = schedule(spec)
    return {
        "stage": plan.stage.name if plan is not None else None,
        "looks": plan.looks if plan is not None else 0,
        "criticalZ": [round(z, 4) for z in bounds(plan.fractions, spec.analysis.alpha)] if plan is not None else [],
        "traffic": {
            name: {"requestsPerSecond": each.rate, "errors": each.errors, "source": each.source, "noise": each.history}
            for name, each in known.services.items()
        },
        "goals": [{_camel(key): _finite(value) for key, value in dataclasses.asdict(each).items()} for each in goals],
        "delays": [
            {"service": service, "stage": stage, "fault": fault, **_delay_json(each)}
            for (service, stage, fault), each in delays.items()
        ],
        "notes": list(known.notes),
        "warnings": warnings,
    }


def _delay_json(each: Delay | None) -> dict[str, Any]:
    if each is None:
        return {"runs": 0, "found": 0, "medianSeconds": None, "p95Seconds": None}
    return {"runs": each.runs, "found": each.found, "medianSeconds": each.median, "p95Seconds": each.late}


def _delays(spec: Spec, known: Figures, options: argparse.Namespace) -> Delays:
    """Every service, stage and fault; minutes at the most, so a bar shows how far it is."""
    stages = [(index, stage) for index, stage in enumerate(spec.stages) if stage.weight < 100]  # noqa: PLR2004 - percent
    wanted = [(name, index, stage, fault) for name in known.services for index, stage in stages for fault in FAULTS]
    found: Delays = {}
    same: dict[tuple[ServiceFigures, int, Fault], Delay | None] = {}
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        for name, index, stage, fault in progress.track(wanted, description="generated looks"):
            case = known.services[name], index, fault
            if case not in same:
                same[case] = delay(spec, *case, runs=options.runs, seed=options.seed)
            found[name, stage.name, fault.name] = same[case]
    return found


def _warnings(spec: Spec, known: Figures, goals: tuple[GoalPlan, ...], delays: Delays) -> list[str]:
    found = [
        f"{name}: requests per second are not known: give --requests-per-second"
        for name, each in known.services.items()
        if each.rate is None
    ]
    for goal, plan in zip(spec.goals, goals, strict=True):
        found += warnings_of(goal, plan, known.goals[goal.name])
    if goals and any(service.traffic.type == "Replicas" for service in spec.services):
        text = "traffic.type Replicas does not keep a user on one variant, so effects look smaller than they are"
        found.append(f"{text}: split by a route with sticky users")
    plan_of_looks = schedule(spec)
    if plan_of_looks is not None:
        days = plan_of_looks.stage.duration.seconds / _DAY
        if days > _WEEK and days % _WEEK:
            whole = math.ceil(days / _WEEK) * 7
            text = f"stage {plan_of_looks.stage.name} is not whole weeks, so some weekdays count more"
            found.append(f"{text}: write duration: {whole}d")
    for name, each in known.services.items():
        if each.rate is None:
            continue
        for stage in spec.stages:
            expected = each.rate * stage.duration.seconds * canary_percent(stage) / 100
            if expected < spec.analysis.min_requests:
                text = f"{name}: stage {stage.name} has only {expected:,.0f} canary requests"
                found.append(f"{text}, and minRequests is {spec.analysis.min_requests:,}: it waits for more")
    found += [
        f"{service}: {fault} would be missed in stage {stage} in {each.runs - each.found} of {each.runs} experiments"
        for (service, stage, fault), each in delays.items()
        if each is not None and each.found < each.runs * _HALF
    ]
    return found


def _elsewhere(address: str) -> PrometheusRef:
    try:
        # What the spec's address is shown and trusted by is not for another one.
        return msgspec.convert({"address": address}, PrometheusRef)
    except msgspec.ValidationError:
        raise InvalidSpecError(f"--prometheus {address}: write it like http://127.0.0.1:9090") from None


def _namespace(path: Path) -> str:
    for document in yaml.safe_load_all(path.read_text()):
        if isinstance(document, dict) and document.get("kind") == KIND:
            return str((document.get("metadata") or {}).get("namespace") or "default")
    return "default"


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(part.capitalize() for part in others)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _positive(text: str) -> float:
    value = float(text)
    if not (value > 0 and math.isfinite(value)):
        raise argparse.ArgumentTypeError(f"{text}: write a number above 0")
    return value


def _probability(text: str) -> float:
    value = float(text)
    if not _HALF <= value < 1:
        raise argparse.ArgumentTypeError(f"{text}: write a probability from 0.5, like 0.8")
    return value


def _spread(text: str) -> tuple[str, float]:
    name, _, value = text.rpartition("=")
    return name, _positive(value)


class _Spreads(argparse.Action):
    """Collects `--sd 1.2` and `--sd goal=1.2`."""

    def __call__(
        self, _parser: argparse.ArgumentParser, options: argparse.Namespace, values: Any, _option: str | None = None
    ) -> None:
        options.sd = {**options.sd, values[0]: values[1]}
