"""Counts of buckets from two sums, where nothing but counting happened between them.

What a histogram's series rose by, series by series (`queries.count`), costs Prometheus most of a look: of each the last
value, the one before the look, their difference, and what of it is a restart. Of pods that are there at both ends and
did not restart, the difference of two sums is the same number, and the sum at the beginning is what the last look had
at its end. Prometheus says of whom that holds (`queries.steady`); all others are counted series by series.
"""

import math
from array import array
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from serin.metrics.presets import Values

_KEPT_SECONDS: Final = 3600.0
"""A variant that was not looked at for so long is forgotten; asking again costs one query for all such."""


@dataclass(frozen=True, slots=True)
class _End:
    at: float
    series: float
    edges: tuple[float, ...]
    sums: "array[float]"


@dataclass(slots=True)
class Sums:
    """Of each variant that one server knows by the same names: the sums of its buckets at the end of its last look.

    A sum is of the last value that each series has in a look, and good for another of the same end in which as many
    series have one: of two looks that end together, the longer one has the series of the shorter, or more. As many also
    says that no series came late into Prometheus, after its sum was asked for.
    """

    _ends: OrderedDict[Values, _End] = field(default_factory=OrderedDict)
    _edges: dict[tuple[float, ...], tuple[float, ...]] = field(default_factory=dict)
    """Of thousands of variants, the few sets of edges that they have."""

    def keep(self, variant: Values, at: float, sums: Mapping[float, float], series: float) -> None:
        """What so many series came to at the Unix time `at`; edges in seconds."""
        edges = tuple(sorted(sums))
        edges = self._edges.setdefault(edges, edges)
        self._ends[variant] = _End(at, series, edges, array("d", [sums[edge] for edge in edges]))
        self._ends.move_to_end(variant)
        while next(iter(self._ends.values())).at < at - _KEPT_SECONDS:
            self._ends.popitem(last=False)
        if len(self._edges) > len(self._ends):
            self._edges = {each.edges: each.edges for each in self._ends.values()}

    def knows(self, variant: Values, at: float, series: float) -> bool:
        """Whether there is what just so many series had at `at`."""
        end = self._ends.get(variant)
        return end is not None and end.at == at and end.series == series

    def rise(self, variant: Values, at: float, sums: Mapping[float, float], series: float) -> dict[float, float] | None:
        """By edge, what `sums` of so many series are more than at `at`; None where that is not known, or no count."""
        end = self._ends.get(variant)
        if end is None or not self.knows(variant, at, series) or len(end.edges) != len(sums):
            return None
        try:
            found = {edge: sums[edge] - before for edge, before in zip(end.edges, end.sums, strict=True)}
        except KeyError:
            return None
        return found if all(0 <= value < math.inf for value in found.values()) else None
