"""Looks and checks against a real Prometheus whose history is known to the sample."""

import asyncio
import json
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from aiohttp import web

from serin.api.spec import CustomGuardrail, MetricLabels, Metrics, PrometheusRef, parse_spec
from serin.engine.observation import MeasurementFailure, ServiceCounts, Unmeasured
from serin.metrics.checks import check, edges
from serin.metrics.source import MetricsSource, Target
from tests.integration.metrics.process import prometheus_of
from tests.integration.proxy import Fault, Forward, proxy

STEP, LOOK, PAST = 15, 30, 2400
SPEC = parse_spec({"services": [{"name": "steady", "control": {"deployment": "web"}, "canary": {"patch": {}}}]})
HOSTILE = 'a"} or vector(1) or {b="'


@dataclass
class History:
    """Lines of OpenMetrics, and the time at which the looks end."""

    end: int
    lines: list[str]

    def series(self, service: str, variant: str, pod: str, values: dict[int, float], code: str = "200") -> None:
        """A pod's requests: value by seconds before the end (negative: after it), and a histogram that agrees."""
        value = service.replace("\\", "\\\\").replace('"', '\\"')
        labels = f'namespace="ns",service="{value}",variant="{variant}",pod="{pod}"'
        names = [(f'http_requests_total{{{labels},code="{code}"}}', 1.0)]
        if code == "200":
            name = "http_request_duration_seconds_bucket"
            names += [(f'{name}{{{labels},le="{le}"}}', part) for le, part in (("0.1", 0.0), ("0.2", 1.0), ("+Inf", 1))]
            names += [(f'checkout_total{{{labels},result="ok"}}', 1.0), (f'checkout_total{{{labels},result="no"}}', 0)]
        for series, factor in names:
            self.lines += [
                f"{series} {values[ago] * factor:g} {self.end - ago}" for ago in sorted(values, reverse=True)
            ]


def rising(per_step: float, first: int = PAST, last: int = -120, start: float = 0) -> dict[int, float]:
    """A counter that rises by `per_step` each scrape, from `first` to `last` seconds before the end."""
    return {ago: start + per_step * index for index, ago in enumerate(range(first, last - 1, -STEP))}


