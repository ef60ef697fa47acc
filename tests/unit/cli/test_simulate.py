"""`serin simulate`: its exit codes are for scripts, its sentences for people."""

from pathlib import Path

import pytest

from serin.cli.main import main

GOOD = """
apiVersion: serin.dev/v1alpha1
kind: CanaryExperiment
metadata: {name: x}
spec:
  services:
  - {name: a, control: {deployment: a}, canary: {deployment: b}}
  stages: [{name: canary, weight: 10, duration: 2m}]
  promotion: {bake: 1m}
  analysis: {interval: 10s, minRequests: 50}
"""


@pytest.fixture
def experiment(tmp_path: Path) -> str:
    """A file with an experiment of a few minutes."""
    path = tmp_path / "x.yaml"
    path.write_text(GOOD)
    return str(path)


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        ([], 0, "Succeeded"),
        (["--errors", "10%"], 3, "RolledBack"),
        (["--latency", "100ms"], 3, "RolledBack"),
        (["--outage", "60s", "30d"], 4, "Holding"),
    ],
)
def test_exit_codes(
    experiment: str, capsys: pytest.CaptureFixture[str], options: list[str], code: int, says: str
) -> None:
    """0 promoted, 3 rolled back, 4 neither."""
    assert main(["simulate", "-f", experiment, *options]) == code
    assert says in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("kind: Pod", "no CanaryExperiment"),
        (GOOD.replace("weight: 10", "weight: 101"), "spec.stages[0].weight"),
        (GOOD.replace("2m", "2x"), "30s, 1h30m"),
        ("a: [", "can't be read"),
    ],
)
def test_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, says: str) -> None:
    """2, and a sentence that names the field and says what to write."""
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    assert main(["simulate", "-f", str(path)]) == 2
    assert says in capsys.readouterr().err
