"""What the scripts that write a page of the documentation share."""
# ruff: noqa: INP001 - beside the scripts, not a package

import sys
from pathlib import Path


def write_or_check(page: Path, text: str, arguments: list[str], otherwise: str) -> int:
    """Write the page, or with `--check` compare it; return the exit code.

    Args:
        page: the file.
        text: what it should say.
        arguments: of the command line.
        otherwise: the sentence for a page that says something else.
    """
    if arguments == ["--check"]:
        current = page.exists() and page.read_text() == text
        if not current:
            sys.stderr.write(f"{otherwise}\n")
        return 0 if current else 1
    page.write_text(text)
    return 0