def write(history: History) -> None:
    """Every situation that a look meets, a service each."""
    add = history.series
    for service in ("steady", "late", "reset", "stale", "new", "absent", HOSTILE):
        add(service, "control", "a", rising(10))
        add(service, "control", "a", rising(1), code="500")
    add("steady", "control", "b", rising(20))
    add("steady", "web-canary", "c", rising(5))
    add("steady", "other", "x", rising(1000))
    add(HOSTILE, "canary", "c", rising(5))
    # Not scraped for twenty minutes, then back with 50 requests more.
    add("late", "canary", "c", rising(5, last=1200) | {15: 455, 0: 460})
    add("reset", "canary", "c", rising(5, last=30) | {15: 2, 0: 6})
    add("stale", "canary", "c", rising(5, last=90))
    add("new", "canary", "c", {15: 3, 0: 7})
    for role in ("control", "canary"):
        # Prometheus was away for ten minutes.
        add("outage", role, "a", rising(10, last=600) | rising(10, first=15, start=5000))
        add("fraction", role, "a", rising(0.3))


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """The address of Prometheus, and the end of the looks."""
    folder = tmp_path_factory.mktemp("history")
    made = History(int(time.time()) // 60 * 60 - 120, [])
    write(made)
    with prometheus_of(folder, made.lines) as address:
        yield address, made.end


def target(history: tuple[str, int], service: str, **changes: object) -> Target:
    """A service whose variants are labelled by role or by Deployment."""
    made = Target(
        "ns",
        service,
        frozenset({"control", "web"}),
        frozenset({"canary", "web-canary"}),
        prometheus=PrometheusRef(address=history[0]),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


async def counted(source: MetricsSource, history: tuple[str, int], service: str) -> ServiceCounts:
    """The look that ends at the history's end, which must be measured."""
    one = target(history, service)
    result = await source.look(one, [one], history[1], LOOK)
    assert isinstance(result, ServiceCounts), result
    return result


async def test_counts_are_exact_over_pods(source: MetricsSource, history: tuple[str, int]) -> None:
    """Two pods of control with errors, and a canary labelled with its Deployment, to the request."""
    counts = await counted(source, history, "steady")
    assert (counts.control.requests, counts.control.errors) == (62, 2)
    assert (counts.canary.requests, counts.canary.errors) == (10, 0)
    assert (counts.control.edges, counts.control.within, counts.control.timed) == ((0.1, 0.2), (0, 60), 60)


async def test_looks_add_up_to_the_counter(source: MetricsSource, history: tuple[str, int]) -> None:
    """Twenty looks in a row count what the counter rose by, no request twice and none lost."""
    one = target(history, "steady")
    looks = [await source.look(one, [one], history[1] - LOOK * index, LOOK) for index in range(20)]
    assert sum(look.canary.requests for look in looks if isinstance(look, ServiceCounts)) == 20 * 10


@pytest.mark.parametrize(("service", "requests"), [("late", 60), ("reset", 6), ("new", 7)])
async def test_pods_that_come_back(
    source: MetricsSource, history: tuple[str, int], service: str, requests: int
) -> None:
    """Back after twenty minutes: what was done since. Restarted, or new: from zero."""
    assert (await counted(source, history, service)).canary.requests == requests


@pytest.mark.parametrize(
    ("service", "failure", "words"),
    [
        ("stale", MeasurementFailure.GAP, "no sample of canary in the last 30 s"),
        ("outage", MeasurementFailure.GAP, "no sample of control from the 300 s before"),
        ("absent", MeasurementFailure.EMPTY, "labelled serin.dev/variant"),
        ("fraction", MeasurementFailure.NAN, "use a counter"),
        ("nobody", MeasurementFailure.EMPTY, 'service="nobody"'),
    ],
)
async def test_what_is_not_measured_is_said(
    source: MetricsSource, history: tuple[str, int], service: str, failure: MeasurementFailure, words: str
) -> None:
    """No such look is zero requests, nor a pod's lifetime."""
    one = target(history, service)
    result = await source.look(one, [one], history[1], LOOK)
    assert isinstance(result, Unmeasured), result
    assert result.failure is failure
    assert words in result.message


async def test_a_long_look_that_ends_in_the_future(source: MetricsSource, history: tuple[str, int]) -> None:
    """A look that makes up for others is measured to its end, or not at all: counters alone would hide the rest."""
    one = target(history, "steady")
    whole = await source.look(one, [one], history[1], 600)
    assert isinstance(whole, ServiceCounts), whole
    assert whole.canary.requests == 40 * 5
    ahead = await source.look(one, [one], history[1] + 120 + 330, 600)
    assert isinstance(ahead, Unmeasured), ahead
    assert ahead.failure is MeasurementFailure.GAP
    assert "is the operator's clock right?" in ahead.message


async def test_a_hostile_service_name_is_a_name(source: MetricsSource, history: tuple[str, int]) -> None:
    """A label value that would end the selector is found as the value that it is."""
    assert (await counted(source, history, HOSTILE)).canary.requests == 10


async def test_custom_counters(source: MetricsSource, history: tuple[str, int]) -> None:
    """A user's selector is counted for the service alone."""
    guardrail = CustomGuardrail(name="checkout", good='checkout_total{result="ok"}', total="checkout_total")
    one = target(history, "steady", custom=(guardrail,), edges=(0.2,))
    result = await source.look(one, [one], history[1], LOOK)
    assert isinstance(result, ServiceCounts), result
    assert result.canary.custom == (("checkout", 10, 0),)
    assert result.canary.edges == (0.2,)


def queries_of(address: str) -> float:
    """How many instant queries this Prometheus has answered."""
    with urllib.request.urlopen(f"{address}/metrics") as response:  # noqa: S310 - the test's own Prometheus
        lines = response.read().decode().splitlines()
    name = 'prometheus_http_requests_total{code="200",handler="/api/v1/query"}'
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(name)), 0.0)


