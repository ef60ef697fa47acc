"""Programs that take minutes: run with their output in a log, and a sign of life for whoever waits.

Without it a silent compile looks like a hang, and a failure scrolls away.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TAIL_LINES = 25
TERMINAL_PERIOD, PLAIN_PERIOD = 1.0, 30.0  # seconds between signs of life
GRACE = 10.0  # seconds that an interrupted program has to end by itself


class StepError(Exception):
    """A step could not do its work; the message is the sentence that the user reads."""

    def __init__(self, sentence: str, log: Path | None = None) -> None:
        super().__init__(sentence)
        self.log = log


def duration(seconds: float) -> str:
    """Write seconds as people do: 8s, 2m05s, 1h02m."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02}m"


def last_line(log: Path, size: int = 2048) -> str:
    """Return the last line of a growing log that isn't blank."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - size))
            text = stream.read().decode(errors="replace")
    except OSError:
        return ""
    lines = [line.strip() for line in text.replace("\r", "\n").splitlines() if line.strip()]
    return lines[-1] if lines else ""


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    """Return the last lines of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else ""


@dataclass
class Shell:
    """Runs programs for one step; everything they print goes to `log`."""

    log: Path
    started: float = field(default_factory=time.monotonic)
    _shown: bool = False

    def run(
        self,
        *argv: str | Path,
        why: str = "",
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: Path | None = None,
        timeout: float | None = None,
    ) -> None:
        """Run a program to its end; raise StepError with `why` (or the command) when it fails or takes too long."""
        command = [str(part) for part in argv]
        with self.log.open("a") as log:
            log.write(f"$ {' '.join(command)}\n")
        with contextlib.ExitStack() as files:
            output = files.enter_context(self.log.open("ab"))
            source = files.enter_context(stdin.open("rb")) if stdin else subprocess.DEVNULL
            try:
                # An own session: an interrupt reaches the program through us, together with its children.
                program = subprocess.Popen(
                    command,
                    cwd=cwd,
                    env={**os.environ, **(env or {})},
                    stdin=source,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                raise StepError(f"{command[0]} could not be started: {error.strerror}", self.log) from error
            try:
                code = self._wait(program, timeout)
            except BaseException:
                _end(program)
                raise
            finally:
                self.clear()
        if code:
            raise StepError(why or f"`{' '.join(command[:4])} ...` ended with exit code {code}", self.log)

    def output(self, *argv: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
        """Run a short program and return what it prints; raise StepError when it fails."""
        command = [str(part) for part in argv]
        done = subprocess.run(
            command,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            with self.log.open("a") as log:
                log.write(f"$ {' '.join(command)}\n{done.stdout}{done.stderr}\n")
            raise StepError(f"`{' '.join(command[:4])} ...` ended with exit code {done.returncode}", self.log)
        return done.stdout.strip()

    def say(self, text: str) -> None:
        """Print a line below the step's title, and into its log."""
        self.clear()
        print(f"        {text}", flush=True)
        with self.log.open("a") as log:
            log.write(f"# {text}\n")

    def clear(self) -> None:
        """Take the sign of life off a terminal."""
        if self._shown:
            print("\r\033[K", end="", flush=True)
            self._shown = False

    def _wait(self, program: subprocess.Popen[bytes], timeout: float | None) -> int:
        begun = time.monotonic()
        terminal = sys.stdout.isatty()
        while True:
            try:
                return program.wait(TERMINAL_PERIOD if terminal else PLAIN_PERIOD if timeout is None else 1.0)
            except subprocess.TimeoutExpired:
                if timeout is not None and time.monotonic() - begun > timeout:
                    raise StepError(f"{self.log.stem} took longer than {duration(timeout)}.", self.log) from None
                if terminal or timeout is None:
                    self._alive(terminal=terminal)

    def _alive(self, *, terminal: bool) -> None:
        text = f"        {duration(time.monotonic() - self.started)}  {last_line(self.log)}"
        if terminal:
            print(f"\r\033[K{text[: shutil.get_terminal_size().columns - 1]}", end="", flush=True)
            self._shown = True
        else:
            print(text[:160], flush=True)


def succeeds(*argv: str | Path, timeout: float = 60) -> bool:
    """Tell whether a short program ends with exit code 0."""
    return answer(*argv, timeout=timeout) is not None


def answer(*argv: str | Path, timeout: float = 60) -> str | None:
    """Return what a short program prints, or None where it fails, is not there, or takes too long."""
    try:
        done = subprocess.run(
            [str(part) for part in argv],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _end(program: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(program.pid, signal.SIGTERM)
        try:
            program.wait(GRACE)
        except subprocess.TimeoutExpired:
            os.killpg(program.pid, signal.SIGKILL)
            program.wait()
