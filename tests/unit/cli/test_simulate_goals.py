"""`serin simulate` with goals: would this experiment find out what users think of the new version?"""

from pathlib import Path

import pytest
import yaml

from serin.cli.main import main

SERVICE = {"name": "a", "control": {"deployment": "a"}, "canary": {"deployment": "b"}}


@pytest.fixture
def experiment(tmp_path: Path) -> str:
    """A file with an experiment that asks for no loss of 0.2."""
    spec = {
        "services": [SERVICE],
        "stages": [{"name": "ab", "weight": 50, "duration": "5d", "minSamples": 500}],
        "promotion": {"bake": "1h"},
        "analysis": {"interval": "10m"},
        "goals": [{"name": "satisfaction", "minimumEffect": 0.2}],
    }
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump({"kind": "CanaryExperiment", "spec": spec}))
    return str(path)


@pytest.mark.parametrize(
    ("effect", "code", "words"),
    [("0", 0, "NonInferior"), ("-0.7", 3, "GoalInferior"), ("0.5", 0, "Superior")],
)
def test_effects(experiment: str, capsys: pytest.CaptureFixture[str], effect: str, code: int, words: str) -> None:
    """The exit code is that of the rollout, and the table has the goal with its verdict."""
    assert main(["simulate", "-f", experiment, "--goal", f"satisfaction={effect}"]) == code
    out = capsys.readouterr().out
    assert words in out
    assert "GOAL" in out


def test_too_few_users_never_promote(experiment: str, capsys: pytest.CaptureFixture[str]) -> None:
    """4: ten users a day do not make five hundred in three times the plan."""
    assert main(["simulate", "-f", experiment, "--users-per-day", "10"]) == 4
    assert "goals need 500 users of each variant" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(("given", "words"), [("other=1", "the experiment has satisfaction"), ("satisfaction", "like")])
def test_bad_input(experiment: str, capsys: pytest.CaptureFixture[str], given: str, words: str) -> None:
    """2, with what to write instead."""
    try:
        code = main(["simulate", "-f", experiment, "--goal", given])
    except SystemExit as stopped:
        code = int(str(stopped.code))
    assert code == 2
    assert words in capsys.readouterr().err
