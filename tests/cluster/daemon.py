"""Docker's daemon: used where it runs, started where it doesn't and we may.

It outlives the command that starts it. A daemon that was killed leaves a pid file behind, and the number may belong to
somebody else by now, in which case dockerd would refuse to start: so a pid file of no dockerd is removed first.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.cluster import host
from tests.cluster.places import HERE
from tests.cluster.shell import Shell, StepError, answer, succeeds
from tests.cluster.steps import Step, read, write

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster.places import Places

PID_FILE = Path("/var/run/docker.pid")
CONFIG = Path("/etc/docker/daemon.json")
WRAPPER = Path("/usr/local/sbin/serin-runc")
RUNTIME = "serin"
START_TIMEOUT = 60.0
KEY_LABEL = "dev.serin.key"


def running() -> bool:
    """Tell whether a daemon answers."""
    return succeeds("docker", "info", timeout=20)


def steps(places: Places) -> list[Step]:
    """Return the steps after which `docker run --privileged` works."""
    return [
        Step(
            "docker-runtime",
            "lets Docker do without CAP_SYS_RESOURCE, which this machine doesn't give",
            2,
            _runtime_done,
            _install_runtime,
        ),
        Step("docker-daemon", "starts Docker's daemon", 5, running, lambda shell: _start(shell, places)),
    ]


def image_key(tag: str) -> str | None:
    """Return the key that a local image was made from: empty for one that was pulled, None where there is none."""
    return answer("docker", "image", "inspect", "-f", f'{{{{index .Config.Labels "{KEY_LABEL}"}}}}', tag)


def image_id(tag: str) -> str | None:
    """Return the id of a local image, or None where there is none of that name."""
    return answer("docker", "image", "inspect", "-f", "{{.Id}}", tag)


def container_state(name: str) -> str | None:
    """Return running, exited, created, ... or None where there is no such container."""
    return answer("docker", "container", "inspect", "-f", "{{.State.Status}}", name)


def _runtime_done() -> bool:
    if not host.lacks_sys_resource() or os.geteuid() != 0:
        return True
    if read(WRAPPER) != (HERE / "files/serin-runc").read_text():
        return False
    if _config().get("default-runtime") != RUNTIME:
        return False
    return not running() or answer("docker", "info", "-f", "{{.DefaultRuntime}}") == RUNTIME


def _config() -> dict[str, Any]:
    try:
        loaded: dict[str, Any] = json.loads(read(CONFIG) or "{}")
    except ValueError as error:
        raise StepError(f"{CONFIG} is not JSON: {error}. Correct it or remove it.") from error
    return loaded


def _install_runtime(shell: Shell) -> None:
    shutil.copyfile(HERE / "files/serin-runc", WRAPPER)
    WRAPPER.chmod(0o755)
    config = _config()
    config.setdefault("runtimes", {})[RUNTIME] = {"path": str(WRAPPER)}
    config["default-runtime"] = RUNTIME
    write(CONFIG, json.dumps(config, indent=2) + "\n")
    pid = _daemon_pid()
    if pid:
        shell.say("asks the running daemon to read its configuration again")
        os.kill(pid, signal.SIGHUP)
        _wait(lambda: answer("docker", "info", "-f", "{{.DefaultRuntime}}") == RUNTIME)


def _daemon_pid() -> int | None:
    """Return the process of a daemon that lives; one that was killed may stay as a zombie for a while."""
    pid = read(PID_FILE).strip()
    if not pid.isdigit() or read(Path(f"/proc/{pid}/comm")).strip() != "dockerd":
        return None
    state = read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return int(pid) if state and state[0] not in "ZX" else None


def _start(shell: Shell, places: Places) -> None:
    dockerd = shutil.which("dockerd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if os.geteuid() != 0 or dockerd is None:
        raise StepError("Docker's daemon doesn't run, and only root may start it: run `sudo systemctl start docker`.")
    log = places.logs / "dockerd.log"
    program: subprocess.Popen[bytes] | None = None

    def answers() -> bool:
        nonlocal program
        if running():
            return True
        # Looked at again and again: a daemon that was on its way out a moment ago may be gone now.
        if _daemon_pid() is None and (program is None or program.poll() is not None):
            PID_FILE.unlink(missing_ok=True)
            with log.open("ab") as output:
                # In a session of its own, so that neither an interrupt nor our end reaches it.
                program = subprocess.Popen(
                    [dockerd],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    cwd="/",
                )
        return False

    shell.say(f"its log: {log}")
    if not _wait(answers):
        raise StepError("dockerd did not answer within a minute.", log)


def _wait(holds: Callable[[], bool], timeout: float = START_TIMEOUT) -> bool:
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.5)
    return False
