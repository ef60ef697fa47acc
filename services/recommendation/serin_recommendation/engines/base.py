"""The protocol of an engine, and what both engines share: histories, exclusions and the choice of the best."""

import time
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from serin_recommendation.data import Dataset, Floats, Indices, Item


@dataclass(frozen=True, slots=True)
class Query:
    """One question to an engine.

    Attributes:
        user_id: Who asks; an unknown user gets the cold-start answer.
        limit: Number of items.
        persona: Persona given by the caller, or None to use what is known of the user.
        daypart: Index into DAYPARTS, or None when the time is unknown.
        exclusions: Ids of items that must not be in the answer; unknown ids are ignored.
    """

    user_id: str
    limit: int = 10
    persona: str | None = None
    daypart: int | None = None
    exclusions: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Ranked:
    """One item of an answer, with the share that each part has in its score."""

    item: Item
    score: float
    parts: dict[str, float]


@dataclass(frozen=True, slots=True)
class Ranking:
    """An engine's answer: the best first.

    Attributes:
        items: At most `limit` items, without what the user has seen and without exclusions.
        cold_start: Whether nothing was known of the user.
        missing_parts: Parts of the engine that failed; their weight went to the others.
    """

    items: tuple[Ranked, ...]
    cold_start: bool = False
    missing_parts: tuple[str, ...] = ()


class RecommendationEngine(Protocol):
    """Ranks items for a user. One object a process, safe to share between requests."""

    name: str
    version: str

    @property
    def model_age(self) -> float:
        """Seconds since the model was made."""

    async def recommend(self, query: Query) -> Ranking:
        """Return the best items for `query`."""


@dataclass(slots=True)
class Clock:
    """When a model was made."""

    made_at: float = field(default_factory=time.monotonic)

    @property
    def age(self) -> float:
        """Seconds since then."""
        return time.monotonic() - self.made_at


def history_of(data: Dataset, user_id: str) -> Indices:
    """Return the items of a user, oldest first; empty for an unknown user."""
    user = data.user_index.get(user_id)
    return data.histories[user] if user is not None else np.empty(0, np.int32)


def popularity(data: Dataset) -> Floats:
    """Return the share of liking that each item has; shape (items,), sum 1."""
    weights = np.bincount(data.chosen, weights=data.strength, minlength=len(data.items))
    return (weights / max(float(weights.sum()), 1.0)).astype(np.float32)


def best(scores: Floats, barred: Indices, limit: int) -> Indices:
    """Return the indices of the `limit` highest scores, best first, none of them in `barred`.

    Args:
        scores: Shape (items,).
        barred: Indices that must not be returned.
        limit: At least 1.
    """
    open_scores = scores.copy()
    open_scores[barred] = -np.inf
    limit = min(limit, int(np.isfinite(open_scores).sum()))
    if limit == 0:
        return np.empty(0, np.int32)
    top = np.argpartition(-open_scores, limit - 1)[:limit]
    # Ties are broken by the index: the same question gets the same answer from every pod.
    return top[np.lexsort((top, -open_scores[top]))].astype(np.int32)


def barred_items(data: Dataset, history: Indices, exclusions: frozenset[str]) -> Indices:
    """Return the indices of what was seen and what is excluded."""
    excluded = [data.item_index[item_id] for item_id in exclusions if item_id in data.item_index]
    return np.concatenate((history, np.asarray(excluded, np.int32)))
