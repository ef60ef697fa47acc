"""The reference page is the CRD's."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_reference_is_current() -> None:
    """`docs/reference.md` is what `docs/generate_reference.py` makes of the CRD now."""
    command = [sys.executable, str(ROOT / "docs/generate_reference.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
