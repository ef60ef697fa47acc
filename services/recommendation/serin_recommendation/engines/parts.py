"""The parts of the Phase 4 ensemble: each scores all items for one user, by its own kind of evidence.

A part reads the model and nothing else, so parts can run in threads at the same time.
"""

from typing import Final, Protocol

import numpy as np

from serin_recommendation.data import PERSONAS, Floats, Indices
from serin_recommendation.engines.base import History, Query, scaled
from serin_recommendation.model import Model

TRUST: Final = 0.85
"""How likely it is, before anything was watched, that a user's persona is the one that they told."""


class Part(Protocol):
    """One kind of evidence."""

    @property
    def name(self) -> str:
        """The name in answers and metrics."""

    def weight(self, model: Model) -> float:
        """Return the share of this part in a score."""

    def score(self, model: Model, query: Query, history: History) -> Floats | None:
        """Return a score from 0 to 1 for each item, shape (items,), or None when nothing is known of the user."""

    def similar(self, model: Model, item: int) -> Floats | None:
        """Return how like each item is to one, 0 to 1, shape (items,), or None when this part can't compare items."""


class CollaborativePart:
    """What people with the same history liked: ALS factors, and BM25 neighbours."""

    name = "collaborative"

    def weight(self, model: Model) -> float:
        """Return the weights of both together."""
        return model.weights["als"] + model.weights["bm25"]

    def score(self, model: Model, query: Query, history: History) -> Floats | None:
        """Fold the history into the factors, add up the neighbours, and weigh the two."""
        del query
        if history.items.size == 0:
            return None
        als = model.factors @ model.fold_in(history.items, history.strength)
        bm25 = model.bm25.scores(history.items, history.strength, len(model.items))
        return self._both(model, als, bm25)

    def similar(self, model: Model, item: int) -> Floats:
        """Compare factors by their angle, and take the neighbours."""
        als = model.unit_factors @ model.unit_factors[item]
        return self._both(model, als, spread(*model.bm25.row(item), len(model.items)))

    def _both(self, model: Model, als: Floats, bm25: Floats) -> Floats:
        weight = self.weight(model)
        share = model.weights["als"] / weight if weight > 0 else 0.5
        both: Floats = np.float32(share) * scaled(als) + np.float32(1.0 - share) * scaled(bm25)
        return both


class ContentPart:
    """What resembles the history by its text (TF-IDF, cosine)."""

    name = "content"

    def weight(self, model: Model) -> float:
        """Return the weight of texts."""
        return model.weights["content"]

    def score(self, model: Model, query: Query, history: History) -> Floats | None:
        """Add up the likeness to each item of the history."""
        del query
        if history.items.size == 0:
            return None
        return scaled(model.content.scores(history.items, history.strength, len(model.items)))

    def similar(self, model: Model, item: int) -> Floats:
        """Take the nearest texts."""
        return scaled(spread(*model.content.row(item), len(model.items)))


class PersonaPart:
    """What people of the same persona like at this time of day; for strangers, what everybody likes.

    A user's persona is what they told, corrected by what they watched: some tell nothing, some tell wrong.
    """

    name = "persona"

    def weight(self, model: Model) -> float:
        """Return the weight of personas."""
        return model.weights["persona"]

    def score(self, model: Model, query: Query, history: History) -> Floats:
        """Mix the tastes of all personas by how likely the user has each."""
        if query.persona is not None:
            chance = np.zeros(len(PERSONAS), np.float32)
            chance[PERSONAS.index(query.persona)] = 1.0
        elif history.items.size == 0 and query.profile.persona < 0 and query.daypart is None:
            return scaled(np.log(model.popularity))
        else:
            chance = likely_personas(model, query.profile.persona, history.items)
        taste = model.taste if query.daypart is None else model.taste_at[:, query.daypart]
        return scaled(np.log(chance @ taste))

    def similar(self, model: Model, item: int) -> None:
        """Personas tell nothing about how like two items are."""
        del model, item


def likely_personas(model: Model, told: int, seen: Indices) -> Floats:
    """Return how likely a user has each persona, by Bayes' rule; shape (personas,), sum 1.

    Args:
        model: Has the lift of each item for each persona.
        told: Index of the persona that the user told, or UNKNOWN.
        seen: Items that the user has seen, taken as independent signs.
    """
    prior = np.full(len(PERSONAS), 1.0 / len(PERSONAS))
    if told >= 0:
        prior[:] = (1.0 - TRUST) / (len(PERSONAS) - 1)
        prior[told] = TRUST
    evidence = np.log(prior) + model.lift[:, seen].sum(axis=1)
    chance = np.exp(evidence - evidence.max())
    shares: Floats = (chance / chance.sum()).astype(np.float32)
    return shares


def spread(items: Indices, weights: Floats, size: int) -> Floats:
    """Return weights at the places of their items, 0 elsewhere; shape (size,)."""
    scores = np.zeros(size, np.float32)
    scores[items] = weights
    return scores
