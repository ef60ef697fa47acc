"""`kubectl serin retry NAME`: another run of the same wish, after a rollback or from the beginning.

A rollback is one-way within a run, so that nobody promotes by accident what was just found bad. This is on purpose.
"""

import argparse
from typing import Any

from serin.api.names import RETRY
from serin.api.status import Phase
from serin.cli import cluster
from serin.cli.cluster import Cluster, Experiment


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    cluster.add_arguments(parser)


def main(options: argparse.Namespace) -> int:
    """Sets the annotation and waits for the new run."""
    return cluster.run(options, _retry)


def next_retry(text: str) -> str:
    """The number after `text`; whatever somebody wrote there by hand, it is another one."""
    return str(int(text) + 1) if text.isascii() and text.isdigit() else "1"


def _retry(where: Cluster, before: Experiment, options: argparse.Namespace) -> int:
    change: dict[str, Any] = {"metadata": {"annotations": {RETRY: next_retry(before.annotations.get(RETRY, ""))}}}
    if before.obj["spec"].get("abort"):
        # Aborted for good would be aborted again at its first look.
        change["spec"] = {"abort": False}
    where.patch(before, change)
    if "spec" in change:
        print("spec.abort was true: it is false now")
    old = before.status.run_id

    def answered(now: Experiment) -> bool:
        return now.status.run_id not in {"", old} and now.status.phase is not Phase.ROLLING_BACK

    return cluster.wait(where, before.name, options, answered)
