"""How far control's bad requests come in clumps: what one look of the breaker is worth.

Half of a look's requests fail when the version is broken, and also when one client sends a batch that can't succeed.
Ten bad requests that come in clumps of ten are one piece of evidence. Control shows how large clumps are: it serves the
same clients. The measure is the index of dispersion of its looks, from differences of successive ones (von Neumann
1941), so that a swing of load or an incident does not count as clumps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from serin.stats.mixture import Floats

CLUMPS = 4
BAD, TOTAL, SQUARES, SEEN = range(CLUMPS)
"""Columns: control's counts in the look before; summed squared differences; the bad requests that they are made of."""

LEAST = 3.0
"""An index below this is what chance and noisy arms give as well: it counts as no clumps."""

OUTAGE = 0.25
"""A look in which so much of control fails is no client's batch."""

ENOUGH = 40.0
"""Bad requests below which the index says nothing."""


def counted(clumps: Floats, bad: Floats, total: Floats) -> Floats:
    """The sums after one look of each guardrail.

    Args:
        clumps: shape (n, CLUMPS).
        bad: control's bad requests in the look, shape (n,).
        total: all of control's, shape (n,). A look without any is passed over, and so is an outage.
    """
    before_bad, before = clumps[:, BAD], clumps[:, TOTAL]
    both = before * total
    square = (bad * before - before_bad * total) ** 2 / np.where(both > 0, both, 1.0)
    after = np.column_stack(
        [bad, total, clumps[:, SQUARES] + square, clumps[:, SEEN] + np.where(both > 0, bad + before_bad, 0.0)]
    )
    return np.where(((total > 0) & (bad < OUTAGE * total))[:, None], after, clumps)


def size(clumps: Floats) -> Floats:
    """Bad requests that are worth one, 1 or at least `LEAST`; shape (n,)."""
    index = clumps[:, SQUARES] / np.maximum(clumps[:, SEEN], 1.0)
    return np.where((clumps[:, SEEN] >= ENOUGH) & (index >= LEAST), index, 1.0)
