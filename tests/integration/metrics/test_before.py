"""The history before a run, from a real Prometheus whose samples are known."""

import time
from collections.abc import Iterator

import pytest

from serin.api.spec import MetricLabels, Metrics, PrometheusRef
from serin.engine.observation import History, MeasurementFailure, Unmeasured
from serin.metrics.source import MetricsSource, Target
from tests.integration.metrics.process import prometheus_of

STEP = 60
HOURS = 5
"""The first hour has no baseline yet."""

PODS = {"web-7d9f-bq2": 10, "web-7d9f-x4c": 20, "web-7d9f-km9": 30, "10.0.0.5:8080": 40}
"""Requests between two scrapes."""


def lines(service: str, pods: dict[str, int], end: int, *, label: str = "pod") -> Iterator[str]:
    """Requests of which a tenth fails, and a histogram in which every fifth is slower than 0.1 s."""
    times = range(end - HOURS * 3600, end + 1, STEP)
    for pod, rate in pods.items():
        whose = f'namespace="ns",service="{service}",variant="control",{label}="{pod}"'
        parts = {'http_requests_total{%s,code="200"}': 0.9, 'http_requests_total{%s,code="503"}': 0.1}
        parts |= {'http_request_duration_seconds_bucket{%s,le="0.1"}': 0.8}
        parts |= {'http_request_duration_seconds_bucket{%s,le="+Inf"}': 1.0}
        for series, part in parts.items():
            name = series % whose
            yield from (f"{name} {index * rate * part:g} {at}" for index, at in enumerate(times))


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """The address of Prometheus, and the end of its samples."""
    folder = tmp_path_factory.mktemp("before")
    end = int(time.time()) // 60 * 60 - 120
    rows = [
        *lines("web", PODS, end),
        *lines("alone", {"web-7d9f-bq2": 10}, end),
        *lines("nameless", PODS, end, label="instance"),
    ]
    grouped = sorted(rows, key=lambda row: row.partition("{")[0])
    with prometheus_of(folder, grouped) as address:
        yield address, end


def target(address: str, service: str, labels: MetricLabels | None = None) -> Target:
    """Control of a service."""
    return Target(
        "ns",
        service,
        frozenset({"control"}),
        frozenset({"canary"}),
        metrics=Metrics(labels=labels or MetricLabels()),
        prometheus=PrometheusRef(address=address),
    )


async def test_the_halves_have_every_request_once(source: MetricsSource, before: tuple[str, int]) -> None:
    """Blocks of twenty minutes to the request: 10 and 40 in one half, 20 and 30 in the other, none lost."""
    found = await source.history(target(before[0], "web"), before[1])
    assert isinstance(found, History)
    per_block = 20 * 50
    assert len(found.blocks) == HOURS * 3 - 1 or len(found.blocks) == HOURS * 3
    for block in found.blocks[1:]:
        assert block.requests == (per_block, per_block)
        assert block.errors == (per_block // 10, per_block // 10)
        assert block.timed == (per_block, per_block)
        assert block.within == ((per_block * 8 // 10,), (per_block * 8 // 10,))
    assert found.edges == (0.1,)
    assert found.hours == pytest.approx(len(found.blocks) / 3)


async def test_a_label_of_another_name(source: MetricsSource, before: tuple[str, int]) -> None:
    """`metrics.labels.pod` names it; with the wrong name the sentence says which to write."""
    found = await source.history(target(before[0], "nameless", MetricLabels(pod="instance")), before[1])
    assert isinstance(found, History)
    without = await source.history(target(before[0], "nameless"), before[1])
    assert isinstance(without, Unmeasured)
    assert "metrics.labels.pod" in without.message


@pytest.mark.parametrize(("service", "says"), [("alone", "can't be split in two"), ("none", "can't be split in two")])
async def test_what_cannot_be_split(source: MetricsSource, before: tuple[str, int], service: str, says: str) -> None:
    """One pod, or no series: no history, said in a sentence."""
    found = await source.history(target(before[0], service), before[1])
    assert isinstance(found, Unmeasured)
    assert says in found.message


async def test_prometheus_away(source: MetricsSource) -> None:
    """A failure is one, and has its own name."""
    found = await source.history(target("http://127.0.0.1:9", "web"), time.time())
    assert isinstance(found, Unmeasured)
    assert found.failure is MeasurementFailure.UNREACHABLE
