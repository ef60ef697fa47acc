"""What `serin simulate` prints: a reader of a policy asks whether it finds a fault, and how soon."""

from pathlib import Path

import pytest

from serin.cli.main import main

TWO = """
apiVersion: v1
kind: ConfigMap
---
apiVersion: serin.dev/v1alpha1
kind: CanaryExperiment
metadata: {name: x}
spec:
  services:
  - {name: a, control: {deployment: a}, canary: {deployment: a-next}}
  - {name: b, control: {deployment: b}, canary: {deployment: b-next}}
  stages: [{name: canary, weight: 10, duration: 2m}]
  promotion: {bake: 1m}
  analysis: {interval: 10s, minRequests: 50}
"""


@pytest.fixture
def experiment(tmp_path: Path) -> str:
    """A file with an experiment over two services, behind another object."""
    path = tmp_path / "x.yaml"
    path.write_text(TWO)
    return str(path)


def test_says_how_soon_a_fault_was_found(experiment: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The last line has the end, the time, and the delay from the fault's begin; the table has the verdict."""
    assert main(["simulate", "-f", experiment, "--errors", "20%", "--from", "60s", "--service", "b"]) == 3
    out = capsys.readouterr().out
    last = out.rstrip().splitlines()[-1]
    assert last.startswith("RolledBack after ")
    assert "after the fault began" in last
    failing = [line for line in out.splitlines() if "Failing" in line and line.startswith(("a ", "b "))]
    assert [line.split()[0] for line in failing] == ["b"]


def test_same_seed_same_answer(experiment: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A simulation can be repeated to the letter; another seed is another history."""
    outs = []
    for seed in ("3", "3", "4"):
        main(["simulate", "-f", experiment, "--errors", "20%", "--seed", seed])
        outs.append(capsys.readouterr().out)
    assert outs[0] == outs[1]
    assert outs[0] != outs[2]


def test_control_suffers_too(experiment: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Errors of both variants are nobody's fault: promoted."""
    assert main(["simulate", "-f", experiment, "--base-errors", "5%"]) == 0
    assert "Succeeded" in capsys.readouterr().out


def test_too_little_traffic_never_promotes(experiment: str, capsys: pytest.CaptureFixture[str]) -> None:
    """4: with next to no requests there is no verdict, and the sentence says what it waits for."""
    assert main(["simulate", "-f", experiment, "--rps", "0.001"]) == 4
    assert "InsufficientTraffic" in capsys.readouterr().out


def test_long_stages_are_looked_at_in_larger_steps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two weeks take seconds, and the output says that looks were merged."""
    path = tmp_path / "long.yaml"
    path.write_text(TWO.replace("duration: 2m", "duration: 2d"))
    assert main(["simulate", "-f", str(path), "--errors", "50%"]) == 3
    assert "instead of 10s" in capsys.readouterr().out


def test_unknown_service_of_a_fault(experiment: str, capsys: pytest.CaptureFixture[str]) -> None:
    """2: a fault of a service that the experiment doesn't have would find nothing, and look like good news."""
    assert main(["simulate", "-f", experiment, "--errors", "20%", "--service", "c"]) == 2
    assert "a, b" in capsys.readouterr().err


def test_missing_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """2, with the path."""
    assert main(["simulate", "-f", str(tmp_path / "none.yaml")]) == 2
    assert "none.yaml can't be read" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["simulate"], ["simulate", "-f", "x", "--errors", "lots"], ["fly"]])
def test_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """2 for a command line that can't be read, as argparse says it."""
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage: serin" in capsys.readouterr().err
