"""What a model is once it is trained: the catalogue and a handful of arrays.

Training needs implicit, scikit-learn and scipy, together 130 MB of a process. Serving needs sums over rows, which
numpy does on arrays that the page cache shares between all processes of a node.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from serin_recommendation.data import Floats, Indices, Item

COMPONENTS: Final = ("als", "bm25", "content", "persona")
"""Kinds of evidence that have a weight of their own; the first two are the collaborative part."""


@dataclass(frozen=True, eq=False)
class Neighbours:
    """For each item the items that are like it: the rows of a sparse matrix (CSR).

    Attributes:
        indptr: Row i is `indices[indptr[i]:indptr[i + 1]]`; shape (items + 1,).
        indices: Items, shape (kept,).
        weights: How like they are, above 0; shape (kept,).
    """

    indptr: Indices
    indices: Indices
    weights: Floats

    def row(self, item: int) -> tuple[Indices, Floats]:
        """Return the items that are like `item`, and how much."""
        begin, end = int(self.indptr[item]), int(self.indptr[item + 1])
        return self.indices[begin:end], self.weights[begin:end]

    def scores(self, history: Indices, strength: Floats, items: int) -> Floats:
        """Add up how like each item is to those of a history: the product of a sparse vector and the matrix.

        Args:
            history: Items, shape (n,).
            strength: Weight of each, shape (n,).
            items: Number of items.

        Returns:
            Shape (items,).
        """
        begins, lengths = self.indptr[history], np.diff(self.indptr)[history]
        # Positions of all rows one after another, without a loop over the rows.
        starts = np.repeat(begins - np.concatenate(([0], np.cumsum(lengths)[:-1])), lengths)
        positions = starts + np.arange(starts.size)
        weights = self.weights[positions] * np.repeat(strength, lengths)
        return np.bincount(self.indices[positions], weights=weights, minlength=items).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Model:
    """One version.

    Attributes:
        version: Name of the version.
        made_at: When it was trained, seconds since 1970.
        items: The catalogue.
        weights: Weight of each of COMPONENTS in the ensemble, sum 1.
        factors: ALS factors of each item, shape (items, factors).
        gram: Sum of the outer products of all factors, plus the regularisation; shape (factors, factors).
        alpha: How much confidence one unit of strength gives (ALS).
        bm25: Items that the same people like, by BM25.
        neighbours: The same by cosine: all that Phase 3 has.
        content: Items whose text is like (TF-IDF, cosine).
        taste: Share of each item in what a persona likes, shape (personas, items), rows sum to 1.
        taste_at: The same for each part of the day, shape (personas, dayparts, items).
        lift: Logarithm of how much more a persona likes an item than everybody does, shape (personas, items).
        popularity: Share of each item in what everybody likes, shape (items,), sum 1.
    """

    version: str
    made_at: float
    items: tuple[Item, ...]
    weights: Mapping[str, float]
    factors: Floats
    gram: Floats
    alpha: float
    bm25: Neighbours
    neighbours: Neighbours
    content: Neighbours
    taste: Floats
    taste_at: Floats
    lift: Floats
    popularity: Floats

    @cached_property
    def index(self) -> dict[str, int]:
        """Index of each item by its id."""
        return {item.item_id: index for index, item in enumerate(self.items)}

    @cached_property
    def unit_factors(self) -> Floats:
        """Factors of each item scaled to length 1, for cosines."""
        lengths = np.linalg.norm(self.factors, axis=1, keepdims=True)
        unit: Floats = (self.factors / np.maximum(lengths, 1e-9)).astype(np.float32)
        return unit

    def find(self, item_ids: Iterable[str]) -> Indices:
        """Return the indices of those items that the model knows."""
        index = self.index
        return np.asarray([index[item_id] for item_id in item_ids if item_id in index], np.int32)

    def fold_in(self, history: Indices, strength: Floats) -> Floats:
        """Return the ALS factors of a user from their history as it is now.

        It is the equation that ALS solves for each user while it trains (Hu, Koren, Volinsky 2008, equation 4), so an
        interaction counts from the next request on and not from the next training. A test holds it to implicit's own.

        Args:
            history: Items, shape (n,), n > 0.
            strength: Weight of each, shape (n,).

        Returns:
            Shape (factors,).
        """
        mine = self.factors[history]
        confidence = self.alpha * strength
        return np.linalg.solve(self.gram + mine.T @ (mine * (confidence - 1.0)[:, None]), mine.T @ confidence)
