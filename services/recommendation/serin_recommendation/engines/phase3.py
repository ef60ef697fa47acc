"""Phase 3, the legacy: items that the same people liked, and nothing else.

It is kept because control serves it until the rollout is done, and because it is what Phase 4 must beat.
"""

import numpy as np

from serin_recommendation.data import Dataset, Floats
from serin_recommendation.engines.base import (
    Clock,
    Query,
    Ranked,
    Ranking,
    barred_items,
    best,
    history_of,
    popularity,
)

NEIGHBOURS = 60


def neighbour_similarity(data: Dataset, neighbours: int = NEIGHBOURS) -> Floats:
    """Return the cosine between items over users, only the nearest of each kept.

    Args:
        data: Interactions; each counts with its strength.
        neighbours: Items kept for each item.

    Returns:
        Shape (items, items), zero diagonal, row i the neighbours of item i.
    """
    matrix = np.zeros((len(data.user_ids), len(data.items)), np.float32)
    matrix[data.users, data.chosen] = data.strength
    norms = np.linalg.norm(matrix, axis=0)
    matrix /= np.where(norms > 0, norms, 1.0)
    similarity: Floats = matrix.T @ matrix
    np.fill_diagonal(similarity, 0.0)
    kept = min(neighbours, len(data.items) - 1)
    floor = np.partition(similarity, -kept, axis=1)[:, -kept]
    similarity[similarity < floor[:, None]] = 0.0
    return similarity


class ItemNeighboursEngine:
    """Adds up, over what the user has seen, how near each other item is."""

    name = "phase3"
    version = "phase3-neighbours-1"

    def __init__(self, data: Dataset) -> None:
        self._data = data
        self._similarity = neighbour_similarity(data)
        self._popularity = popularity(data)
        self._clock = Clock()

    @property
    def model_age(self) -> float:
        """Seconds since the model was made."""
        return self._clock.age

    async def recommend(self, query: Query) -> Ranking:
        """Return the nearest items; for an unknown user the most popular ones."""
        history = history_of(self._data, query.user_id)
        cold = history.size == 0
        part, scores = ("popularity", self._popularity) if cold else ("neighbours", self._similarity[history].sum(0))
        chosen = best(scores, barred_items(self._data, history, query.exclusions), query.limit)
        ranked = tuple(
            Ranked(self._data.items[index], float(scores[index]), {part: float(scores[index])}) for index in chosen
        )
        return Ranking(ranked, cold_start=cold)
