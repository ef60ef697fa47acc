"""Fits how much each kind of evidence counts: the weights with the best NDCG@10 on held-out interactions.

NDCG is no smooth function of the weights, and there are four of them, so the simplex is searched: first a coarse grid,
then around its best point. Only items that some evidence puts near the top can get into a top ten, so the search
looks at those alone.
"""

import itertools
from collections.abc import Iterator, Mapping
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
_STEPS: Final = (10, 20)
"""Parts into which the simplex is cut, from coarse to fine."""


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
    found = np.full(len(COMPONENTS), 1.0 / len(COMPONENTS))
    best = _ndcg(evidence, relevant, found)
    for number, steps in enumerate(_STEPS):
        around = None if number == 0 else found
        for weights in _grid(steps, around, 2.0 / _STEPS[number - 1]):
            value = _ndcg(evidence, relevant, weights)
            if value > best:
                best, found = value, weights
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


def _ndcg(evidence: Floats, relevant: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]) -> float:
    total = evidence @ weights.astype(np.float32)
    places = min(10, total.shape[1])
    top = np.argpartition(-total, places - 1, axis=1)[:, :places]
    order = np.argsort(-np.take_along_axis(total, top, axis=1), axis=1, kind="stable")
    gains = np.take_along_axis(relevant, np.take_along_axis(top, order, axis=1), axis=1)
    return float((gains * discounts(places)).sum(axis=1).mean())


def _grid(steps: int, around: npt.NDArray[np.float64] | None, reach: float) -> Iterator[npt.NDArray[np.float64]]:
    """Yield a grid on the simplex, no weight below LEAST, all within half of `reach` of `around`."""
    for cut in itertools.product(range(steps + 1), repeat=len(COMPONENTS) - 1):
        rest = steps - sum(cut)
        if rest < 0:
            continue
        weights = LEAST + (1.0 - LEAST * len(COMPONENTS)) * np.asarray((*cut, rest)) / steps
        if around is None or float(np.abs(weights - around).max()) <= reach / 2 + 1e-9:
            yield weights


def described(weights: Mapping[str, float]) -> str:
    """Return weights as people read them."""
    return ", ".join(f"{name} {weight:.3g}" for name, weight in weights.items())
