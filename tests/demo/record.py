"""Keeps what `kubectl get cex` and `kubectl describe cex` show in each phase, for the documentation."""

import json
import re
from pathlib import Path

from rich.console import Console

from tests.demo import install
from tests.demo.experiment import manifest
from tests.demo.follow import Seen, ended, follow, under_load
from tests.demo.kubectl import NAMESPACE, KubectlError, apply, kubectl

HEAD = "<!-- Recorded by `make record` from a real run; edit nothing here. -->\n"


class Recorder:
    """Writes a page for each phase when it is first seen; without a folder it does nothing."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._done: set[str] = set()

    async def look(self, seen: Seen) -> None:
        """Record the phase if there is no page of it yet in this run."""
        if self._folder is None or not seen.phase or seen.phase in self._done or not seen.status.get("message"):
            return
        try:
            got = await kubectl("-n", NAMESPACE, "get", "cex", seen.name)
            described = await kubectl("-n", NAMESPACE, "describe", "cex", seen.name)
        except KubectlError:
            return
        # Between the look and the two commands the experiment may have gone on: the page must show what it says.
        if not re.search(rf"^  Phase: +{seen.phase}$", described, re.MULTILINE):
            return
        self._done.add(seen.phase)
        self._folder.mkdir(parents=True, exist_ok=True)
        page = (
            f"{HEAD}# {seen.phase}\n\n```\n$ kubectl get cex {seen.name}\n{got}```\n\n"
            f"```\n$ kubectl describe cex {seen.name}\n{described.rstrip()}\n```\n"
        )
        (self._folder / f"{seen.phase.lower()}.md").write_text(page, encoding="utf-8")


async def record_rest(recorder: Recorder, console: Console, rate: float) -> None:
    """Record the phases that the demo's experiments don't pass.

    Raises:
        TimeoutError: a phase wasn't reached.
    """
    await _refused(recorder, console)
    await _by_hand(recorder, console, rate)
    await _lost(recorder, console, rate)


async def _begin(console: Console, name: str, title: str) -> None:
    console.print(f"\n[bold]{name}: {title}[/]")
    await kubectl("-n", NAMESPACE, "delete", "cex", name, "--ignore-not-found", wait=180)
    await install.reset(lambda line: console.print(f"  {line}", highlight=False))


async def _refused(recorder: Recorder, console: Console) -> None:
    """Pending: a Deployment that does not exist."""
    name = "refused"
    await _begin(console, name, "a Deployment that does not exist")
    absent = {"control": {"deployment": "recommendation"}, "canary": {"deployment": "recommendation-phase5"}}
    await apply(manifest(name, services=[{"name": "recommendation", **absent}]))

    def said(seen: Seen) -> bool:
        return seen.phase == "Pending" and bool(seen.status.get("message"))

    await follow(name, until=said, on_look=recorder.look, wait=60)
    await kubectl("-n", NAMESPACE, "delete", "cex", name, wait=60)


async def _by_hand(recorder: Recorder, console: Console, rate: float) -> None:
    """Paused, Holding: what people do and are waited for."""
    name = "by-hand"
    await _begin(console, name, "paused, resumed, waiting for an approval, aborted")
    stages = [{"name": "canary", "weight": 10, "duration": "30s"}]
    async with under_load(rate):
        await apply(manifest(name, stages=stages, promotion={"approval": "Manual", "bake": "30s"}))
        await follow(name, until=lambda seen: seen.phase == "Progressing", on_look=recorder.look, wait=120)
        for phase, change in (("Paused", {"paused": True}), ("Holding", {"paused": False}), ("", {"abort": True})):
            await kubectl("-n", NAMESPACE, "patch", "cex", name, "--type=merge", "-p", json.dumps({"spec": change}))

            def reached(seen: Seen, phase: str = phase) -> bool:
                return seen.phase == phase or ended(seen)

            await follow(name, until=reached, on_look=recorder.look, wait=180)


async def _lost(recorder: Recorder, console: Console, rate: float) -> None:
    """Failed: the canary's Deployment is deleted by somebody while it serves."""
    name = "lost"
    await _begin(console, name, "the canary's Deployment is deleted while it serves")
    canary = {"patch": {"metadata": {"annotations": {"example.com/release": "next"}}}}
    services = [{"name": "recommendation", "control": {"deployment": "recommendation"}, "canary": canary}]
    async with under_load(rate):
        await apply(manifest(name, services=services))
        await follow(name, until=lambda seen: seen.phase == "Progressing", on_look=recorder.look, wait=120)
        await kubectl("-n", NAMESPACE, "delete", "deployment", "recommendation-canary", wait=60)
        await follow(name, until=ended, on_look=recorder.look, wait=180)
