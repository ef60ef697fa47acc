"""`serin plan` with the traffic that a real Prometheus has measured."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from serin.cli.main import main
from tests.integration.metrics.process import BINARIES, prometheus

HOURS = 25
STEP = 60
EDGES = ("0.05", "0.1", "0.15", "0.3", "+Inf")
WITHIN = (0.5, 0.8, 0.96, 1.0, 1.0)


def lines(end: int) -> list[str]:
    """A day of control at 40 requests a second, 0.5 % of which fail; 600 users a day whose values have a sd of 1.5."""
    found = []
    begun = end - HOURS * 3600
    for at in range(begun, end + 1, STEP):
        gone = at - begun
        for pod in ("a", "b"):
            whose = f'namespace="ns",service="shop",variant="control",pod="{pod}"'
            found.append(f'http_requests_total{{{whose},code="200"}} {19.9 * gone:.10g} {at}')
            found.append(f'http_requests_total{{{whose},code="500"}} {0.1 * gone:.10g} {at}')
            for edge, share in zip(EDGES, WITHIN, strict=True):
                found.append(
                    f'http_request_duration_seconds_bucket{{{whose},le="{edge}"}} {20 * share * gone:.10g} {at}'
                )
        users = round(600 * gone / 86_400)
        for variant, count in (("control", users), ("canary", 0)):
            figures = f'namespace="ns",service="shop",pod="a",variant="{variant}",segment="new",goal="satisfaction"'
            found.append(f"serin_goal_users{{{figures}}} {count} {at}")
            found.append(f"serin_goal_sum{{{figures}}} {3 * count} {at}")
            found.append(f"serin_goal_sum_of_squares{{{figures}}} {11.25 * count} {at}")
        found.append(f'serin_goals_age_seconds{{namespace="ns",service="shop",pod="a",variant="control"}} 20 {at}')
    return sorted(found, key=lambda line: line.split(" ")[0])


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus that has scraped for a day."""
    folder = tmp_path_factory.mktemp("plan")
    said = lines(int(time.time()) // 60 * 60 - 60)
    (folder / "history.txt").write_text("\n".join([*said, "# EOF", ""]))
    command = [str(BINARIES / "promtool"), "tsdb", "create-blocks-from", "openmetrics"]
    command += [str(folder / "history.txt"), str(folder / "data")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with prometheus(folder / "data", "scrape_configs: []\n") as found:
        yield found


def planned(
    folder: Path, capsys: pytest.CaptureFixture[str], *arguments: str, name: str = "shop", **spec: Any
) -> dict[str, Any]:
    """Return the plan of an experiment on one service, whose namespace is in the file."""
    service = {"name": name, "control": {"deployment": "shop"}, "canary": {"deployment": "shop-next"}}
    goal = {"name": "satisfaction", "minimumEffect": 0.1}
    body = {
        "kind": "CanaryExperiment",
        "metadata": {"namespace": "ns"},
        "spec": {"services": [service], "goals": [goal], **spec},
    }
    (folder / "x.yaml").write_text(yaml.safe_dump(body))
    main(["plan", "-f", str(folder / "x.yaml"), "--output", "json", "--runs", "5", *arguments])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_measured_traffic(address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Requests, errors, the histogram, new users a day and their spread come from Prometheus: no argument is needed."""
    plan = planned(tmp_path, capsys, "--prometheus", address)
    assert plan["notes"] == []
    traffic = plan["traffic"]["shop"]
    assert traffic["requestsPerSecond"] == pytest.approx(40, rel=0.01)
    assert traffic["errors"] == pytest.approx(0.005, rel=0.01)
    assert traffic["source"] == "measured over 24 h"
    assert traffic["noise"].startswith("from 24h") or traffic["noise"].startswith("from 23")
    calm = {each["fault"]: each["medianSeconds"] for each in plan["delays"] if each["stage"] == "canary"}
    assumed = planned(tmp_path, capsys, "--offline", "--requests-per-second", "40", "--errors", "0.5%")
    blind = {each["fault"]: each["medianSeconds"] for each in assumed["delays"] if each["stage"] == "canary"}
    assert calm["errors x5"] < blind["errors x5"], "a calm history finds harm sooner"
    goal = plan["goals"][0]
    assert goal["stageUsers"] == pytest.approx(300 * 13, abs=10)
    assert goal["smallest"] == pytest.approx(1.5 * goal["smallestSd"], rel=0.01)
    assert all(each["medianSeconds"] is not None for each in plan["delays"] if each["fault"] != "errors x2")


def test_the_command_line_comes_first(address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was given is not asked for: the traffic of the next campaign, not that of yesterday."""
    plan = planned(tmp_path, capsys, "--prometheus", address, "--requests-per-second", "7", "--users-per-day", "1000")
    assert plan["traffic"]["shop"]["requestsPerSecond"] == 7
    assert plan["goals"][0]["stageUsers"] == 6500


def test_nothing_measured(address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A service that Prometheus does not know is said, and its figures are unknown."""
    given = ("--prometheus", address, "--users-per-day", "500")
    plan = planned(tmp_path, capsys, *given, name="nobody")
    assert plan["notes"] == ["nobody: Prometheus has no requests of control in namespace ns"]
    assert plan["traffic"]["nobody"]["requestsPerSecond"] is None


def test_what_the_operator_alone_reads(address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A route's places and Secrets are the cluster's, and the plan says so; another address is asked without them."""
    closed = {"prometheus": {"address": address, "bearerTokenFrom": {"name": "s", "key": "k"}}}
    (note,) = planned(tmp_path, capsys, "--users-per-day", "500", **closed)["notes"]
    assert "Secret ns/s is read by the operator alone, in the cluster; --prometheus names another" in note
    assert planned(tmp_path, capsys, "--prometheus", address, **closed)["notes"] == []
    (note,) = planned(tmp_path, capsys, "--prometheus", address, metrics={"preset": "EnvoyGateway"})["notes"]
    assert (
        note
        == "shop: metrics.preset EnvoyGateway goes by the route, which the operator reads: give --requests-per-second"
    )
