"""`kubectl serin pause`, `resume` and `abort`: the two switches of the spec.

They write `spec`, as `kubectl patch` would: where Git owns the experiment, write it there, or Git puts it back.
"""

import argparse

from serin.api.status import TERMINAL, Phase
from serin.cli import cluster
from serin.cli.cluster import Cluster, Experiment, NothingToDoError

_OVER = TERMINAL | {Phase.ROLLING_BACK}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the commands."""
    cluster.add_arguments(parser)


def main(options: argparse.Namespace) -> int:
    """Sets the switch that the verb means, and waits until Serin has done it."""
    return cluster.run(options, {"pause": _pause, "resume": _resume, "abort": _abort}[options.verb])


def _pause(where: Cluster, before: Experiment, options: argparse.Namespace) -> int:
    if before.status.phase in _OVER:
        raise NothingToDoError(f"it is {before.status.phase} and does not move on: {before.status.message}")
    where.patch(before, {"spec": {"paused": True}})
    stops = _OVER | {Phase.PAUSED, Phase.PENDING}
    return cluster.wait(where, before.name, options, lambda now: now.seen and now.status.phase in stops)


def _resume(where: Cluster, before: Experiment, options: argparse.Namespace) -> int:
    if not before.obj["spec"].get("paused"):
        raise NothingToDoError("spec.paused is false, so it is not paused")
    where.patch(before, {"spec": {"paused": False}})
    return cluster.wait(where, before.name, options, lambda now: now.seen and now.status.phase is not Phase.PAUSED)


def _abort(where: Cluster, before: Experiment, options: argparse.Namespace) -> int:
    if before.status.phase in TERMINAL:
        raise NothingToDoError(f"it is {before.status.phase} already: {before.status.message}")
    where.patch(before, {"spec": {"abort": True}})
    return cluster.wait(where, before.name, options, lambda now: now.seen and now.status.phase in TERMINAL)
