"""Fits how much each kind of evidence counts: weights with a high NDCG@10 on held-out interactions.

NDCG is no smooth function of the weights, and there are four of them, so a grid on the simplex is searched. Its top is
flat: many mixtures are as good as the best one within the chance of who was judged. The mean of those is what is taken,
since it changes less with that chance than the best one does. Only items that some evidence puts near the top can get
into a top ten, so the search looks at those alone.
"""

import itertools
from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from serin_recommendation.data import Floats, Split
from serin_recommendation.engines.base import History, Query, scaled
from serin_recommendation.engines.parts import PersonaPart
from serin_recommendation.model.arrays import COMPONENTS, Model
from serin_recommendation.training.measures import discounts
from serin_recommendation.training.profiles import profiles

USERS: Final = 1500
"""Users at most that the weights are fitted on."""
CANDIDATES: Final = 40
"""Of each kind of evidence."""
LEAST: Final = 0.05
"""Of each kind of evidence: what is worth nothing for the average user is all there is for some, and for new items."""
_STEPS: Final = 10
"""Parts into which an edge of the simplex is cut."""


def fit_weights(model: Model, split: Split, *, users: int = USERS, seed: int = 11) -> dict[str, float]:
    """Return the weight of each of COMPONENTS, sum 1.

    Args:
        model: Fitted on `split.seen` alone.
        split: Interactions, and later ones to judge by.
        users: Users at most, drawn by `seed`.
        seed: Which users.

    Raises:
        ValueError: No user has interactions that were held out.
    """
    judged = np.unique(split.held_out.users)
    if not judged.size:
        raise ValueError("no user has enough interactions to fit weights on: at least 5 are needed")
    chosen = np.random.default_rng(seed).permutation(judged)[:users]
    evidence, relevant = _candidates(model, split, chosen)
    mixtures = _grid()
    gains = np.stack([_ndcg(evidence, relevant, weights) for weights in mixtures])
    best = int(gains.mean(axis=1).argmax())
    behind = gains[best] - gains
    error = behind.std(axis=1) / np.sqrt(chosen.size)
    found = mixtures[behind.mean(axis=1) <= error].mean(axis=0)
    return {name: round(float(weight), 6) for name, weight in zip(COMPONENTS, found, strict=True)}


def component_scores(model: Model, query: Query) -> list[Floats]:
    """Return the score of each of COMPONENTS for all items, each from 0 to 1."""
    history = History.of(model, query.profile)
    size = len(model.items)
    return [
        scaled(model.factors @ model.fold_in(history.items, history.strength)),
        scaled(model.bm25.scores(history.items, history.strength, size)),
        scaled(model.content.scores(history.items, history.strength, size)),
        PersonaPart().score(model, query, history),
    ]


def _candidates(model: Model, split: Split, users: npt.NDArray[np.integer]) -> tuple[Floats, npt.NDArray[np.float64]]:
    """Return the evidence of the candidates, shape (users, candidates, components), and their relevance.

    The relevance of a candidate is 1 over the ideal DCG of its user, or 0; shape (users, candidates).
    """
    width = CANDIDATES * len(COMPONENTS)
    evidence = np.full((users.size, width, len(COMPONENTS)), -1.0, np.float32)
    relevant = np.zeros((users.size, width))
    known = profiles(split.seen)
    gains = np.cumsum(discounts(10))
    for row, user in enumerate(users):
        query = Query(known[user])
        scores = np.stack(component_scores(model, query), axis=1)
        history = History.of(model, query.profile)
        scores[history.items] = -1.0
        near = min(CANDIDATES, len(scores))
        top = np.unique(np.argpartition(-scores, near - 1, axis=0)[:near])
        held_out = split.held_out.chosen[split.held_out.rows_of[user]]
        evidence[row, : top.size] = scores[top]
        relevant[row, : top.size] = np.isin(top, held_out) / gains[min(held_out.size, 10) - 1]
    return evidence, relevant


def _ndcg(
    evidence: Floats, relevant: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return NDCG@10 of each user under one mixture, shape (users,)."""
    total = evidence @ weights.astype(np.float32)
    places = min(10, total.shape[1])
    top = np.argpartition(-total, places - 1, axis=1)[:, :places]
    order = np.argsort(-np.take_along_axis(total, top, axis=1), axis=1, kind="stable")
    gains = np.take_along_axis(relevant, np.take_along_axis(top, order, axis=1), axis=1)
    summed: npt.NDArray[np.float64] = (gains * discounts(places)).sum(axis=1)
    return summed


def _grid() -> npt.NDArray[np.float64]:
    """Return a grid on the simplex, no weight below LEAST; shape (mixtures, components)."""
    cuts = itertools.product(range(_STEPS + 1), repeat=len(COMPONENTS) - 1)
    points = np.asarray([(*cut, _STEPS - sum(cut)) for cut in cuts if sum(cut) <= _STEPS])
    return LEAST + (1.0 - LEAST * len(COMPONENTS)) * points / _STEPS


def described(weights: Mapping[str, float]) -> str:
    """Return weights as people read them."""
    return ", ".join(f"{name} {weight:.3g}" for name, weight in weights.items())