async def test_all_who_look_share_one_query(source: MetricsSource, history: tuple[str, int]) -> None:
    """Thirty targets at the same time, and one that comes later, are one query.

    Two more for all of them where the beginning of a look is not known yet, and where a pod restarted in it.
    """
    names = ["steady", "late", "reset", *(f"s{index}" for index in range(27))]
    everyone = [target(history, name) for name in names]
    for ends_at, asked in ((history[1] - LOOK, 2), (history[1], 2), (history[1] + LOOK, 1)):
        before = queries_of(history[0])
        results = await asyncio.gather(*(source.look(one, everyone, ends_at, LOOK) for one in everyone))
        await source.look(everyone[1], everyone, ends_at, LOOK)
        assert queries_of(history[0]) - before == asked, ends_at - history[1]
        if ends_at == history[1]:
            assert [isinstance(each, ServiceCounts) for each in results[:4]] == [True, True, True, False]


async def late(_request: web.Request, forward: Forward) -> web.StreamResponse:
    """Answer far too late."""
    await asyncio.sleep(10)
    return await forward()


async def warned(_request: web.Request, forward: Forward) -> web.StreamResponse:
    """Answer with what Prometheus says of a metric of two types."""
    answer = await forward()
    assert isinstance(answer, web.Response)
    body = json.loads(answer.body or b"{}")  # type: ignore[arg-type]
    return web.json_response({**body, "warnings": ["PromQL warning: encountered a mix of histograms and floats"]})


@pytest.mark.parametrize(
    ("fault", "failure"), [(late, MeasurementFailure.TIMEOUT), (warned, MeasurementFailure.WARNINGS)]
)
async def test_a_service_that_spoils_every_query_is_asked_for_alone(
    history: tuple[str, int], fault: Fault, failure: MeasurementFailure
) -> None:
    """The others miss the few looks in which it is searched for by halves, and are measured again."""

    async def spoilt(request: web.Request, forward: Forward) -> web.StreamResponse:
        text = request.query.get("query") or await request.text()
        return await (fault(request, forward) if "new" in text else forward())

    source, measured = MetricsSource(timeout=2), []
    with proxy(history[0]) as before:
        before.fault = spoilt
        names = ["steady", HOSTILE, "reset", "new", "fraction", "absent", "stale", "s1", "s2"]
        everyone = [target((before.address, history[1]), name) for name in names]
        for look in range(8, -1, -1):
            ends_at = history[1] - look * LOOK
            found = await asyncio.gather(*(source.look(one, everyone, ends_at, LOOK) for one in everyone))
            measured.append([isinstance(each, ServiceCounts) for each in found[:4]])
    source.close()
    assert measured[0] == [False, False, False, False]
    assert measured[1] == [True, False, False, False], "the second half of the alphabet is not with it"
    assert measured[4:] == [[True, True, True, False]] * 5
    assert isinstance(found[3], Unmeasured)
    assert found[3].failure is failure


async def test_one_cancelled_caller_does_not_take_the_answer_away(
    source: MetricsSource, history: tuple[str, int]
) -> None:
    """The controller may drop an experiment while others wait for the same look."""
    one, two = target(history, "steady"), target(history, "late")
    first = asyncio.create_task(source.look(one, [one, two], history[1], LOOK))
    await asyncio.sleep(0)
    second = asyncio.create_task(source.look(two, [one, two], history[1], LOOK))
    await asyncio.sleep(0)
    first.cancel()
    assert isinstance(await second, ServiceCounts)


async def test_hundreds_of_targets_are_one_query(source: MetricsSource, history: tuple[str, int]) -> None:
    """A query that is too long for an address is sent as a form, and answered as a whole."""
    everyone = [target(history, f"{'long-name-' * 5}{index}") for index in range(300)] + [target(history, "steady")]
    await source.look(everyone[-1], everyone, history[1] - LOOK, LOOK)
    before = queries_of(history[0])
    result = await source.look(everyone[-1], everyone, history[1], LOOK)
    assert isinstance(result, ServiceCounts), result
    assert queries_of(history[0]) - before == 1


