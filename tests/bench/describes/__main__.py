"""`python -m tests.bench.describes --out FOLDER`: brings the situations about and writes what `kubectl describe` shows.

The files and the experiments are called x01, x02, ... in an order of their own, so that no name gives an answer away.
What happened in each goes into a file beside the folder, for whoever compares it with what a reader says.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from serin.kube.errors import KubeError
from tests.bench.describes.situations import SITUATIONS, Situation
from tests.bench.describes.stage import Gateway, Seen, Stage, Status
from tests.cluster.places import REPOSITORY
from tests.integration.controller.process import Cluster, cluster_of, repeated
from tests.integration.controller.scene import scenery
from tests.integration.controller.trial import Supervised
from tests.integration.proxy import proxy

_SECONDS: Final = 240.0
_AT_ONCE: Final = 10


@dataclass(frozen=True, slots=True)
class Shown:
    """What came of a situation."""

    name: str
    situation: Situation
    status: Status
    described: str
    reached: bool


def show(stage: Stage, situation: Situation, cluster: Cluster) -> Shown:
    """Bring a situation about, and describe it."""
    stage.scene.create("v1", "namespaces", None, {"metadata": {"name": stage.name}})
    situation.begin(stage)
    reached = True
    for seen, do in (*situation.steps, (situation.there, None)):
        reached = reached and _await(stage, seen)
        if reached and do is not None:
            do(stage)
    time.sleep(situation.rest)
    described = cluster.kubectl("-n", stage.name, "describe", "canaryexperiment", stage.name)
    return Shown(stage.name, situation, stage.status(), described, reached)


def _await(stage: Stage, seen: Seen) -> bool:
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        if seen(stage.status()):
            return True
        time.sleep(0.5)
    return False


def numbered(only: str) -> list[tuple[str, Situation]]:
    """The situations under names that say nothing, always the same ones."""
    order = list(range(len(SITUATIONS)))
    random.Random(20).shuffle(order)
    found = [(f"x{number:02}", SITUATIONS[each]) for number, each in enumerate(order, 1)]
    return [each for each in found if not only or each[0] in only.split(",")]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; exit code 1 when a situation was not reached."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.describes", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the describes go")
    parser.add_argument("--key", type=Path, metavar="FILE", help="where it says what happened; usually FOLDER.key.md")
    parser.add_argument("--only", default="", metavar="x01,x07", help="only these")
    options = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 150, highlight=False)
    with tempfile.TemporaryDirectory(prefix="serin-describes-") as name, ExitStack() as stack:
        home = Path(name)
        scene = stack.enter_context(scenery(home))
        cluster = cluster_of(scene.plane, home)
        cluster.kubectl("apply", "--server-side", "-f", str(REPOSITORY / "tests/integration/vendor/gateway-api.yaml"))
        gateway = Gateway(scene.admin)
        stack.enter_context(repeated(gateway.work, 0.5, despite=(KubeError,)))
        running = Supervised("operator")
        stack.enter_context(running.running(cluster))
        situations = numbered(options.only)
        with console.status(f"{len(situations)} situations"), ThreadPoolExecutor(_AT_ONCE) as executor:
            work = []
            for each, situation in situations:
                stage = Stage(scene, each, stack.enter_context(proxy(scene.address)), gateway)
                work.append(executor.submit(show, stage, situation, cluster))
            shown = [each.result() for each in work]
        log = running.log
    write(shown, options.out, options.key or options.out.with_suffix(".key.md"))
    console.print(table(shown))
    if "Traceback" in log:
        console.print(f"the operator's log has a traceback: {log[log.index('Traceback') :][:2000]}")
    return 0 if all(each.reached for each in shown) and "Traceback" not in log else 1


def write(shown: Sequence[Shown], out: Path, key: Path) -> None:
    """Write the describes, and beside them what happened."""
    out.mkdir(parents=True, exist_ok=True)
    for each in shown:
        (out / f"{each.name}.txt").write_text(each.described)
    lines = [f"- {each.name}: {each.situation.truth}" for each in shown]
    key.write_text("\n".join(["# What happened", "", *lines, ""]))


def table(shown: Sequence[Shown]) -> Table:
    """Return what was reached as a table."""
    made = Table(title=f"{len(shown)} situations", title_justify="left")
    for heading in ("NAME", "WHAT HAPPENED", "PHASE", "REASON", "MESSAGE"):
        made.add_column(heading, overflow="fold")
    for each in shown:
        status = each.status
        what = each.situation.truth if each.reached else f"[red]NOT REACHED[/]: {each.situation.truth}"
        made.add_row(each.name, what, status.get("phase"), status.get("reason"), status.get("message"))
    return made


if __name__ == "__main__":
    sys.exit(main())
