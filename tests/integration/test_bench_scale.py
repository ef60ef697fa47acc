"""The bench of scale still runs: everything starts, five experiments are counted, a bad canary loses its traffic."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.places import REPOSITORY


@pytest.mark.timeout(400)
def test_five_experiments(tmp_path: Path) -> None:
    """A few seconds of each part; the figures are there, nothing is written while nothing changes, nothing is left."""
    found = tmp_path / "found.json"
    command = [sys.executable, "-m", "tests.bench.scale", "--sizes", "5", "--interval", "5s", "--scrape", "2s"]
    command += ["--duration", "12s", "--spoilt", "1", "--json", str(found)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=350, check=False)
    assert done.returncode in {0, 1}, done.stderr[-3000:]
    (size,) = json.loads(found.read_text())["sizes"]
    assert size["experiments"] == 5
    assert size["looks"] >= 5
    assert size["api"]["writes_per_idle_look"] == 0
    assert size["prometheus_queries"] > 0
    assert size["rss_mib"]["operator"] > 20
    assert all(seconds is not None and seconds > 0 for seconds in size["errors_to_weight_0"])
    assert "Traceback" not in done.stderr
