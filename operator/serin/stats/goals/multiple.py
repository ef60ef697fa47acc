"""Many comparisons at once: Holm for claims, Benjamini-Hochberg for segments, which are explored and never decide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from serin.stats.goals.welch import Comparison, welch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from serin.stats.goals.moments import Moments


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values of Holm's step-down method (Holm 1979): the chance of any false claim is kept, always.

    Args:
        p_values: raw p-values in [0, 1], in any order; any number of them.

    Returns:
        As many, in the same order; a claim holds when its own is at most alpha.

    Raises:
        ValueError: something that is not a probability.
    """
    raw = _checked(p_values)
    order = np.argsort(raw, kind="stable")
    steps = (len(raw) - np.arange(len(raw))) * raw[order]
    return _restored(np.minimum(np.maximum.accumulate(steps), 1.0), order)


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values of Benjamini and Hochberg (1995): the share of false ones among the findings is kept.

    Args and returns as in `holm`.

    Raises:
        ValueError: something that is not a probability.
    """
    raw = _checked(p_values)
    order = np.argsort(raw, kind="stable")
    steps = raw[order] * len(raw) / np.arange(1, len(raw) + 1)
    return _restored(np.minimum(np.minimum.accumulate(steps[::-1])[::-1], 1.0), order)


@dataclass(frozen=True, slots=True)
class Segment:
    """One part of the users, explored: nothing was planned for it, so it suggests and proves nothing.

    Attributes:
        name: the segment.
        comparison: its users alone; None when there are too few to compare.
        adjusted: its p-value after Benjamini-Hochberg over all segments; None likewise.
        exploratory: always True. Whoever prints a segment prints this too.
    """

    name: str
    comparison: Comparison | None
    adjusted: float | None
    exploratory: bool = True


def segments(parts: Mapping[str, tuple[Moments, Moments]]) -> tuple[Segment, ...]:
    """Each segment's comparison with p-values adjusted over the segments, in the order of their names.

    Args:
        parts: (control, canary) by the segment's name.
    """
    found = {name: welch(*parts[name]) for name in sorted(parts)}
    compared = {name: each for name, each in found.items() if each is not None}
    adjusted = dict(zip(compared, benjamini_hochberg([each.p for each in compared.values()]), strict=True))
    return tuple(Segment(name, each, adjusted.get(name)) for name, each in found.items())


def _checked(p_values: Sequence[float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    raw = np.asarray(p_values, dtype=np.float64).reshape(-1)
    if not bool(np.all((raw >= 0) & (raw <= 1))):
        raise ValueError("p-values are probabilities between 0 and 1")
    return raw


def _restored(
    adjusted: np.ndarray[tuple[int], np.dtype[np.float64]], order: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> list[float]:
    result = np.empty(len(adjusted))
    result[order] = adjusted
    return [float(value) for value in result]
