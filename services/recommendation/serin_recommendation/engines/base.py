"""The protocol of an engine, and what both engines share: who asks, what they have seen, and the choice of the best."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np

from serin_recommendation.data import UNKNOWN, Floats, Indices, Item
from serin_recommendation.model import Model, ModelSource


@dataclass(frozen=True, slots=True)
class Profile:
    """What is known of a user.

    Attributes:
        user_id: Who it is.
        persona: Index into PERSONAS of what they said of themselves, or UNKNOWN.
        item_ids: What they have seen, each once, oldest first.
        strength: How much each of these speaks for liking it, shape (n,).
        known: Whether the database has this user.
    """

    user_id: str
    persona: int = UNKNOWN
    item_ids: tuple[str, ...] = ()
    strength: Floats = field(default_factory=lambda: np.empty(0, np.float32))
    known: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """One question to an engine.

    Attributes:
        profile: Who asks; of an unknown user it is empty.
        limit: Number of items.
        persona: Persona given by the caller, or None to use what is known of the user.
        daypart: Index into DAYPARTS, or None when the time is unknown.
        exclusions: Ids of items that must not be in the answer; unknown ids are ignored.
    """

    profile: Profile
    limit: int = 10
    persona: str | None = None
    daypart: int | None = None
    exclusions: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class History:
    """What a user has seen, in a model's own numbering: items and their strength, both of shape (n,)."""

    items: Indices
    strength: Floats

    @classmethod
    def of(cls, model: Model, profile: Profile) -> "History":
        """Return the part of a profile that the model knows."""
        index = model.index
        pairs = [(index[item_id], place) for place, item_id in enumerate(profile.item_ids) if item_id in index]
        if not pairs:
            return cls(np.empty(0, np.int32), np.empty(0, np.float32))
        found = np.asarray(pairs, np.int32)
        return cls(found[:, 0], profile.strength[found[:, 1]])


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
        version: Engine and model that answered.
        cold_start: Whether nothing was known of the user.
        missing_parts: Parts of the engine that gave no answer in time; their share of the score is missing.
    """

    items: tuple[Ranked, ...]
    version: str = ""
    cold_start: bool = False
    missing_parts: tuple[str, ...] = ()


class RecommendationEngine(Protocol):
    """Ranks items for a user. One object a process, safe to share between requests."""

    @property
    def name(self) -> str:
        """`phase3` or `phase4`."""

    @property
    def version(self) -> str:
        """Version of the code and of the model."""

    @property
    def model_age(self) -> float:
        """Seconds since the model was made."""

    async def recommend(self, query: Query) -> Ranking:
        """Return the best items for `query`."""

    async def recommend_many(self, queries: Sequence[Query]) -> list[Ranking]:
        """Return the best items for each of many questions, in their order."""

    def similar(self, item_id: str, limit: int) -> Ranking | None:
        """Return the items that are most like one, or None when the model does not know it."""

    def close(self) -> None:
        """Give back what the engine holds."""


class Versioned:
    """What an engine on a trained model says of itself.

    Args:
        watch: Gives the model to answer with.
    """

    code: str
    """Version of the engine's own code."""

    def __init__(self, watch: ModelSource) -> None:
        self._watch = watch

    @property
    def version(self) -> str:
        """Version of the code and of the model."""
        return f"{self.code}+{self._watch.model.version}"

    @property
    def model_age(self) -> float:
        """Seconds since the model was made."""
        return self._watch.age


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
    # What ties with the last place may be on either side of the partition; take all of them, then the first by index:
    # the same question gets the same answer from every pod.
    top = np.flatnonzero(open_scores >= open_scores[top].min())
    return top[np.lexsort((top, -open_scores[top]))][:limit].astype(np.int32)


def barred_items(model: Model, history: History, exclusions: frozenset[str]) -> Indices:
    """Return the indices of what was seen and what is excluded."""
    if not exclusions:
        return history.items
    return np.concatenate((history.items, model.find(exclusions)))


_SMALLEST: Final = float(np.finfo(np.float32).tiny)


def scaled(scores: Floats) -> Floats:
    """Scale scores to 0..1, so that weights mean the same for every kind of evidence."""
    low, high = float(scores.min()), float(scores.max())
    # What differs by less than the smallest normal number has no reciprocal.
    if not high - low >= _SMALLEST:
        return np.zeros_like(scores)
    found: Floats = (scores - low) * np.float32(1.0 / (high - low))
    return found
