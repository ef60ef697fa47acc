"""Detection delay against false rollback, one point for every rule and cell: what nobody sees from two tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

if TYPE_CHECKING:
    from pathlib import Path

MISSED = 500.0
"""Minutes at which a rule is drawn that misses half of the faults."""


def draw(path: Path, points: dict[str, dict[str, tuple[float, float]]], bar: float) -> None:
    """Write the picture.

    Args:
        path: of the SVG.
        points: by cell, by rule: part of false rollbacks (0 to 1), and the median minutes until x2 is found.
        bar: the largest part of false rollbacks that is aimed at.
    """
    figure, axes = plt.subplots(1, len(points), figsize=(4 * len(points), 4.5), sharey=True, constrained_layout=True)
    for axis, (cell, rules) in zip(axes, points.items(), strict=True):
        for i, (rule, (part, minutes)) in enumerate(rules.items()):
            own = rule.startswith("Serin")
            axis.scatter(
                max(100 * part, 0.02),
                min(minutes, MISSED),
                label=rule,
                marker="*" if own else "osD^vP"[i % 6],
                s=180 if own else 60,
                zorder=3 if own else 2,
            )
        axis.axvline(100 * bar, color="grey", linestyle=":", linewidth=1)
        axis.axhline(MISSED, color="grey", linewidth=0.5)
        axis.set(xscale="log", yscale="log", title=cell, xlabel="healthy canary rolled back in 6 h, % (0 at the left)")
        axis.set_xlim(0.015, 150)
    axes[0].set_ylabel(f"minutes until x2 is rolled back, median ({MISSED:.0f}: missed)")
    axes[-1].legend(fontsize=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
