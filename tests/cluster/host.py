"""What the machine itself must have: packages, and kernel settings.

As root on Debian the packages are installed; anywhere else one sentence names what is missing.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from tests.cluster.shell import Shell, StepError, succeeds
from tests.cluster.steps import Step, read

INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
INOTIFY_WANTED = 512  # a kind node runs a whole init system, and the usual 128 is used up by two of them
SOURCES = (Path("/etc/apt/sources.list"), Path("/etc/apt/sources.list.d"))


def packages(*, build: bool) -> Step:
    """Return the step that installs what Docker needs, and with `build` what stand-in images need."""

    def run(shell: Shell) -> None:
        wanted = missing_packages(build=build)
        if not (os.geteuid() == 0 and shutil.which("apt-get")):
            raise StepError(f"This machine lacks {', '.join(wanted)}: install them, or run this as root on Debian.")
        env = {"DEBIAN_FRONTEND": "noninteractive"}
        shell.run("apt-get", "update", why="apt-get update failed, so nothing can be installed.", env=env)
        shell.run(
            "apt-get",
            "install",
            "-y",
            "--no-install-recommends",
            *wanted,
            env=env,
            why=f"apt-get could not install {', '.join(wanted)}.",
        )

    return Step(
        "packages-build" if build else "packages",
        "installs Debian packages that the machine lacks",
        25,
        lambda: not missing_packages(build=build),
        run,
    )


def missing_packages(*, build: bool) -> list[str]:
    """Return the names of Debian packages that would have to be installed."""
    missing = []
    # A docker client without an engine is common; dockerd is what counts unless a daemon answers already.
    if not shutil.which("dockerd") and not succeeds("docker", "info"):
        missing += ["docker.io", "iptables"]
    elif not shutil.which("docker"):
        missing.append("docker.io")
    if build:
        missing += [program for program in ("debootstrap", "iptables") if not shutil.which(program, path=_path())]
    return list(dict.fromkeys(missing))


def inotify() -> Step:
    """Return the step that raises the number of inotify instances, without which a node's systemd fails."""

    def value() -> int:
        try:
            return int(INOTIFY.read_text())
        except (OSError, ValueError):
            return INOTIFY_WANTED

    def run(shell: Shell) -> None:
        del shell
        try:
            INOTIFY.write_text(f"{INOTIFY_WANTED}\n")
        except OSError as error:
            raise StepError(f"Run: sudo sysctl -w fs.inotify.max_user_instances={INOTIFY_WANTED}") from error

    return Step(
        "inotify", f"sets fs.inotify.max_user_instances to {INOTIFY_WANTED}", 1, lambda: value() >= INOTIFY_WANTED, run
    )


def lacks_sys_resource() -> bool:
    """Tell whether CAP_SYS_RESOURCE (24) is missing from our bounding set, which plain `--privileged` can't stand."""
    found = re.search(r"^CapBnd:\s*([0-9a-f]+)", read(Path("/proc/self/status")), re.MULTILINE)
    return found is not None and not int(found.group(1), 16) >> 24 & 1


def debian_mirror() -> str:
    """Return the address of the Debian archive that the host's own apt uses.

    Raises:
        StepError: the host's apt sources name no Debian archive.
    """
    texts = [path.read_text(errors="replace") for path in _source_files()]
    for text in texts:
        uri = mirror_in(text)
        if uri:
            return uri
    raise StepError("Stand-in images are made with debootstrap, and /etc/apt names no Debian archive to take from.")


def mirror_in(sources: str) -> str | None:
    """Return the first address of a Debian main archive in an apt sources file, of either format."""
    for found in re.finditer(r"^(?:URIs:\s*|deb\s+(?:\[[^\]]*\]\s+)?)(\S+)", sources, re.MULTILINE):
        uri = found.group(1).rstrip("/")
        if uri.endswith("/debian") or re.search(r"/archive/debian/\w+$", uri):
            return uri
    return None


def _source_files() -> list[Path]:
    found: list[Path] = []
    for place in SOURCES:
        if place.is_dir():
            found += sorted(p for p in place.iterdir() if p.suffix in {".list", ".sources"})
        elif place.is_file():
            found.append(place)
    return found


def _path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
