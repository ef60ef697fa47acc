"""The day of control before the spoilt experiments: how fast harm is found depends on what is known of the noise.

Prometheus starts with it, written down as samples ten minutes apart. The other experiments have none: theirs would be
gigabytes, and nothing that is measured of them depends on it.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

import numpy as np

from serin.engine.generated import EDGES, Traffic
from tests.bench.scale.shop import PODS, namespace, service_names
from tests.bench.scale.traffic import SHARES

_STEP: Final = 600
_HOURS: Final = 25
_USUAL: Final = Traffic()


def lines(numbers: Iterable[int], until: float) -> Iterator[str]:
    """Samples of control's pods of some experiments, until a Unix time, grouped by metric."""
    pods = [
        (namespace(number), service, pod)
        for number in numbers
        for service in service_names(number)
        for pod in range(PODS)
    ]
    random = np.random.default_rng(3)
    ends = np.arange(until - _HOURS * 3600, until, _STEP).astype(int).tolist()
    requests = random.poisson(_USUAL.rate / PODS * _STEP, (len(pods), len(ends)))
    failed = random.binomial(requests, _USUAL.errors)
    return chain(_requests(pods, ends, requests, failed), _buckets(pods, ends, random.multinomial(requests, SHARES)))


Pods = list[tuple[str, str, int]]
Counts = np.ndarray[tuple[int, ...], np.dtype[np.int64]]


def _labels(pod: tuple[str, str, int]) -> str:
    where, service, number = pod
    return f'namespace="{where}",service="{service}",variant="control",pod="{service}-{"ab"[number]}"'


def _requests(pods: Pods, ends: list[int], requests: Counts, failed: Counts) -> Iterator[str]:
    for row, pod in enumerate(pods):
        for code, counts in ((200, requests[row] - failed[row]), (500, failed[row])):
            name = f'http_requests_total{{{_labels(pod)},code="{code}"}}'
            yield from (f"{name} {value} {end}" for value, end in zip(counts.cumsum().tolist(), ends, strict=True))


def _buckets(pods: Pods, ends: list[int], counts: Counts) -> Iterator[str]:
    for row, pod in enumerate(pods):
        rising = counts[row].cumsum(axis=0).cumsum(axis=1)
        for column, edge in enumerate((*EDGES, "+Inf")):
            name = f'http_request_duration_seconds_bucket{{{_labels(pod)},le="{edge}"}}'
            values = rising[:, column].tolist()
            yield from (f"{name} {value} {end}" for value, end in zip(values, ends, strict=True))
