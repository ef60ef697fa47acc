"""How much two groups of equal pods differ, from hours in which all of them ran the same version.

Without it a guardrail must assume a lot of noise, and find little harm late. The stable pods are split in two as if
they were an experiment; tau^2 is what their split of the bad requests varies by beyond chance, over 20 minutes.

tau^2 solves sum(S^2 / (V + tau^2 V^2)) = number of batches (Paule and Mandel 1982). Each batch counts by what it can
tell. Moments, sum(S^2 - V)/sum(V^2), weigh a batch by V^2: one incident among 24 hours is then most of the estimate.
Batches overlap (one begins every five minutes), which saves about a third of the estimate's variance.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from serin.stats.config import ASSUMED_TAU2_ERRORS, ASSUMED_TAU2_LATENCY, ASSUMED_WEIGHT, Dispersion
from serin.stats.mixture import BATCH_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike

    from serin.stats.mixture import Floats

FULL_HOURS = 24.0
"""From so many hours on the estimate stands alone. With less, the cautious default counts for up to six batches."""

STEP_SECONDS = 300.0
SPLITS = 8
LARGEST_TAU2 = 20.0


def from_arms(
    control_total: ArrayLike,
    control_bad: ArrayLike,
    canary_total: ArrayLike,
    canary_bad: ArrayLike,
    *,
    seconds: float,
    blocks: ArrayLike | None = None,
    latency: bool = False,
) -> Dispersion | tuple[Dispersion, ...]:
    """The dispersion of two groups of pods that ran the same version.

    Args:
        control_total: requests of one group by look, shape (looks,).
        control_bad: its bad ones (or those slower than each edge), shape (looks,) or (looks, edges).
        canary_total: of the other group, shape (looks,).
        canary_bad: of the other group, the shape of `control_bad`.
        seconds: length of each look.
        blocks: a number per look that changes where looks are missing, shape (looks,); a batch never spans a gap.
        latency: choose latency's cautious default for what history does not tell.

    Returns:
        For `RateConfig.dispersion`, or one per edge for `LatencyConfig.dispersion`, with the hours that were used.
        Without 20 minutes in one block: the cautious default, with 0 hours.

    Raises:
        ValueError: shapes that do not fit, or more bad than total.

    Source:
        Paule and Mandel 1982, J. Res. Natl. Bur. Stand. 87; overlapping batches: Meketon and Schmeiser 1984.
    """
    totals = [np.asarray(total, dtype=np.float64) for total in (control_total, canary_total)]
    flat = np.ndim(control_bad) == 1
    bads = [np.asarray(bad, dtype=np.float64).reshape(len(totals[0]), -1) for bad in (control_bad, canary_bad)]
    _check(totals, bads)
    assumed = ASSUMED_TAU2_LATENCY if latency else ASSUMED_TAU2_ERRORS
    batches, used = windows(
        [total[:, None] for total in totals], bads, seconds=seconds, blocks=_blocks(blocks, len(totals[0]))
    )
    hours = used / 3600.0
    found = [Dispersion(tau2, hours) for tau2 in shrunken(batches, hours, assumed).tolist()]
    if not hours:
        found = [Dispersion()] * len(found)
    return found[0] if flat else tuple(found)


def from_pods(
    total: ArrayLike,
    bad: ArrayLike,
    *,
    seconds: float,
    control_pods: int,
    canary_pods: int,
    blocks: ArrayLike | None = None,
    latency: bool = False,
    seed: int = 0,
) -> Dispersion | tuple[Dispersion, ...]:
    """The dispersion that an experiment has to expect, from the stable pods one by one.

    Pods are replicates: a canary of one pod differs more from nineteen than ten differ from ten. So the pods are split
    in the proportion of the experiment, several times, and what the sizes still differ by is scaled by
    1/control_pods + 1/canary_pods.

    Args:
        total: requests by look and pod, shape (looks, pods); 0 while a pod was not there. At least two pods.
        bad: bad requests, shape (looks, pods) or (looks, pods, edges).
        seconds: length of each look.
        control_pods: pods that control will have.
        canary_pods: pods that the canary will have.
        blocks: as in `from_arms`.
        latency: as in `from_arms`.
        seed: of the splits, where there are more than can be tried.

    Returns:
        As `from_arms`.

    Raises:
        ValueError: fewer than two pods, no pods in the experiment, shapes that do not fit.
    """
    requests, wrong = np.asarray(total, dtype=np.float64), np.asarray(bad, dtype=np.float64)
    if requests.ndim != 2 or requests.shape[1] < 2 or min(control_pods, canary_pods) < 1:  # noqa: PLR2004 - a split
        raise ValueError("a history by pod needs two pods or more, and an experiment with at least one pod each")
    flat = wrong.ndim == 2  # noqa: PLR2004 - (looks, pods)
    if wrong.shape[:2] != requests.shape:
        raise ValueError(f"the history has totals of shape {requests.shape} and bad ones of shape {wrong.shape}")
    wrong = wrong.reshape(*requests.shape, -1)
    pods = requests.shape[1]
    part = min(max(1, round(pods * canary_pods / (control_pods + canary_pods))), pods - 1)
    parts = []
    for chosen in _splits(pods, part, seed):
        totals = [requests[:, ~chosen].sum(axis=1), requests[:, chosen].sum(axis=1)]
        bads = [wrong[:, ~chosen].sum(axis=1), wrong[:, chosen].sum(axis=1)]
        _check(totals, bads)
        parts.append(
            windows([each[:, None] for each in totals], bads, seconds=seconds, blocks=_blocks(blocks, len(requests)))
        )
    hours = parts[0][1] / 3600.0
    assumed = ASSUMED_TAU2_LATENCY if latency else ASSUMED_TAU2_ERRORS
    scale = (1 / control_pods + 1 / canary_pods) / (1 / (pods - part) + 1 / part)
    batches = Batches(*(np.concatenate([each[0][i] for each in parts]) for i in range(3)))
    # the default is one of the experiment, so it is not scaled
    found = [Dispersion(scale * tau2, hours) for tau2 in shrunken(batches, hours, assumed / scale).tolist()]
    if not hours:
        found = [Dispersion()] * len(found)
    return found[0] if flat else tuple(found)


def dispersion_of(totals: ArrayLike, bad: ArrayLike, *, hours: float, latency: bool = False) -> Dispersion:
    """The dispersion from batches that were summed elsewhere: what Prometheus can answer with one query per batch.

    Args:
        totals: requests of each half in each batch of 20 minutes, shape (batches, 2).
        bad: those of them that were bad (failed, or slower than an edge), same shape, 0 <= bad <= totals.
        hours: length of all batches together.
        latency: whether bad means slow; chooses the cautious default.

    Returns:
        The dispersion; with `tau2` None where the batches say nothing (no requests in one half, nothing bad, or
        everything), so that the cautious default is used.

    Raises:
        ValueError: the shapes differ or are not (batches, 2), or a count is impossible.
    """
    n, x = np.asarray(totals, dtype=np.float64), np.asarray(bad, dtype=np.float64)
    if n.shape != x.shape or n.ndim != 2 or n.shape[1] != 2:  # noqa: PLR2004 - two halves
        raise ValueError(f"totals and bad have the shapes {n.shape} and {x.shape}; give (batches, 2) for both")
    if np.any(x < 0) or np.any(x > n):
        raise ValueError("bad must be between 0 and totals in each half of each batch")
    batches = Batches(*_moments([n[:, :1], n[:, 1:]], [x[:, :1], x[:, 1:]]))
    if not (batches.chance > 0).any():
        return Dispersion()
    assumed = ASSUMED_TAU2_LATENCY if latency else ASSUMED_TAU2_ERRORS
    return Dispersion(float(shrunken(batches, hours, assumed)[0]), hours)


class Batches(NamedTuple):
    """Sums over batches of 20 minutes, each of shape (batches, k).

    Attributes:
        score: S = sum(x - m w).
        variance: V = sum(m w (1-w)), by which tau shifts the score.
        chance: variance of S by chance alone, sum(m w (1-w) (n-m)/(n-1)): less than V where many requests are bad.
    """

    score: Floats
    variance: Floats
    chance: Floats


def windows(totals: list[Floats], bads: list[Floats], *, seconds: float, blocks: ArrayLike) -> tuple[Batches, float]:
    """Overlapping batches of 20 minutes.

    Args:
        totals: requests of the two groups, each of shape (looks, k) or (looks, 1).
        bads: bad requests of the two groups, each of shape (looks, k).
        seconds: length of each look.
        blocks: shape (looks,).

    Returns:
        The batches, and the seconds that they cover.
    """
    length = max(1, round(BATCH_SECONDS / seconds))
    step = max(1, round(STEP_SECONDS / seconds))
    by_look = _moments(totals, bads)
    parts: list[list[Floats]] = [[np.zeros((0, bads[0].shape[1]))] for _ in by_look]
    used = 0
    at = np.asarray(blocks)
    borders = np.flatnonzero(np.diff(at)) + 1
    for first, last in itertools.pairwise([0, *borders.tolist(), len(at)]):
        begin = np.arange(0, last - first - length + 1, step)
        if not len(begin):
            continue
        used += int(begin[-1]) + length
        for part, rows in zip(parts, by_look, strict=True):
            sums = _summed(rows[first:last])
            part.append(sums[begin + length] - sums[begin])
    return Batches(*(np.concatenate(part) for part in parts)), used * seconds


def paule_mandel(batches: Batches) -> Floats:
    """tau^2 with sum(S^2 / (chance + tau^2 V^2)) = number of batches, 0 if it is less than that already.

    Args:
        batches: those in which chance has no variance say nothing.

    Returns:
        Shape (k,), at most 20.
    """
    counts = batches.chance > 0
    number = counts.sum(axis=0)
    square, shift = np.where(counts, batches.score**2, 0.0), batches.variance**2
    chance = np.where(counts, batches.chance, 1.0)
    low, high = np.zeros(square.shape[1]), np.full(square.shape[1], LARGEST_TAU2)
    for _ in range(50):
        middle = (low + high) / 2
        above = (square / (chance + middle * shift)).sum(axis=0) > number
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    flat = (square / chance).sum(axis=0) <= number
    return np.where(flat, 0.0, (low + high) / 2)


def shrunken(batches: Batches, hours: float, assumed: float) -> Floats:
    """tau^2 by `paule_mandel`, drawn to the cautious default as far as there is less than a day of history.

    A batch that tells tau^2 as well as a batch can weighs 1, the default six less what a part of a day takes away. A
    batch with few bad requests weighs less: chance blurs it by chance/V^2. A few batches that happen to agree are no
    proof of calm, so tau^2 counts as no less than the default here. Where no request was bad, the default stands.

    Args:
        batches: of the history.
        hours: of history.
        assumed: the cautious default.

    Returns:
        Shape (k,).
    """
    found = paule_mandel(batches)
    telling = batches.chance > 0
    blur = batches.chance / np.where(telling, batches.variance, 1.0) ** 2
    least = np.maximum(found, assumed)
    said = np.where(telling, (assumed / (least + np.where(telling, blur, 1.0))) ** 2, 0.0)
    # overlapping batches say little more than those side by side
    side_by_side = hours * 3600.0 / BATCH_SECONDS
    weight = said.mean(axis=0) * side_by_side if len(said) else np.zeros_like(found)
    prior = ASSUMED_WEIGHT * max(0.0, 1 - hours / FULL_HOURS)
    total = weight + prior
    blend = (weight * found + prior * assumed) / np.where(total > 0, total, 1.0)
    return np.where(weight > 0, blend, assumed)


def _moments(totals: list[Floats], bads: list[Floats]) -> tuple[Floats, Floats, Floats]:
    """Score, variance and chance of each look or batch."""
    served, trials = totals[0] + totals[1], bads[0] + bads[1]
    share = totals[1] / np.maximum(served, 1)
    variance = trials * share * (1 - share)
    return bads[1] - trials * share, variance, variance * (served - trials) / np.maximum(served - 1, 1)


def _summed(rows: Floats) -> Floats:
    return np.concatenate([np.zeros((1, rows.shape[1])), np.cumsum(rows, axis=0)])


def _blocks(blocks: ArrayLike | None, looks: int) -> ArrayLike:
    return np.zeros(looks) if blocks is None else blocks


def _check(totals: list[Floats], bads: list[Floats]) -> None:
    shapes = {len(total) for total in totals}
    if len(shapes) != 1 or bads[0].shape != bads[1].shape:
        raise ValueError("both groups of a history need the same looks and the same edges")
    if any((bad < 0).any() or (bad > total[:, None]).any() for bad, total in zip(bads, totals, strict=True)):
        raise ValueError("a history needs 0 <= bad <= total in every look")


def _splits(pods: int, part: int, seed: int) -> Iterator[np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """Groups of `part` pods: each pod once if it is one, else a few drawn at random, with the seed."""
    if part in {1, pods - 1}:
        for pod in range(pods):
            yield (np.arange(pods) == pod) == (part == 1)
        return
    rng = np.random.default_rng(seed)
    for _ in range(SPLITS):
        yield rng.permutation(pods) < part
