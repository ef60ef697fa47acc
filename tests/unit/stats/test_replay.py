"""What docs/statistics shows runs as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

DOCS = Path(__file__).parents[3] / "docs" / "statistics"
EDGES = (0.05, 0.15, 0.5)


def replay(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the script as a person would."""
    return subprocess.run(
        [sys.executable, str(DOCS / "replay.py"), *arguments], check=False, capture_output=True, text=True
    )


def errors(path: Path, looks: int, shares: tuple[float, float], seed: int) -> str:
    """A file of error counts."""
    rng = np.random.default_rng(seed)
    totals = rng.poisson((1425, 75), (looks, 2))
    bads = rng.binomial(totals, shares)
    rows = [f"{a},{b},{c},{d}" for (a, c), (b, d) in zip(totals.tolist(), bads.tolist(), strict=True)]
    path.write_text("\n".join(["n_c,e_c,n_t,e_t", *rows]))
    return str(path)


def latencies(path: Path, looks: int, scale: float, seed: int) -> str:
    """A file of cumulative bucket counts."""
    rng = np.random.default_rng(seed)
    rows = ["n_c,n_t," + ",".join(f"{arm}_{edge:g}" for arm in "ct" for edge in EDGES)]
    for _ in range(looks):
        fast = [
            np.searchsorted(np.sort(0.045 * factor * np.exp(0.55 * rng.normal(size=n))), EDGES).tolist()
            for n, factor in ((1425, 1.0), (75, scale))
        ]
        rows.append(",".join(str(count) for count in (1425, 75, *fast[0], *fast[1])))
    path.write_text("\n".join(rows))
    return str(path)


@pytest.mark.parametrize("kind", ["errors", "latency"])
def test_replay_finds_a_fault_and_leaves_health_alone(tmp_path: Path, kind: str) -> None:
    """With a day of history: exit code 1 and a reason for a fault, 0 and Healthy without one."""
    if kind == "errors":
        old = errors(tmp_path / "old.csv", 2880, (0.003, 0.003), 1)
        good = errors(tmp_path / "good.csv", 120, (0.003, 0.003), 2)
        bad = errors(tmp_path / "bad.csv", 120, (0.003, 0.03), 3)
    else:
        old = latencies(tmp_path / "old.csv", 2880, 1.0, 1)
        good = latencies(tmp_path / "good.csv", 120, 1.0, 2)
        bad = latencies(tmp_path / "bad.csv", 120, 1.5, 3)
    found = replay(good, "--history", old)
    assert (found.returncode, found.stderr) == (0, "")
    assert len(found.stdout.splitlines()) == 120
    assert "\tHealthy\t" in found.stdout.splitlines()[-1]
    found = replay(bad, "--history", old)
    assert (found.returncode, found.stderr) == (1, "")
    assert "\tFailing\tworseThanControl\t" in found.stdout.splitlines()[-1]
    assert len(found.stdout.splitlines()) < len(replay(bad).stdout.splitlines()) + 1


def test_the_example_runs() -> None:
    """The Python of the page is Python, and it ends with a rollback."""
    code = re.findall(r"```python\n(.*?)```", (DOCS / "README.md").read_text(), re.DOTALL)
    assert len(code) == 1
    found = subprocess.run([sys.executable, "-c", code[0]], check=True, capture_output=True, text=True)
    assert found.stdout.splitlines()[-1].startswith("Failing worseThanControl canary fails ")
