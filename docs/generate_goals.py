"""Writes the plan in docs/goals.md from the command that stands above it, so that its numbers are today's.

python docs/generate_goals.py            writes it
python docs/generate_goals.py --check    exits 1 when the command prints something else
"""
# ruff: noqa: INP001 - a script, not a package

import os
import shlex
import subprocess
import sys
from pathlib import Path

from pages import write_or_check

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/goals.md"
BEGIN, END = "$ serin plan ", "\n```"
WIDTH = "110"


def page(text: str) -> str:
    """Return the page with what its command prints now."""
    start = text.index(BEGIN)
    end = text.index(END, start)
    block = text[start:end].split("\n")
    last = next(index for index, line in enumerate(block) if not line.endswith("\\"))
    command = block[: last + 1]
    words = shlex.split(" ".join(line.removesuffix("\\") for line in command).removeprefix("$ serin"))
    environment = {**os.environ, "COLUMNS": WIDTH, "PYTHONPATH": str(ROOT / "operator")}
    done = subprocess.run(  # noqa: S603 - this repository's own command
        [sys.executable, "-m", "serin.cli.main", *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    printed = "\n".join(line.rstrip() for line in done.stdout.rstrip().splitlines())
    return text[:start] + "\n".join(command) + "\n" + printed + text[end:]


def main(arguments: list[str]) -> int:
    """Write the page, or with `--check` compare it; return the exit code."""
    otherwise = "docs/goals.md shows another plan: run python docs/generate_goals.py"
    return write_or_check(PAGE, page(PAGE.read_text()), arguments, otherwise)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