async def test_a_result_that_would_be_too_large_is_split(
    source: MetricsSource, history: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each target is in one of the queries, and all are answered."""
    monkeypatch.setattr("serin.metrics.source.MOST", 1000.0)
    everyone = [target(history, f"other-{index}") for index in range(30)] + [target(history, "steady")]
    before = queries_of(history[0])
    results = await asyncio.gather(*(source.look(one, everyone, history[1], LOOK) for one in everyone))
    assert isinstance(results[-1], ServiceCounts)
    # One more for where the look of the one that is there begins.
    assert 5 <= queries_of(history[0]) - before <= 7


async def test_edges_are_found(source: MetricsSource, history: tuple[str, int]) -> None:
    """The histogram's own edges, without +Inf."""
    assert await edges(source, target(history, "steady")) == (0.1, 0.2)


@pytest.mark.parametrize(
    ("changes", "reason", "words"),
    [
        ({}, "HistogramEdgeMissing", "found: 0.1, 0.2 s): add a bucket at 0.15, or change latencyP95.max"),
        ({"service": "nobody"}, "NoRequestSeries", "it has service: "),
        ({"namespace": "none"}, "NoRequestSeries", "it has namespace: ns"),
        ({"metrics": Metrics(requests="none_total")}, "NoRequestSeries", "it has no none_total at all"),
        ({"metrics": Metrics(labels=MetricLabels(code="status"))}, "NoCodeLabel", "metrics.labels.code"),
        ({"metrics": Metrics(labels=MetricLabels(code="a-b"))}, "InvalidLabelName", "is not a label name"),
        ({"metrics": Metrics(latency="none")}, "NoLatencySeries", "metrics.latency"),
        ({"metrics": Metrics(preset="Istio")}, "NoRequestSeries", "it has no istio_requests_total at all"),
    ],
)
async def test_checks_before_traffic_moves(
    source: MetricsSource, history: tuple[str, int], changes: dict[str, object], reason: str, words: str
) -> None:
    """Each mistake is one problem with a sentence that says what to write."""
    problems = await check(source, target(history, **{"service": "steady", **changes}), SPEC)  # type: ignore[arg-type]
    assert [problem.reason for problem in problems] == [reason]
    assert words in problems[0].message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sum(", "unclosed left parenthesis"),
        ("rate(checkout_total[5m])", "without functions"),
        ("x[5m]", "without functions"),
    ],
)
async def test_custom_guardrails_are_parsed_by_prometheus(
    source: MetricsSource, history: tuple[str, int], text: str, words: str
) -> None:
    """What does not parse is quoted in Prometheus's own words; what can't be counted is refused."""
    guardrail = CustomGuardrail(name="checkout", good=text, total="checkout_total")
    spec = parse_spec(
        {
            "services": [{"name": "steady", "control": {"deployment": "web"}, "canary": {"patch": {}}}],
            "guardrails": {"latencyP95": {"max": "200ms"}},
        }
    )
    problems = await check(source, target(history, "steady", custom=(guardrail,)), spec)
    assert [problem.reason for problem in problems] == ["InvalidPromQL"]
    assert words in problems[0].message


@pytest.mark.parametrize(
    ("good", "total", "words"),
    [
        ("checkout_total", "checkouts_total", "total gave nothing for control in the last 5 minutes (checkouts_total{"),
        ("checkout_total", "checkouts_total", "there is no series of checkouts_total at all: correct the selector"),
        ('checkout_total{result="okay"}', "checkout_total", "good gave nothing for control"),
        ("checkout_total", 'checkout_total{pod="c"}', "others have it: correct its labels"),
    ],
)
async def test_custom_guardrails_need_series_of_control(
    source: MetricsSource, history: tuple[str, int], good: str, total: str, words: str
) -> None:
    """A selector that finds nothing for control is refused with the query that gave nothing, before traffic moves."""
    guardrail = CustomGuardrail(name="checkout", good=good, total=total)
    spec = parse_spec(
        {
            "services": [{"name": "steady", "control": {"deployment": "web"}, "canary": {"patch": {}}}],
            "guardrails": {"latencyP95": {"max": "200ms"}},
        }
    )
    problems = await check(source, target(history, "steady", custom=(guardrail,)), spec)
    assert [problem.reason for problem in problems] == ["NoCustomSeries"]
    assert words in problems[0].message
    right = CustomGuardrail(name="checkout", good='checkout_total{result="ok"}', total="checkout_total")
    assert await check(source, target(history, "steady", custom=(right,)), spec) == ()
