"""Fits each kind of evidence on interactions: implicit's ALS, BM25 and cosine, scikit-learn's TF-IDF, persona shares.

The hyper-parameters were chosen on validation interactions of the synthetic set; `evaluate` shows what they give on
others.
"""

import os
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

# implicit's own pool is told to use one thread; a BLAS with many would fight it for the cores, and says so at each fit.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import scipy.sparse as sp
from implicit.als import AlternatingLeastSquares
from implicit.nearest_neighbours import BM25Recommender, CosineRecommender
from implicit.utils import ParameterWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from threadpoolctl import threadpool_limits

from serin_recommendation.data import DAYPARTS, PERSONAS, Dataset, Floats, Indices
from serin_recommendation.model.arrays import COMPONENTS, Model, Neighbours

EQUAL_WEIGHTS: Final[Mapping[str, float]] = dict.fromkeys(COMPONENTS, 1.0 / len(COMPONENTS))
_WORD: Final = r"(?u)\b\w[\w-]+\b"
"""Of any script; one letter alone is none."""
_CONTENT_CHUNK: Final = 1024
"""Rows of the text matrix that are compared with all others at a time, so that memory stays bounded."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How the evidence is fitted.

    Attributes:
        factors: Length of ALS factors.
        regularization: Of ALS.
        alpha: Confidence of one unit of strength, ALS.
        iterations: Of ALS.
        bm25_neighbours: Items kept for each item by BM25.
        bm25_k1: How fast BM25 saturates.
        bm25_b: How much BM25 divides by the length of a history.
        cosine_neighbours: Items kept for each item by cosine: Phase 3.
        content_neighbours: Items kept for each item by text.
        persona_prior: Interactions that a persona needs before its own taste outweighs everybody's.
        daypart_prior: The same for a persona's part of the day.
        seed: Of ALS.
    """

    factors: int = 16
    regularization: float = 5.0
    alpha: float = 2.0
    iterations: int = 15
    bm25_neighbours: int = 200
    bm25_k1: float = 1.2
    bm25_b: float = 0.75
    cosine_neighbours: int = 60
    content_neighbours: int = 200
    persona_prior: float = 200.0
    daypart_prior: float = 300.0
    seed: int = 7


def fit(data: Dataset, settings: Settings | None = None, weights: Mapping[str, float] = EQUAL_WEIGHTS) -> Model:
    """Fit a model.

    Args:
        data: Interactions to learn from; at least one.
        settings: How.
        weights: Weight of each kind of evidence; `fit_weights` finds them.

    Returns:
        A model without a version; `save` names it.

    Raises:
        ValueError: There is nothing to learn from.
    """
    if not data.users.size or not data.items:
        raise ValueError("there are no interactions to learn from: seed or load some first")
    settings = settings or Settings()
    with threadpool_limits(1), warnings.catch_warnings():
        # implicit converts its own intermediate matrices, and warns of it.
        warnings.simplefilter("ignore", ParameterWarning)
        matrix = _matrix(data)
        als = AlternatingLeastSquares(
            factors=settings.factors,
            regularization=settings.regularization,
            alpha=settings.alpha,
            iterations=settings.iterations,
            num_threads=1,
            random_state=settings.seed,
        )
        als.fit(matrix, show_progress=False)
        factors = np.asarray(als.item_factors, np.float32)
        bm25 = BM25Recommender(settings.bm25_neighbours, settings.bm25_k1, settings.bm25_b, num_threads=1)
        bm25.fit(matrix, show_progress=False)
        cosine = CosineRecommender(settings.cosine_neighbours, num_threads=1)
        cosine.fit(matrix, show_progress=False)
        taste = _taste(data, settings)
        return Model(
            version="",
            made_at=time.time(),
            items=data.items,
            weights=weights,
            factors=factors,
            gram=(factors.T @ factors + settings.regularization * np.eye(settings.factors)).astype(np.float32),
            alpha=settings.alpha,
            bm25=_rows(bm25.similarity),
            neighbours=_rows(cosine.similarity),
            content=_content(data, settings.content_neighbours),
            **taste,
        )


def _matrix(data: Dataset) -> Any:
    return sp.csr_matrix(
        (data.strength, (data.users, data.chosen)), shape=(len(data.user_ids), len(data.items)), dtype=np.float32
    )


def _rows(matrix: Any) -> Neighbours:
    """Turn a square sparse matrix into rows, without the likeness of an item to itself and without zeros.

    BM25's weights of an item that most users know fall below zero; as evidence for something else they are noise.
    """
    found = matrix.tocoo()
    keep = (found.row != found.col) & (found.data > 0)
    rows = sp.csr_matrix((found.data[keep], (found.row[keep], found.col[keep])), shape=matrix.shape)
    rows.sort_indices()
    return Neighbours(rows.indptr.astype(np.int32), rows.indices.astype(np.int32), np.asarray(rows.data, np.float32))


def _content(data: Dataset, kept: int) -> Neighbours:
    """Compare the texts of all items, and keep the nearest of each."""
    texts = [" ".join((item.title, *item.genres, item.text)) for item in data.items]
    if not any(text.strip() for text in texts):
        texts = [item.item_id for item in data.items]
    vectors = TfidfVectorizer(sublinear_tf=True, token_pattern=_WORD).fit_transform(texts)
    common = np.asarray(vectors @ np.asarray(vectors.mean(axis=0)).T, np.float32).T
    blocks = []
    for begin in range(0, len(texts), _CONTENT_CHUNK):
        block = np.asarray((vectors[begin : begin + _CONTENT_CHUNK] @ vectors.T).todense(), np.float32)
        # A text of common words is a little like everything, which says nothing: only what is beyond that counts.
        block = np.maximum(block - common, 0.0)
        if kept < block.shape[1]:
            floor = np.partition(block, -kept, axis=1)[:, -kept]
            block[block < floor[:, None]] = 0.0
        blocks.append(sp.csr_matrix(block))
    return _rows(sp.vstack(blocks))


def _taste(data: Dataset, settings: Settings) -> dict[str, Floats]:
    """Count what each persona likes, at each part of the day, and lean on everybody's taste where there is little."""
    everybody = np.bincount(data.chosen, weights=data.strength, minlength=len(data.items)) + 1e-3
    everybody /= everybody.sum()
    counts = np.zeros((len(PERSONAS), len(DAYPARTS) + 1, len(data.items)))
    personas: Indices = data.personas[data.users]
    told = personas >= 0
    # An unknown part of the day is -1: the last place, which counts for the persona alone.
    np.add.at(counts, (personas[told], data.dayparts[told], data.chosen[told]), data.strength[told])
    taste = _smooth(counts.sum(1), everybody, settings.persona_prior)
    taste_at = _smooth(counts[:, : len(DAYPARTS)], taste[:, None, :], settings.daypart_prior)
    return {
        "taste": taste.astype(np.float32),
        "taste_at": taste_at.astype(np.float32),
        "lift": np.log(taste / everybody).astype(np.float32),
        "popularity": everybody.astype(np.float32),
    }


def _smooth(counts: Any, prior: Any, weight: float) -> Any:
    return (counts + weight * prior) / (counts.sum(-1, keepdims=True) + weight)
