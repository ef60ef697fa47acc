"""The parts of the Phase 4 ensemble: each scores all items for one user, by its own kind of evidence."""

from typing import Protocol

import numpy as np

from serin_recommendation.data import DAYPARTS, PERSONAS, Dataset, Floats, Indices
from serin_recommendation.engines.base import Query, popularity
from serin_recommendation.engines.phase3 import neighbour_similarity


class Part(Protocol):
    """One kind of evidence."""

    name: str

    def score(self, query: Query, history: Indices) -> Floats | None:
        """Return a score for each item, shape (items,), or None when this part knows nothing of the user."""


class CollaborativePart:
    """What people with the same history liked."""

    name = "collaborative"

    def __init__(self, data: Dataset) -> None:
        self._similarity = neighbour_similarity(data)

    def score(self, query: Query, history: Indices) -> Floats | None:
        """Add up the neighbours of the history."""
        del query
        if history.size == 0:
            return None
        scores: Floats = self._similarity[history].sum(0)
        return scores


class ContentPart:
    """What resembles the history by its text (TF-IDF, cosine)."""

    name = "content"

    def __init__(self, data: Dataset) -> None:
        vectors = tf_idf([item.text for item in data.items])
        self._similarity = vectors @ vectors.T
        np.fill_diagonal(self._similarity, 0.0)

    def score(self, query: Query, history: Indices) -> Floats | None:
        """Add up the likeness to each item of the history."""
        del query
        if history.size == 0:
            return None
        scores: Floats = self._similarity[history].sum(0)
        return scores


class PersonaPart:
    """What people of the same persona liked at this time of day; for strangers, what everybody likes."""

    name = "persona"
    _PRIOR = 40.0
    """Interactions that a persona must have at a time of day before its own taste outweighs the general one."""

    def __init__(self, data: Dataset) -> None:
        self._data = data
        general = popularity(data)
        counts = np.zeros((len(PERSONAS), len(DAYPARTS), len(data.items)), np.float32)
        np.add.at(counts, (data.personas[data.users], data.dayparts, data.chosen), data.strength)
        by_persona = counts.sum(1)
        self._taste = _smooth(by_persona, general, self._PRIOR)
        self._taste_at = _smooth(counts, self._taste[:, None, :], self._PRIOR)
        self._general = general

    def score(self, query: Query, history: Indices) -> Floats | None:
        """Return the taste of the user's persona, given or known."""
        del history
        if query.persona is not None:
            persona = PERSONAS.index(query.persona)
        else:
            user = self._data.user_index.get(query.user_id)
            if user is None:
                return self._general
            persona = int(self._data.personas[user])
        taste: Floats = self._taste[persona] if query.daypart is None else self._taste_at[persona, query.daypart]
        return taste


def tf_idf(texts: list[str]) -> Floats:
    """Return unit vectors of texts, one a row, one column a word, weighted by how rare the word is.

    Args:
        texts: Words separated by spaces.

    Returns:
        Shape (texts, words).
    """
    vocabulary = {word: column for column, word in enumerate(sorted({word for text in texts for word in text.split()}))}
    counts = np.zeros((len(texts), len(vocabulary)), np.float32)
    for row, text in enumerate(texts):
        for word in text.split():
            counts[row, vocabulary[word]] += 1.0
    # The smoothed form of scikit-learn's TfidfTransformer.
    rarity = np.log((1.0 + len(texts)) / (1.0 + (counts > 0).sum(0))) + 1.0
    weighted = counts * rarity.astype(np.float32)
    vectors: Floats = weighted / np.maximum(np.linalg.norm(weighted, axis=1, keepdims=True), 1e-9)
    return vectors


def _smooth(counts: Floats, prior: Floats, weight: float) -> Floats:
    smoothed: Floats = (counts + weight * prior) / (counts.sum(-1, keepdims=True) + weight)
    return smoothed
