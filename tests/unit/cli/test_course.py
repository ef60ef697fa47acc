"""The course of a simulation, as blocks on a terminal and as a picture."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serin.api.status import GuardrailStatus, Phase, ServiceStatus, Status
from serin.cli.course import Course, blocks, multiple
from serin.cli.main import main


def status(weight: int, evidence: str) -> Status:
    """A status with one judged guardrail."""
    guardrail = GuardrailStatus(name="errorRate", verdict="Healthy", summary="", evidence=evidence)
    services = (ServiceStatus(name="a", guardrails=(guardrail,)),)
    return Status(phase=Phase.PROGRESSING, weight=weight, services=services)


@pytest.mark.parametrize(("text", "value"), [("0.00033", 0.00033), ("31", 31.0), ("over 9,999", 9999.0)])
def test_the_number_of_an_evidence(text: str, value: float) -> None:
    """As the status writes it."""
    assert multiple(text) == value


def test_blocks() -> None:
    """Nothing is a space, all is a full block, and what is above is not more."""
    assert blocks([0.0, 0.01, 0.5, 1.0, 2.0]) == " ▁▅██"


def test_weight_and_evidence_over_time() -> None:
    """A step of the weight is where it was, and evidence reaches the full block when it decides."""
    course = Course()
    for at, weight, evidence in ((0, 0, ""), (50, 50, "0.0001"), (100, 50, "0.01"), (150, 50, "1"), (200, 0, "12")):
        course.note(at, status(weight, evidence))
    assert course.lines(5) == [("weight", " ▅▅▅ "), ("a errorRate", "  ▅██")]


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50), st.integers(1, 80))
def test_any_course_fits(gaps: list[float], width: int) -> None:
    """Whatever the times, each line is as wide as asked, and no part of the time is left blank."""
    course, at = Course(), 0.0
    for gap in gaps:
        at += gap
        course.note(at, status(100, "1"))
    assert [line for _, line in course.lines(width)] == ["█" * width] * 2


def test_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """SVG by the file's name, with the guardrails and the end in it."""
    path = tmp_path / "x.yaml"
    path.write_text(
        "kind: CanaryExperiment\nspec: {services: [{name: a, control: {deployment: a}, canary: {deployment: b}}],"
        " stages: [{name: canary, weight: 10, duration: 2m}], promotion: {bake: 1m},"
        " analysis: {interval: 10s, minRequests: 50}}"
    )
    picture = tmp_path / "x.svg"
    faults = ["--fault", "errors=20%,from=60s", "--fault", "errors=1%,from=10s,until=30s,on=both"]
    assert main(["simulate", "-f", str(path), *faults, "--picture", str(picture)]) == 3
    text = picture.read_text()
    assert "a errorRate" in text
    assert "RolledBack after" in text
    assert "after the fault began" in capsys.readouterr().out
    assert main(["simulate", "-f", str(path), "--picture", str(tmp_path / "x.doc")]) == 2
    assert "x.doc can't be written" in capsys.readouterr().err
