"""Phase 4: an ensemble of collaborative, content and persona evidence.

A part that fails costs its weight and not the answer, which says which part was missing. The parts run one after
another: together they take less time than handing one of them to a thread would.
"""

import numpy as np
import structlog

from serin_recommendation.data import Dataset, Floats
from serin_recommendation.engines.base import Clock, Query, Ranked, Ranking, barred_items, best, history_of
from serin_recommendation.engines.parts import CollaborativePart, ContentPart, Part, PersonaPart

WEIGHTS = {"collaborative": 0.2, "content": 0.3, "persona": 0.5}
"""Share of each part in the score of a user with a history; a test holds the sum above each rival on held-out data."""

log = structlog.get_logger("phase4")


class EnsembleRecommendationEngine:
    """Adds up the parts' scores, each scaled to 0..1 and weighted.

    Args:
        data: What the parts are fitted on.
        parts: Parts by name with their weight; a test passes its own. Default: the three of this module.
    """

    name = "phase4"
    version = "phase4-ensemble-1"

    def __init__(self, data: Dataset, parts: tuple[Part, ...] | None = None) -> None:
        self._data = data
        self._parts = parts or (CollaborativePart(data), ContentPart(data), PersonaPart(data))
        self._clock = Clock()

    @property
    def model_age(self) -> float:
        """Seconds since the model was made."""
        return self._clock.age

    async def recommend(self, query: Query) -> Ranking:
        """Return the items with the highest weighted score over the parts that answered."""
        history = history_of(self._data, query.user_id)
        answers: dict[str, Floats] = {}
        missing: list[str] = []
        for part in self._parts:
            try:
                scores = part.score(query, history)
            except Exception:
                log.exception("a part of the ensemble failed", part=part.name)
                missing.append(part.name)
                continue
            if scores is not None:
                answers[part.name] = _scaled(scores)
        total_weight = sum(WEIGHTS[name] for name in answers)
        shares = {name: scores * (WEIGHTS[name] / total_weight) for name, scores in answers.items()}
        total = sum(shares.values(), np.zeros(len(self._data.items), np.float32))
        chosen = best(total, barred_items(self._data, history, query.exclusions), query.limit)
        ranked = tuple(
            Ranked(
                self._data.items[index],
                float(total[index]),
                {name: float(share[index]) for name, share in shares.items()},
            )
            for index in chosen
        )
        return Ranking(ranked, cold_start=history.size == 0, missing_parts=tuple(missing))


def _scaled(scores: Floats) -> Floats:
    """Scale scores to 0..1, so that weights mean the same for every part."""
    low, high = float(scores.min()), float(scores.max())
    scaled: Floats = (scores - low) / (high - low) if high > low else np.zeros_like(scores)
    return scaled
