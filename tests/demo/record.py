"""Keeps what `kubectl get cex` and `kubectl describe cex` show in each phase, for the documentation."""

import re
from pathlib import Path

from tests.demo.follow import Seen
from tests.demo.kubectl import NAMESPACE, KubectlError, kubectl

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
