"""`kubectl serin approve NAME`: lets an experiment with `promotion.approval: Manual` be promoted.

The approval is of one run: a later release does not inherit it. `--goals` and `--srm` go on where a person must decide.
"""

import argparse
from typing import Any

from serin.api.names import APPROVE
from serin.api.status import TERMINAL, Phase, Status
from serin.cli import cluster
from serin.cli.cluster import Cluster, Experiment, NothingToDoError
from serin.engine import sample_ratio
from serin.engine.goals.judging import approval_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    cluster.add_arguments(parser)
    parser.add_argument("--goals", action="store_true", help="promote although goals were not reached")
    parser.add_argument("--srm", action="store_true", help="go on in this stage although the split is not as intended")
    parser.add_argument("--stage", default="", help="the stage whose end is approved; default: the last")


def main(options: argparse.Namespace) -> int:
    """Sets the annotation and waits until Serin goes on."""
    return cluster.run(options, _approve)


def _approve(where: Cluster, before: Experiment, options: argparse.Namespace) -> int:
    spec, status = before.spec, before.status
    last = spec.stages[-1].name
    if options.goals:
        return _decide(where, before, options, "GoalsInconclusive", approval_of(spec), "no goal waits for a person")
    if options.srm:
        what, nothing = sample_ratio.approval_of(status), "no split waits for a person"
        return _decide(where, before, options, "SampleRatioMismatch", what, nothing)
    if spec.promotion.approval != "Manual":
        raise NothingToDoError("promotion.approval is Automatic: it is promoted without an approval")
    if options.stage and options.stage not in {stage.name for stage in spec.stages}:
        raise NothingToDoError(f"there is no stage {options.stage}: write --stage {last}")
    if options.stage not in {"", last}:
        raise NothingToDoError(f"only the end of the last stage waits for an approval: write --stage {last}")
    if not status.run_id or status.phase in TERMINAL:
        raise NothingToDoError(f"it is {status.phase}, so there is nothing to approve: {status.message}")
    where.patch(before, _approval(last, status))
    if status.reason != "WaitingForApproval":
        print(f"approved; stage {last} ends when its time and samples are there ({status.phase}: {status.message})")
        return cluster.DONE

    def answered(now: Experiment) -> bool:
        return now.status.reason != "WaitingForApproval" and now.status.phase is not Phase.HOLDING

    return cluster.wait(where, before.name, options, answered)


def _decide(
    where: Cluster, before: Experiment, options: argparse.Namespace, reason: str, what: str, nothing: str
) -> int:
    """A person's decision where the numbers gave none. Not beforehand: nobody knows then what they will say."""
    status = before.status
    if status.reason != reason:
        raise NothingToDoError(f"{nothing} ({status.phase}: {status.message})")
    where.patch(before, _approval(what, status))
    return cluster.wait(where, before.name, options, lambda now: now.status.reason != reason)


def _approval(what: str, status: Status) -> dict[str, Any]:
    return {"metadata": {"annotations": {APPROVE: f"{what}/{status.run_id}"}}}
