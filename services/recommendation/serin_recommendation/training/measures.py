"""What a ranking is worth on items that were held out (Järvelin and Kekäläinen 2002 for NDCG)."""

import math
from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt


def discounts(places: int) -> npt.NDArray[np.float64]:
    """Return how much each place counts, the first one 1; shape (places,)."""
    return 1.0 / np.log2(np.arange(2, places + 2))


def ndcg(ranked: Sequence[str], relevant: Collection[str], places: int = 10) -> float:
    """Return the discounted gain of the first places, as a share of the best that was possible; 0 to 1.

    Args:
        ranked: Items, the best first.
        relevant: Items that were held out; at least one.
        places: Places that count.
    """
    gain = sum(1.0 / math.log2(place + 2) for place, item in enumerate(ranked[:places]) if item in relevant)
    return gain / sum(1.0 / math.log2(place + 2) for place in range(min(places, len(relevant))))


def recall(ranked: Sequence[str], relevant: Collection[str], places: int = 20) -> float:
    """Return the share of the held-out items that is among the first places; 0 to 1."""
    return len(set(ranked[:places]) & set(relevant)) / len(relevant)


def coverage(rankings: Collection[Sequence[str]], items: int, places: int = 10) -> float:
    """Return the share of the catalogue that anybody was shown in the first places; 0 to 1."""
    return len({item for ranked in rankings for item in ranked[:places]}) / items
