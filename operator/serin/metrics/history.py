"""What control did before the run, split in two as if it were an experiment.

Two halves of the same version differ too, by more than chance: that difference is what the guardrails must not take
for harm. It is read once, before the first stage, by one range query for requests and one for buckets.
"""

import asyncio
import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Final

from serin.engine.observation import History, HistoryBlock, MeasurementFailure, Unmeasured
from serin.metrics import queries
from serin.metrics.client import Client, Range, Series
from serin.metrics.rows import Target, edge_of, expected, series_of

BLOCK_SECONDS: Final = 1200.0
HOURS: Final = 24.0

_HALF: Final = "serin_half"
_LAST: Final = "(?s).*?([^.:])(?::[0-9]+)?"
"""The last character of a pod's name, or of an address without its port."""

_Counts = dict[float, dict[str, dict[str, float]]]
"""By block's end, by group of pods, by code or bucket."""


async def read_history(client: Client, target: Target, until: float) -> History | Unmeasured:
    """The blocks of the day before `until` (Unix seconds) in which both halves of control had requests.

    Args:
        client: asks.
        target: whose control.
        until: the end of the last block, aligned to whole blocks of Unix time by the caller's choice or not at all.
    """
    if not target.naming.own_pods:
        text = f"{target.service}: {target.naming.requests} is a gateway's, and does not tell control's pods apart"
        return Unmeasured(MeasurementFailure.EMPTY, f"{text}: noise between equal versions is assumed")
    over = Range(until - HOURS * 3600 + BLOCK_SECONDS, until, BLOCK_SECONDS)
    try:
        texts = _queries(target)
    except ValueError as error:
        return Unmeasured(MeasurementFailure.CLIENT_ERROR, f"metrics.labels: {error}")
    found = await asyncio.gather(*(client.query_range(target.access, text, over) for text in texts))
    failed = next((each for each in found if isinstance(each, Unmeasured)), None)
    if failed is not None:
        return failed
    requests, buckets = (each for each in found if not isinstance(each, Unmeasured))
    return history_of(target, requests, buckets)


def history_of(target: Target, requests: Sequence[Series], buckets: Sequence[Series]) -> History | Unmeasured:
    """The history from the two answers. Pure.

    Pods are put into groups by the last character of their name, which is random, so that an answer has at most 36 of
    them however many pods there are; the groups are dealt into two halves of about the same number of requests.
    """
    codes = _by_block(requests, target.naming.code)
    # Every edge in seconds, as a number's text: what the histogram calls it no longer matters.
    slow = _by_block(buckets, queries.LE, lambda text: repr(edge_of(target.naming, text)))
    halves = _halves(codes)
    what = expected(target, target.control)
    if halves is None:
        text = f"{target.service}: the history of control ({what}) can't be split in two"
        return Unmeasured(MeasurementFailure.EMPTY, f"{text}: {_unsplit(target, requests, codes)}")
    edges = tuple(sorted({edge for block in slow.values() for group in block.values() for edge in _finite(group)}))
    blocks = []
    for at, groups in sorted(codes.items()):
        block = _block(groups, slow.get(at, {}), halves, edges)
        if block is not None:
            blocks.append(block)
    if not blocks:
        return Unmeasured(MeasurementFailure.EMPTY, f"{target.service}: there is no history of control ({what})")
    return History(seconds=BLOCK_SECONDS, edges=edges, blocks=tuple(blocks))


def _unsplit(target: Target, requests: Sequence[Series], codes: _Counts) -> str:
    """Why there are no two halves, as far as the answer tells."""
    label, counted = target.metrics.labels.pod, [each for each in requests if any(each.values.values())]
    if not counted:
        return f"Prometheus has no requests of it in the {HOURS:g}h before"
    if not codes:
        hint = "write the name of the label that tells pods apart into metrics.labels.pod"
        return f"its series have no label {label}; {hint}"
    return f"label {label} of its series names one pod, or pods whose names end with the same character"


def _queries(target: Target) -> tuple[str, str]:
    names = target.naming
    wanted = (queries.edge_matcher(map(names.in_units, target.edges)),) if target.edges else ()
    return (
        _count(target, series_of(names, names.requests, target.control), names.code),
        _count(target, series_of(names, names.buckets, target.control, *wanted), queries.LE),
    )


def _count(target: Target, series: str, label: str) -> str:
    pod = queries.label(target.metrics.labels.pod)
    return queries.count(series, BLOCK_SECONDS, (_HALF, label), grouped=(_HALF, pod, _LAST))


def _by_block(found: Sequence[Series], label: str, named: Callable[[str], str] = str) -> _Counts:
    counts: _Counts = defaultdict(lambda: defaultdict(dict))
    for series in found:
        group, name = series.labels.get(_HALF, ""), named(series.labels.get(label, ""))
        for at, value in series.values.items():
            if group and math.isfinite(value):
                counts[at][group][name] = counts[at][group].get(name, 0.0) + value
    return counts


def _halves(codes: _Counts) -> tuple[frozenset[str], frozenset[str]] | None:
    """The groups dealt into two halves, the largest first, each to the half that has less."""
    totals: dict[str, float] = defaultdict(float)
    for groups in codes.values():
        for group, values in groups.items():
            totals[group] += sum(values.values())
    halves: tuple[set[str], set[str]] = (set(), set())
    sums = [0.0, 0.0]
    for group in sorted(totals, key=lambda each: (-totals[each], each)):
        lighter = sums.index(min(sums))
        halves[lighter].add(group)
        sums[lighter] += totals[group]
    return (frozenset(halves[0]), frozenset(halves[1])) if all(sums) else None


def _block(
    groups: dict[str, dict[str, float]],
    slow: dict[str, dict[str, float]],
    halves: tuple[frozenset[str], frozenset[str]],
    edges: tuple[float, ...],
) -> HistoryBlock | None:
    """One block, unless a half had nothing in it."""
    one, other = (_half(groups, slow, half, edges) for half in halves)
    if not one[0] or not other[0]:
        return None
    return HistoryBlock(
        requests=(one[0], other[0]), errors=(one[1], other[1]), within=(one[2], other[2]), timed=(one[3], other[3])
    )


def _half(
    groups: dict[str, dict[str, float]],
    slow: dict[str, dict[str, float]],
    half: frozenset[str],
    edges: tuple[float, ...],
) -> tuple[int, int, tuple[int, ...], int]:
    """Requests, errors, within each edge, timed."""
    codes = [item for group in half for item in groups.get(group, {}).items()]
    errors = sum(value for code, value in codes if len(code) == 3 and code[0] == "5")  # noqa: PLR2004 - 5xx
    sums: dict[float, float] = defaultdict(float)
    for group in half:
        for edge, value in slow.get(group, {}).items():
            sums[float(edge)] += value
    within, timed = tuple(round(sums.get(edge, 0.0)) for edge in edges), round(sums.get(math.inf, 0.0))
    # A container that restarted within the block makes its buckets contradict each other.
    if any(low > high for low, high in itertools.pairwise([*within, timed])):
        within, timed = (0,) * len(edges), 0
    return round(sum(value for _, value in codes)), round(errors), within, timed


def _finite(group: dict[str, float]) -> list[float]:
    return [edge for edge in map(float, group) if math.isfinite(edge)]
