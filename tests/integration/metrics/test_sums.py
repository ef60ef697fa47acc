"""Counting from sums gives what counting series by series does, whatever pods do, and seldom asks for the latter."""

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from serin.api.spec import PrometheusRef
from serin.engine.observation import ServiceCounts, Unmeasured
from serin.metrics import queries
from serin.metrics.source import MetricsSource, Target
from tests.integration.metrics.process import prometheus_of

STEP, LOOK, LOOKS, SERVICES, EVENTFUL = 15, 30, 24, 60, 0.02
EDGES = ("0.1", "0.2", "+Inf")


@dataclass
class Pod:
    """A pod of one variant: what its counters have at each scrape, until it is gone.

    Attributes:
        name: label `pod`; a pod that restarts keeps it.
        paths: its histograms, one for each path that somebody has asked for.
        away: scrapes that will fail.
    """

    name: str
    paths: dict[str, list[int]] = field(default_factory=lambda: {"/": [0] * len(EDGES)})
    away: int = 0


@dataclass
class Variant:
    """Pods that live as pods do; everything by chance, from a seed."""

    service: str
    name: str
    chance: random.Random
    pods: list[Pod] = field(default_factory=list)
    made: int = 0

    def live(self) -> None:
        """Until the next scrape."""
        chance = self.chance
        if not self.pods:
            self.more()
        for pod in list(self.pods):
            for counts in pod.paths.values():
                for index in range(len(EDGES)):
                    fast = chance.randrange(0, 4)
                    for edge in range(index, len(EDGES)):
                        counts[edge] += fast
            if chance.random() < EVENTFUL:
                self.happen(chance.choice(["restart", "gone", "replaced", "away", "more", "path"]), pod)

    def happen(self, what: str, pod: Pod) -> None:
        """Let something happen to a pod that is not counting."""
        if what == "restart":
            # Some have counted more than before the next scrape comes.
            most = self.chance.choice([3, 400])
            pod.paths = {"/": sorted(self.chance.randrange(0, most) for _ in EDGES)}
        elif what == "away":
            pod.away = self.chance.randrange(1, 12)
        elif what == "path":
            pod.paths[f"/{len(pod.paths)}"] = [0] * len(EDGES)
        elif what == "more":
            self.more()
        elif what == "replaced" or len(self.pods) > 1:
            self.pods.remove(pod)
            if what == "replaced":
                self.more()

    def more(self) -> None:
        """One pod more, with a name that nobody had."""
        self.made += 1
        self.pods.append(Pod(f"{self.name}-{self.made}"))

    def scraped(self, at: int, lines: list[str]) -> None:
        """Write down what a scrape finds."""
        for pod in self.pods:
            if pod.away:
                pod.away -= 1
                continue
            for path, counts in pod.paths.items():
                labels = f'namespace="ns",service="{self.service}",variant="{self.name}",pod="{pod.name}",path="{path}"'
                lines.append(f'http_requests_total{{{labels},code="200"}} {counts[-1]} {at}')
                lines.extend(
                    f'http_request_duration_seconds_bucket{{{labels},le="{le}"}} {count} {at}'
                    for le, count in zip(EDGES, counts, strict=True)
                )


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """The address of Prometheus, and the end of the first look."""
    chance = random.Random(7)
    variants = [Variant(f"s{number}", name, chance) for number in range(SERVICES) for name in ("control", "canary")]
    lines: list[str] = []
    end = int(time.time()) // 60 * 60 - 120
    first = end - LOOK * (LOOKS - 1)
    for at in range(first - 20 * STEP, end + 1, STEP):
        for variant in variants:
            variant.live()
            variant.scraped(at, lines)
    with prometheus_of(tmp_path_factory.mktemp("lives"), sorted(lines, key=lambda line: line.split("{")[0])) as address:
        yield address, first


async def looks(lives: tuple[str, int], seen: list[str]) -> dict[tuple[str, int], ServiceCounts | Unmeasured]:
    """Every look at every service, and the queries that it took."""
    ref = PrometheusRef(address=lives[0])
    names = frozenset({"control"}), frozenset({"canary"})
    targets = [Target("ns", f"s{number}", *names, prometheus=ref) for number in range(SERVICES)]
    source = MetricsSource()
    ask = source._client.query

    async def query(access: object, text: str, at: float) -> object:
        seen.append(text)
        return await ask(access, text, at)  # type: ignore[arg-type]

    source._client.query = query  # type: ignore[method-assign, assignment]
    found = {}
    try:
        for number in range(LOOKS):
            # One is merged of three, as after a while in which nobody looked.
            seconds = 3 * LOOK if number == LOOKS // 2 else LOOK
            for target in targets:
                found[target.service, number] = await source.look(target, targets, lives[1] + LOOK * number, seconds)
    finally:
        source.close()
    return found


async def test_counts_from_sums_are_those_of_each_series(
    lives: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Restarts, pods that come, go, are replaced by others or not scraped for a while, paths that are new."""
    asked: list[str] = []
    found = await looks(lives, asked)
    monkeypatch.setattr(queries, "steady", lambda *_: "vector(0) > 1")
    slowly: list[str] = []
    expected = await looks(lives, slowly)
    assert found == expected
    counted = sum(isinstance(each, ServiceCounts) for each in found.values())
    assert counted > 0.7 * len(found), "most looks are measured"
    series = [text for text in asked if text.startswith("sum by") and "offset" in text]
    assert 0 < len(series) <= LOOKS
    variants = sum(text.partition("variant=~")[0].count("|") + 1 for text in series)
    assert variants < LOOKS * SERVICES, "few of them were counted series by series"
    assert sum("steady" in text for text in asked) == LOOKS == sum("steady" in text for text in slowly)
