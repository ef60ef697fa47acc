"""`serin plan`: what a stage can find, how long harm would live, and exit codes that scripts can use."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from serin.api.spec import parse_spec
from serin.cli.main import main
from serin.cli.plan_delay import FAULTS, Delay, Fault, delay
from serin.cli.plan_figures import ServiceFigures
from serin.engine.generated import EDGES

ROUTE = {"type": "HTTPRoute", "httpRoute": {"name": "shop"}}
SERVICE = {"name": "a", "control": {"deployment": "a"}, "canary": {"deployment": "b"}, "traffic": ROUTE}
GOAL = {"name": "satisfaction", "minimumEffect": 0.1}
TRAFFIC = ("--offline", "--requests-per-second", "50", "--users-per-day", "500", "--sd", "1.4", "--runs", "10")
LOW = tuple(min(1.0, 0.02 + 0.11 * index) for index in range(len(EDGES)))


def written(folder: Path, **changes: Any) -> str:
    """Return the path of an experiment in a file."""
    stages = [
        {"name": "canary", "weight": 5, "duration": "24h"},
        {"name": "ab", "weight": 50, "duration": "14d", "minSamples": 3500},
    ]
    spec = {"services": [SERVICE], "stages": stages, "goals": [GOAL], **changes}
    path = folder / "experiment.yaml"
    path.write_text(yaml.safe_dump({"kind": "CanaryExperiment", "metadata": {"namespace": "shop"}, "spec": spec}))
    return str(path)


def planned(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    """Return the exit code and the plan as a program reads it."""
    code = main(["plan", *arguments, "--output", "json"])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return code, found


def test_the_reference_case(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """3,500 of each variant at 250 a day and variant: 14 days, and 0.0686 standard deviations with 14 looks."""
    code, plan = planned(capsys, "-f", written(tmp_path), *TRAFFIC)
    assert code == 0
    assert plan["warnings"] == []
    goal = plan["goals"][0]
    assert (goal["stageUsers"], goal["days"], goal["minSamples"], plan["looks"]) == (3500, 14, 3500, 14)
    assert goal["smallestSd"] == pytest.approx(0.0686, abs=1e-4)
    assert goal["smallest"] == pytest.approx(1.4 * goal["smallestSd"])
    # 16 sigma^2 / delta^2 is the rule of thumb: 3,136; here with the looks' five per cent.
    assert goal["need"] == pytest.approx(3136, rel=0.05)


def test_a_stage_that_is_too_short(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """5: thirteen days bring 3,250 users, and the warnings say what to change."""
    stages = [{"name": "ab", "weight": 50, "duration": "13d", "minSamples": 3500}]
    code, plan = planned(capsys, "-f", written(tmp_path, stages=stages), *TRAFFIC)
    assert code == 5
    assert "satisfaction: needs 14 days, the stage has 13, which brings 3,250 users" in " ".join(plan["warnings"])
    assert "write duration: 14d" in " ".join(plan["warnings"])


@pytest.mark.parametrize(
    ("changes", "more", "words"),
    [
        ({"goals": [{"name": "g", "minimumEffect": 0.05}]}, (), "but minSamples is 3,500"),
        ({"goals": [{"name": "g", "minimumEffect": 0.2, "promoteOn": "Superior"}]}, (), "in half of the cases only"),
        ({"services": [{**SERVICE, "traffic": {"type": "Replicas"}}]}, (), "split by a route with sticky users"),
        ({"analysis": {"minRequests": 1_000_000}}, (), "minRequests is 1,000,000: it waits for more"),
        ({}, ("--requests-per-second", "0.001"), "errors x2 would be missed in stage canary"),
        ({}, ("--users-per-day", "10"), "the stage has 14, which brings 70 users"),
    ],
)
def test_warnings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: Any, more: tuple[str, ...], words: str
) -> None:
    """Each way in which a plan can't answer its question has a sentence, and exit code 5."""
    code, plan = planned(capsys, "-f", written(tmp_path, **changes), *TRAFFIC, *more)
    assert code == 5
    assert words in " ".join(plan["warnings"])


