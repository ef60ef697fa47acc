"""Goals read from a real Prometheus: the services' series, the user's queries, and everything that is no reading."""

import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from serin.api.spec import Spec, parse_spec
from serin.engine.observation import GoalReading, MeasurementFailure, Unmeasured
from serin.metrics.goals import check_goals, read_goals
from serin.metrics.source import MetricsSource
from serin.stats.goals import Moments
from tests.integration.metrics.process import BINARIES, prometheus

USERS = {("control", "new"): 30, ("control", "existing"): 70, ("canary", "new"): 20, ("canary", "existing"): 60}
"""Users of each variant and segment in the newest figures."""


def lines(end: int) -> list[str]:
    """Every situation that a reading meets, a service each, in OpenMetrics."""
    found: list[str] = []

    def add(name: str, value: float, **labels: str) -> None:
        said = ",".join(f'{key}="{text}"' for key, text in {"namespace": "ns", **labels}.items())
        found.extend(f"{name}{{{said}}} {value:g} {end - ago}" for ago in (30, 15, 0))

    def pod(service: str, name: str, variant: str, *, age: float, factor: int = 1, goal: str = "satisfaction") -> None:
        """One pod's figures of all users; Prometheus has renamed their own label `variant`."""
        whose = {"service": service, "pod": name, "instance": name, "variant": variant}
        add("serin_goals_age_seconds", age, **whose)
        for (served, segment), users in USERS.items():
            labels = {**whose, "exported_variant": served, "segment": segment, "goal": goal}
            add("serin_goal_users", users * factor, **labels)
            add("serin_goal_sum", 4 * users * factor, **labels)
            add("serin_goal_sum_of_squares", 17 * users * factor, **labels)

    pod("shop", "a", "control", age=50, factor=3)
    pod("shop", "b", "canary", age=20, goal="satisfaction")
    pod("shop", "c", "canary", age=40, factor=2)
    pod("shop", "d", "control", age=30, goal="return_7d")
    pod("old", "a", "control", age=1200)
    for variant, users in (("control", 100), ("shop-next", 80)):
        for part in ("x", "y"):
            labels = {"variant": variant, "part": part}
            add("users", users / 2, **labels)
            add("values", 2 * users, **labels)
            add("squares", 8.5 * users, **labels)
    add("only_control", 5, variant="control")
    add("nobody", 5, variant="somebody")
    return found


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """The address of Prometheus, and the time of the newest figures."""
    folder = tmp_path_factory.mktemp("goals")
    end = int(time.time()) // 60 * 60 - 60
    # The format wants all lines of a series' name together.
    said = sorted(lines(end), key=lambda line: line.split("{")[0])
    (folder / "history.txt").write_text("\n".join([*said, "# EOF", ""]))
    command = [str(BINARIES / "promtool"), "tsdb", "create-blocks-from", "openmetrics"]
    command += [str(folder / "history.txt"), str(folder / "data")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with prometheus(folder / "data", "scrape_configs: []\n") as address:
        yield address, end


def experiment(history: tuple[str, int], *goals: dict[str, Any], service: str = "shop") -> Spec:
    """Return an experiment on one service with these goals."""
    return parse_spec(
        {
            "services": [
                {"name": service, "control": {"deployment": "shop"}, "canary": {"deployment": "shop-next"}},
                {"name": "other", "control": {"deployment": "other"}, "canary": {"deployment": "other-next"}},
            ],
            "goals": [{"minimumEffect": 0.1, **goal} for goal in goals],
            "prometheus": {"address": history[0]},
        }
    )


def own(**queries: str) -> dict[str, Any]:
    """Return a goal with queries of the user's."""
    asked = {"count": "users", "sum": "values", "sumOfSquares": "squares"} | queries
    summed = {name: f"sum by (variant) ({text})" if " " not in text else text for name, text in asked.items()}
    return {"name": "own", **summed}


async def read(source: MetricsSource, history: tuple[str, int], spec: Spec) -> dict[str, GoalReading | Unmeasured]:
    """Return the readings at the time of the newest figures."""
    return await read_goals(source, spec, "ns", history[1], 3600)


async def test_three_lines_of_yaml(source: MetricsSource, history: tuple[str, int]) -> None:
    """Name, service and margin: the youngest pod's figures, by the variant that served, with their segments."""
    readings = await read(source, history, experiment(history, {"name": "satisfaction", "service": "shop"}))
    reading = readings["satisfaction"]
    assert isinstance(reading, GoalReading), reading
    assert reading.control == Moments(100, 400, 1700)
    assert reading.canary == Moments(80, 320, 1360)
    assert reading.segments["new"] == (Moments(30, 120, 510), Moments(20, 80, 340))
    assert sorted(reading.segments) == ["existing", "new"]


async def test_goals_share_one_query(source: MetricsSource, history: tuple[str, int]) -> None:
    """A goal with '-' in its name is the series' `_`; several goals of several services are one query."""
    spec = experiment(history, {"name": "return-7d", "service": "shop"}, {"name": "satisfaction", "service": "shop"})
    asked: list[str] = []
    ask = source.instant

    async def counted(*arguments: Any, **options: Any) -> Any:
        asked.append(arguments[1])
        return await ask(*arguments, **options)

    source.instant = counted  # type: ignore[method-assign]
    readings = await read(source, history, spec)
    assert all(isinstance(each, GoalReading) for each in readings.values()), readings
    assert len(asked) == 1


async def test_queries_of_the_users(source: MetricsSource, history: tuple[str, int]) -> None:
    """Any PromQL whose rows have the variant, the role or the Deployment's name."""
    readings = await read(source, history, experiment(history, own()))
    assert readings["own"] == GoalReading(Moments(100, 400, 1700), Moments(80, 320, 1360), history[1])


async def test_the_stage_in_a_query(source: MetricsSource, history: tuple[str, int]) -> None:
    """`$stage` is the time since the stage began."""
    last = {name: f"sum by (variant) (last_over_time({name}[$stage]))" for name in ("users", "values", "squares")}
    goal = own(count=last["users"], sum=last["values"], sumOfSquares=last["squares"])
    readings = await read(source, history, experiment(history, goal))
    assert isinstance(readings["own"], GoalReading), readings


async def test_segments_of_the_users(source: MetricsSource, history: tuple[str, int]) -> None:
    """`segmentLabel` names the label whose values are reported apart; they add up."""
    goal = {"name": "own", "count": "users", "sum": "values", "sumOfSquares": "squares", "segmentLabel": "part"}
    reading = (await read(source, history, experiment(history, goal)))["own"]
    assert isinstance(reading, GoalReading), reading
    assert reading.segments["x"] == (Moments(50, 200, 850), Moments(40, 160, 680))
    assert reading.control.count == 100


@pytest.mark.parametrize(
    ("goal", "failure", "words"),
    [
        ({"name": "completion", "service": "shop"}, MeasurementFailure.EMPTY, 'goal="completion"'),
        ({"name": "satisfaction", "service": "other"}, MeasurementFailure.EMPTY, 'service="other"'),
        (own(count="users +"), MeasurementFailure.CLIENT_ERROR, "answered 400"),
        (own(count="sum (users)"), MeasurementFailure.PARTIAL, "not of the same variants"),
        ({"name": "own", "count": "users", "sum": "values", "sumOfSquares": "squares"}, MeasurementFailure.CLIENT_ERROR,
         "several rows of control: write sum by (variant) (...)"),
        (own(sum="only_control"), MeasurementFailure.PARTIAL, "same variants"),
        (own(sum="only_control", count="only_control", sumOfSquares="only_control"), MeasurementFailure.EMPTY,
         "no rows of canary"),
        (own(sumOfSquares="users"), MeasurementFailure.NAN, "of the same users and the same values"),
        (own(count="sum by (variant) (users) / 0"), MeasurementFailure.NAN, "must be numbers"),
    ],
)  # fmt: skip
async def test_no_reading(
    source: MetricsSource, history: tuple[str, int], goal: dict[str, Any], failure: MeasurementFailure, words: str
) -> None:
    """Whatever is not three whole, consistent sums of both variants is a failed measurement with its name."""
    reading = (await read(source, history, experiment(history, goal)))[goal["name"]]
    assert isinstance(reading, Unmeasured), reading
    assert reading.failure is failure
    assert words in reading.message


async def test_old_figures_are_none(source: MetricsSource, history: tuple[str, int]) -> None:
    """Pods that could not compute for twenty minutes export their last figures: they do not count as fresh."""
    goal = {"name": "satisfaction", "service": "old"}
    reading = (await read(source, history, experiment(history, goal, service="old")))["satisfaction"]
    assert isinstance(reading, Unmeasured), reading
    assert reading.failure is MeasurementFailure.GAP
    assert "1200 s old" in reading.message


async def test_nobody_there(source: MetricsSource) -> None:
    """Without Prometheus every goal is unmeasured, and nothing is raised."""
    spec = experiment(("http://127.0.0.1:1", 0), {"name": "satisfaction", "service": "shop"}, own())
    readings = await read_goals(source, spec, "ns", time.time(), 60)
    assert [isinstance(each, Unmeasured) and each.failure for each in readings.values()] == [
        MeasurementFailure.UNREACHABLE,
        MeasurementFailure.UNREACHABLE,
    ]


@pytest.mark.parametrize(
    ("goal", "reason", "words"),
    [
        ({"name": "satisfaction", "service": "shop", "minimumEffect": 0}, "InvalidGoal", "needs minimumEffect"),
        ({"name": "satisfaction"}, "InvalidGoal", "write service, one of shop, other"),
        ({"name": "satisfaction", "service": "none"}, "InvalidGoal", "write one of these"),
        ({"name": "own", "count": "users"}, "InvalidGoal", "write count, sum and sumOfSquares, or none of them"),
        ({"name": "completion", "service": "shop"}, "NoGoalSeries", "or write count, sum and sumOfSquares"),
        (own(count="sum(users"), "InvalidPromQL", "count: Prometheus at"),
        (own(count="nobody"), "NoGoalSeries", "it has variant: somebody"),
        (own(count="none_total"), "NoGoalSeries", "it has no rows at all"),
    ],
)
async def test_checks_before_traffic_moves(
    source: MetricsSource, history: tuple[str, int], goal: dict[str, Any], reason: str, words: str
) -> None:
    """Each mistake is one problem with a sentence that says what to write."""
    spec = experiment(history, goal)
    problems = await _checked(source, history, spec)
    assert [problem.reason for problem in problems] == [reason]
    assert words in problems[0].message


async def test_a_good_goal_has_no_problems(source: MetricsSource, history: tuple[str, int]) -> None:
    """Before the start the canary has no users; that is no reason to refuse."""
    same = {"sum": "only_control", "sumOfSquares": "only_control"}
    spec = experiment(history, {"name": "satisfaction", "service": "shop"}, own(count="only_control", **same))
    assert await _checked(source, history, spec) == ()


async def _checked(source: MetricsSource, history: tuple[str, int], spec: Spec) -> tuple[Any, ...]:
    """Ask as of the newest figures, for the check asks as of now and the history ends before."""
    ask = source.instant

    async def then(ref: Any, promql: str, at: float | None = None, **options: Any) -> Any:
        return await ask(ref, promql, history[1] if at is None else at, **options)

    source.instant = then  # type: ignore[method-assign]
    return await check_goals(source, spec, "ns")
