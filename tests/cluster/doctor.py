"""What is and what isn't in order, at a glance and without changing anything."""

from __future__ import annotations

import os
import platform
import shutil
import socket
from typing import TYPE_CHECKING, NamedTuple

from tests.cluster import binaries, daemon, host, kind, versions
from tests.cluster.kind import NODE, Cluster
from tests.cluster.steps import read

if TYPE_CHECKING:
    from tests.cluster.places import Places

PORTS = (30080, 30081, 30082, 30090)
WANTED_GIB = 12


class Check(NamedTuple):
    """One line: what was looked at, whether it is in order, and what was found or has to be done."""

    name: str
    good: bool
    found: str


def checks(places: Places) -> list[Check]:
    """Return all checks, in the order in which `up` needs them."""
    running = daemon.running()
    state = daemon.container_state(NODE) if running else None
    free = shutil.disk_usage(_existing(places)).free / 2**30
    missing = host.missing_packages(build=False)
    held = [port for port in PORTS if state != "running" and _taken(port)]
    built = [program.name for program in binaries.ALL if (places.bin / program.name).exists()]
    stale = [name for name in built if read(places.keys / name) != binaries.key(_program(name))]
    return [
        Check("machine", platform.machine() == "x86_64", f"{platform.machine()}, {os.cpu_count()} cores"),
        Check("disk", free > WANTED_GIB, f"{free:.0f} GiB free below {places.cache}; a cold start wants {WANTED_GIB}"),
        Check("packages", not missing, "all there" if not missing else f"`up` installs {', '.join(missing)} as root"),
        Check("docker", running, "answers" if running else "no daemon answers; `up` starts it as root"),
        Check(
            "capabilities",
            True,
            "CAP_SYS_RESOURCE is missing; Docker does without it"
            if host.lacks_sys_resource()
            else "all that privileged containers ask for",
        ),
        Check("ports", not held, "free or ours" if not held else f"taken by something else: {held}"),
        Check(
            "programs",
            not stale,
            f"{len(built)} of {len(binaries.ALL)} built"
            + (f"; to be built again: {', '.join(stale)}" if stale else ""),
        ),
        Check(
            "node image",
            running and daemon.image_id(kind.node_image()) is not None,
            kind.node_image().partition("@")[0] if running else versions.node_image(),
        ),
        Check("cluster", state == "running" and Cluster(places).ready(), f"node {state or 'not created'}"),
    ]


def _program(name: str) -> binaries.Program:
    return next(program for program in binaries.ALL if program.name == name)


def _existing(places: Places) -> str:
    return str(next(path for path in (places.cache, *places.cache.parents) if path.exists()))


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0