def test_what_is_not_known_is_not_guessed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without the spread of the values there is an effect in standard deviations and no number of users."""
    code, plan = planned(capsys, "-f", written(tmp_path), "--offline", "--users-per-day", "500", "--runs", "2")
    assert code == 5
    goal = plan["goals"][0]
    assert (goal["need"], goal["smallest"]) == (None, None)
    assert goal["smallestSd"] > 0
    assert [each["medianSeconds"] for each in plan["delays"]] == [None] * 6
    assert "give --sd satisfaction=..." in " ".join(plan["warnings"])
    assert "a: requests per second are not known" in " ".join(plan["warnings"])


@pytest.mark.parametrize(
    ("changes", "arguments", "words"),
    [
        ({}, ("--offline",), "give --requests-per-second and --users-per-day"),
        ({"goals": [{"name": "g"}]}, TRAFFIC, "promoteOn NonInferior needs minimumEffect"),
        ({"goals": [{"name": "g", "minimumEffect": -1}]}, TRAFFIC, "write its size"),
        ({"stages": [{"name": "s", "weight": 5, "duration": "long"}]}, TRAFFIC, "is not a duration"),
        ({}, (*TRAFFIC, "--p95", "10ms"), "--p95 must be longer"),
        ({}, (*TRAFFIC, "--sd", "other=1"), "no such goal"),
        ({}, (*TRAFFIC, "--prometheus", "nowhere"), "write it like http://"),
    ],
)
def test_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: Any, arguments: tuple[str, ...], words: str
) -> None:
    """2, with a sentence that says what to write instead."""
    assert main(["plan", "-f", written(tmp_path, **changes), *arguments]) == 2
    assert words in capsys.readouterr().err


def test_nobody_at_the_address(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A laptop does not reach the cluster's Prometheus: said, and the given traffic is used."""
    arguments = ("--prometheus", "http://127.0.0.1:1", "--requests-per-second", "50", "--users-per-day", "500")
    code, plan = planned(capsys, "-f", written(tmp_path), *arguments, "--runs", "2")
    assert code == 5
    assert "--prometheus names another address" in plan["notes"][0]
    assert plan["traffic"]["a"]["requestsPerSecond"] == 50


def test_the_same_seed_gives_the_same_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """To the letter; another seed is another set of experiments."""
    path = written(tmp_path)
    plans = [planned(capsys, "-f", path, *TRAFFIC, "--seed", seed)[1] for seed in ("3", "3", "4")]
    assert plans[0] == plans[1]
    assert plans[0]["delays"] != plans[2]["delays"]


def test_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """People see needs, days and delays; without a terminal there is no colour and no progress bar."""
    assert main(["plan", "-f", written(tmp_path), *TRAFFIC]) == 0
    out = capsys.readouterr()
    assert "NEEDS/VARIANT" in out.out
    assert "3,500 users" in out.out
    assert "errors x5" in out.out
    assert "\x1b" not in out.out + out.err
    assert out.out.rstrip().endswith("the plan can answer its questions")


def figures(rate: float) -> ServiceFigures:
    """Return a service at so many requests a second, 0.2 % of which fail."""
    return ServiceFigures(rate, 0.002, EDGES, LOW, "test")


def found(weight: int, rate: float, fault: Fault, duration: str = "6h", **analysis: Any) -> Delay:
    """Return the delay in a single stage."""
    stages = [{"name": "s", "weight": weight, "duration": duration}]
    each = delay(
        parse_spec({"services": [SERVICE], "stages": stages, "analysis": analysis}),
        figures(rate),
        0,
        fault,
        runs=20,
        seed=2,
    )
    assert each is not None
    return each


def test_delays_follow_the_fault_and_the_traffic() -> None:
    """More harm and more traffic are found sooner, and whoever is healthy is left alone."""
    twice, five = found(5, 100, FAULTS[0]), found(5, 100, FAULTS[1])
    assert five.median is not None
    assert twice.median is None or five.median < twice.median
    more = found(5, 1000, FAULTS[1])
    assert more.median is not None
    assert more.median < five.median
    assert more.late is not None
    assert more.late >= more.median
    assert found(50, 100, Fault("none")).found <= 1


def test_latency_needs_the_edge_that_is_judged() -> None:
    """A histogram without the edge that `max` needs gives no delay, and no guess."""
    spec = parse_spec({"services": [SERVICE]})
    without = ServiceFigures(50, 0.002, (0.1, 0.2), (0.5, 0.9), "test")
    assert delay(spec, without, 0, FAULTS[2], runs=2, seed=1) is None
    assert delay(spec, ServiceFigures(None, 0.0, EDGES, LOW, ""), 0, FAULTS[0], runs=2, seed=1) is None


def test_merged_looks_give_the_same_delay() -> None:
    """Looks that grow with the delay change it by no more than they are long."""
    short = found(50, 50, FAULTS[1], interval="10s")
    long = found(50, 50, FAULTS[1], interval="60s")
    assert short.median is not None
    assert long.median is not None
    assert long.median == pytest.approx(short.median, rel=0.5)
