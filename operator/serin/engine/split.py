"""How many pods a weight means. The router and the simulated world share it, so that they can't differ."""

from typing import Final

_ALL: Final = 100


def pods_for(weight: int, total: int) -> tuple[int, int]:
    """(control, canary) pods for a weight in percent: each has at least one while it has any weight.

    Otherwise the canary gets the nearest number at or below the weight, for its share never exceeds its stage's. A
    single pod can't be split: it stays control's below 100 %.
    """
    if weight <= 0:
        return total, 0
    if weight >= _ALL:
        return 0, total
    canary = min(max(1, weight * total // _ALL), max(total - 1, 0))
    return total - canary, canary
