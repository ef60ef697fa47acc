"""An experiment in the cluster, through kubectl: whoever runs the plugin has it, with contexts and logins that work.

A Kubernetes client of our own would have to learn every way of logging in that kubectl knows.
"""

import argparse
import contextlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from serin.api.names import GROUP, PLURAL
from serin.api.spec import Spec, parse_spec
from serin.api.status import Status, parse_status

DONE: Final = 0
FAILED: Final = 1
BAD_INPUT: Final = 2
NO_ANSWER: Final = 4

_EVERY: Final = 0.5
_TIMES: Final = 5
_KLOG: Final = re.compile(r"[EWI]\d{4} ")
"""What kubectl logs about its own attempts, beside the sentence that it ends with."""


class ClusterError(Exception):
    """kubectl did not do it; the text is its own."""


class FasterError(ClusterError):
    """Somebody else changed the experiment in between: Serin writes its status while it counts."""


class NothingToDoError(Exception):
    """The verb makes no sense for this experiment; the text says what would."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """One CanaryExperiment as the cluster has it."""

    obj: dict[str, Any]

    @property
    def name(self) -> str:
        """Its name."""
        name: str = self.obj["metadata"]["name"]
        return name

    @property
    def annotations(self) -> dict[str, str]:
        """Its annotations."""
        return self.obj["metadata"].get("annotations") or {}

    @property
    def spec(self) -> Spec:
        """Its spec.

        Raises:
            InvalidSpecError: this version can't read it.
        """
        return parse_spec(self.obj.get("spec"))

    @property
    def status(self) -> Status:
        """Its status; a fresh one while Serin has not seen it."""
        return parse_status(self.obj.get("status"))

    @property
    def seen(self) -> bool:
        """Whether Serin's status is about the present spec."""
        return self.status.observed_generation >= int(self.obj["metadata"].get("generation", 0))


class Cluster:
    """Reads and patches experiments.

    Args:
        options: `namespace`, `context` and `kubeconfig`, as kubectl has them.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        flags = {"--namespace": options.namespace, "--context": options.context, "--kubeconfig": options.kubeconfig}
        self._command = ["kubectl", *(f"{flag}={value}" for flag, value in flags.items() if value)]

    def get(self, name: str) -> Experiment:
        """The experiment called `name`.

        Raises:
            ClusterError: there is none, or the cluster can't be reached.
        """
        return Experiment(json.loads(self._run("get", f"{PLURAL}.{GROUP}", name, "--output=json")))

    def read(self, *words: str) -> dict[str, Any]:
        """What `kubectl get` shows of anything else, as JSON.

        Raises:
            ClusterError: there is none, or the cluster can't be reached.
        """
        found: dict[str, Any] = json.loads(self._run("get", *words, "--output=json"))
        return found

    def patch(self, before: Experiment, change: dict[str, Any]) -> Experiment:
        """Merges `change` into the very object that was read; the object after it.

        Raises:
            ClusterError: it was refused, or somebody else was faster.
        """
        meta = {**change.get("metadata", {}), "resourceVersion": before.obj["metadata"]["resourceVersion"]}
        body = json.dumps({**change, "metadata": meta})
        words = ("patch", f"{PLURAL}.{GROUP}", before.name, "--type=merge", "--patch", body, "--output=json")
        return Experiment(json.loads(self._run(*words)))

    def _run(self, *words: str) -> str:
        try:
            done = subprocess.run([*self._command, *words], capture_output=True, text=True, check=False, timeout=60)  # noqa: S603 - no shell; the user's own kubectl
        except FileNotFoundError:
            raise ClusterError("kubectl is not on the PATH") from None
        except subprocess.TimeoutExpired:
            raise ClusterError("kubectl did not answer within a minute") from None
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if line and not _KLOG.match(line)]
            kind = FasterError if "(Conflict)" in done.stderr else ClusterError
            raise kind("\n".join(said) or f"kubectl ended with {done.returncode}")
        return done.stdout


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What every verb on an experiment takes."""
    parser.add_argument("name", help="name of the CanaryExperiment")
    parser.add_argument("-n", "--namespace", default="", help="its namespace; default: that of the context")
    parser.add_argument("--context", default="", help="context of the kubeconfig")
    parser.add_argument("--kubeconfig", default="", help="path of the kubeconfig")
    parser.add_argument("--timeout", type=float, default=120.0, metavar="SECONDS", help="to wait (default 120)")
    parser.add_argument("--no-wait", action="store_true", help="do not wait for Serin's answer")


def wait(cluster: Cluster, name: str, options: argparse.Namespace, answered: Callable[[Experiment], bool]) -> int:
    """Shows what Serin says until `answered`; the exit code."""
    deadline, said = time.monotonic() + options.timeout, ""
    while True:
        now = cluster.get(name)
        text = f"{now.status.phase}: {now.status.message}"
        if options.no_wait or answered(now):
            print(text if not options.no_wait else f"{name} is changed")
            return DONE
        if now.status.message and text != said:
            print(text, file=sys.stderr, flush=True)
            said = text
        if time.monotonic() > deadline:
            print(
                f"Serin did not do it within {options.timeout:g} s; it goes on by itself if it runs:"
                " kubectl -n serin-system get pods,lease",
                file=sys.stderr,
            )
            return NO_ANSWER
        time.sleep(_EVERY)


def run(options: argparse.Namespace, verb: Callable[[Cluster, Experiment, argparse.Namespace], int]) -> int:
    """One verb on one experiment; the exit code."""
    cluster = Cluster(options)
    try:
        for _ in range(_TIMES):
            with contextlib.suppress(FasterError):
                return verb(cluster, cluster.get(options.name), options)
        return verb(cluster, cluster.get(options.name), options)
    except ClusterError as error:
        print(error, file=sys.stderr)
        return FAILED
    except (NothingToDoError, ValueError) as error:
        print(f"{options.name}: {error}", file=sys.stderr)
        return BAD_INPUT
