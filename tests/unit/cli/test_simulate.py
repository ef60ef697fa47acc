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


def test_a_route_that_splits_otherwise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """4, held in the first stage; the table has what was observed and intended. Users who stay are no such thing."""
    path = tmp_path / "routed.yaml"
    path.write_text(
        GOOD.replace(
            "canary: {deployment: b}}", "canary: {deployment: b}, traffic: {type: HTTPRoute, httpRoute: {name: a}}}"
        )
    )
    assert main(["simulate", "-f", str(path), "--rps", "500", "--fault", "split=90%"]) == 4
    out = capsys.readouterr().out
    assert "SampleRatioMismatch" in out
    assert "a sample ratio" in out
    (row,) = [line.split() for line in out.splitlines() if line.startswith("a ") and " requests " in line]
    assert row[2] == "10%"
    assert main(["simulate", "-f", str(path), "--rps", "500", "--sticky-users", "1000"]) == 0


def test_a_split_of_pods_is_not_tested(experiment: str, capsys: pytest.CaptureFixture[str]) -> None:
    """2: a fault that nothing could find would look like good news."""
    assert main(["simulate", "-f", experiment, "--fault", "split=90%"]) == 2
    assert "split by a route" in capsys.readouterr().err


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
