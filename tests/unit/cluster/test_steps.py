"""A step must be done once for the same inputs, again for others, and never be half done: a cold start rests on it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.cluster import steps
from tests.cluster.places import REPOSITORY, Places
from tests.cluster.shell import Shell, StepError
from tests.cluster.steps import Step, digest, note_timing, only_one, run_steps, timings, write

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """Give each test a cache of its own."""
    return Places(tmp_path / "cache")


def make(output: Path, name: str = "copy") -> Step:
    """Return a step whose output is a file."""
    return Step(name, "writes a file", 1, output.exists, lambda shell: shell.run("touch", output))


def test_a_step_runs_once(tmp_path: Path, places: Places, capsys: pytest.CaptureFixture[str]) -> None:
    """A step whose output is there is neither run nor mentioned."""
    step = make(tmp_path / "output")
    assert run_steps([step], places) == 1
    assert "copy: writes a file (usually 1s)" in capsys.readouterr().out
    assert run_steps([step], places) == 0
    assert capsys.readouterr().out == ""


def test_steps_before_a_failure_keep_their_output(tmp_path: Path, places: Places) -> None:
    """After a failure the same steps go on where it happened."""
    first = make(tmp_path / "first", "first")
    failing = Step("failing", "fails", 1, lambda: False, lambda shell: shell.run("sh", "-c", "echo broken; exit 3"))
    with pytest.raises(StepError, match="exit code 3") as caught:
        run_steps([first, failing], places)
    assert first.done()
    assert caught.value.log is not None
    assert "broken" in caught.value.log.read_text()


def test_a_step_without_its_output_has_failed(places: Places) -> None:
    """A step that ends without its output is an error, not a success."""
    with pytest.raises(StepError, match="its output is not there"):
        run_steps([Step("idle", "does nothing", 1, lambda: False, lambda _: None)], places)


def test_timings_keep_the_last_ten(places: Places) -> None:
    """Each run of a step is noted, the newest last, ten at most, and a broken file is no obstacle."""
    places.cache.mkdir()
    places.timings.write_text("{not json")
    for second in range(12):
        note_timing(places, "step", second)
    assert timings(places)["step"] == [float(n) for n in range(2, 12)]
    assert json.loads(places.timings.read_text())


@pytest.mark.parametrize(
    ("one", "other"),
    [(("ab", "c"), ("a", "bc")), (("a",), (b"a", "")), (("a", "b"), ("b", "a"))],
)
def test_keys_differ_with_the_parts(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    """Where one part ends and the next begins is part of the key."""
    assert digest(*one) != digest(*other)
    assert digest(*one) == digest(*one)


def test_a_folder_counts_with_names_content_and_mode(tmp_path: Path) -> None:
    """A file's content, name and executable bit change a folder's key; its time does not."""
    file = tmp_path / "folder" / "file"
    write(file, "text")
    key = digest(tmp_path / "folder")
    write(file, "text")
    assert digest(tmp_path / "folder") == key
    file.chmod(0o755)
    executable = digest(tmp_path / "folder")
    write(file, "other")
    changed = digest(tmp_path / "folder")
    file.rename(file.with_name("renamed"))
    assert len({key, executable, changed, digest(tmp_path / "folder")}) == 4


def test_two_at_once_are_refused_with_a_sentence(places: Places) -> None:
    """The second command names the first and its process."""
    with (
        only_one(places, "up"),
        pytest.raises(StepError, match=r"`up` \(process \d+\) is at work"),
        only_one(places, "down"),
    ):
        pytest.fail("the lock was given twice")
    with only_one(places, "down"):
        pass


def test_a_killed_holder_leaves_no_lock(places: Places) -> None:
    """A command that was killed doesn't keep the next one out."""
    program = f"""
import os, pathlib, signal
from tests.cluster import places, steps
with steps.only_one(places.Places(pathlib.Path({str(places.cache)!r})), "up"):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, check=False).returncode == -9
    with only_one(places, "up"):
        assert places.lock.exists()


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    """Nothing is left beside a written file."""
    write(tmp_path / "deep" / "file", "text")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["file"]
    assert steps.read(tmp_path / "absent") == ""


def test_a_program_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    """A timeout ends the program and its children, and says so."""
    shell = Shell(tmp_path / "slow.log")
    with pytest.raises(StepError, match="slow took longer than 1s"):
        shell.run("sh", "-c", f"(sleep 3; touch {tmp_path}/late) & wait", timeout=1)
    assert not (tmp_path / "late").exists()
