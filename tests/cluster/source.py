"""Where usual images come from: an image registry when one answers, else stand-ins that are built on the machine.

The answer is found by pulling the smallest usual image there is; SERIN_IMAGES=pull or =build decides without asking.
"""

from __future__ import annotations

import os
from functools import cache

from tests.cluster.shell import StepError, answer

PROBE = "hello-world:latest"  # a few kilobytes
PROBE_TIMEOUT = 25.0  # Docker itself gives a registry that stays silent 15 s


@cache
def pulls() -> bool:
    """Tell whether usual images can be pulled. Says once what was decided.

    Raises:
        StepError: SERIN_IMAGES is neither pull nor build.
    """
    chosen = os.environ.get("SERIN_IMAGES", "")
    if chosen not in {"", "pull", "build"}:
        raise StepError(f"SERIN_IMAGES is {chosen!r}; write pull, build, or leave it unset to find out.")
    if chosen:
        return chosen == "pull"
    reachable = answer("docker", "pull", "-q", PROBE, timeout=PROBE_TIMEOUT) is not None
    print(f"        {decision(reachable=reachable)}", flush=True)
    return reachable


def decision(*, reachable: bool) -> str:
    """Return the sentence that says what follows from the probe."""
    if reachable:
        return "An image registry answers: the usual images are pulled."
    return "No image registry answers: images are built here from sources and Debian packages."
