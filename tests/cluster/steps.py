"""What a step is: work that is done once for the same inputs, that can be interrupted, and that says what it does.

A cold start is some twenty steps and ten minutes or more. Each step knows the key of its inputs and how to see whether
its output is there, so running everything again is always right and costs only what is missing.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster.shell import Shell, StepError, duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tests.cluster.places import Places

KEPT_TIMINGS = 10


@dataclass(frozen=True)
class Step:
    """One piece of work.

    Attributes:
        name: a word for logs and timings.
        does: what it does, in a few words, for the person who waits.
        usual: the seconds that it usually takes on two cores.
        done: whether its output is there, made from the present inputs.
        run: the work. It must leave either the whole output or none.
    """

    name: str
    does: str
    usual: float
    done: Callable[[], bool]
    run: Callable[[Shell], None]


def digest(*parts: str | bytes | Path) -> str:
    """Return a short key of strings, bytes, files and folders; a file counts with its content, not with its time.

    A part's kind and length go into the key too, so that ("ab", "c") and ("a", "bc") differ.
    """
    total = hashlib.sha256()

    def add(kind: str, name: str, content: bytes) -> None:
        total.update(f"{kind}:{name}:{len(content)}:".encode())
        total.update(content)

    for part in parts:
        if isinstance(part, Path):
            files = sorted(p for p in part.rglob("*") if p.is_file()) if part.is_dir() else [part]
            for path in files:
                name = path.relative_to(part).as_posix() if part.is_dir() else path.name
                mode = "executable" if os.access(path, os.X_OK) else "file"
                add(mode, name, path.read_bytes())
        else:
            add("text", "", part.encode() if isinstance(part, str) else part)
    return total.hexdigest()[:16]


def run_steps(steps: Sequence[Step], places: Places) -> int:
    """Do the steps that are not done, in their order; return how many that were.

    Raises:
        StepError: a step failed. Those before it keep their output.
    """
    ran = 0
    for number, step in enumerate(steps, 1):
        if step.done():
            continue
        ran += 1
        print(f"[{number:>2}/{len(steps)}] {step.name}: {step.does} (usually {duration(step.usual)})", flush=True)
        run_step(step, places)
    return ran


def run_step(step: Step, places: Places) -> None:
    """Do one step, with a fresh log, and note how long it took."""
    places.logs.mkdir(parents=True, exist_ok=True)
    log = places.logs / f"{step.name}.log"
    log.write_text("")
    shell = Shell(log)
    step.run(shell)
    took = time.monotonic() - shell.started
    if not step.done():
        raise StepError(f"{step.name} ran to its end, and yet its output is not there.", log)
    note_timing(places, step.name, took)
    print(f"        done in {duration(took)}", flush=True)


def note_timing(places: Places, name: str, seconds: float) -> None:
    """Remember how long something took; the newest is last."""
    known = timings(places)
    known[name] = [*known.get(name, []), round(seconds, 1)][-KEPT_TIMINGS:]
    write(places.timings, json.dumps(known, indent=1) + "\n")


def timings(places: Places) -> dict[str, list[float]]:
    """Return the seconds that each step took, the last times that it ran."""
    try:
        known: dict[str, list[float]] = json.loads(places.timings.read_text())
    except (OSError, ValueError):
        return {}
    return known


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text)
    beside.replace(path)


def read(path: Path) -> str:
    """Return a file's text, or nothing where there is no file."""
    try:
        return path.read_text()
    except OSError:
        return ""


@contextlib.contextmanager
def only_one(places: Places, command: str) -> Iterator[None]:
    """Hold the lock while something is changed.

    The kernel gives the lock back when its holder ends in whichever way, so there is no stale lock to clean up.

    Raises:
        StepError: somebody else holds it.
    """
    places.cache.mkdir(parents=True, exist_ok=True)
    with places.lock.open("a+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.seek(0)
            holder = stream.read().strip() or "another command"
            raise StepError(f"{holder} is at work on {places.cache}; wait for it to end, or stop it.") from None
        stream.truncate(0)
        stream.write(f"`{command}` (process {os.getpid()})")
        stream.flush()
        yield


def names(steps: Iterable[Step]) -> list[str]:
    """Return the steps' names in order."""
    return [step.name for step in steps]
