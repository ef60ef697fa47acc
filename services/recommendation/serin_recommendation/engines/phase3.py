"""Phase 3, the legacy: items that the same people liked, and nothing else.

It is kept because control serves it until the rollout is done, and because it is what Phase 4 must beat.
"""

import asyncio
from collections.abc import Sequence

from serin_recommendation.engines.base import History, Query, Ranked, Ranking, Versioned, barred_items, best
from serin_recommendation.engines.parts import spread
from serin_recommendation.model import Model


class ItemNeighboursEngine(Versioned):
    """Adds up, over what the user has seen, how near each other item is (cosine over users).

    Args:
        watch: Gives the model to answer with.
    """

    name = "phase3"
    code = "phase3-neighbours-2"

    def rank(self, model: Model, query: Query) -> Ranking:
        """Return the nearest items; for an unknown user the most popular ones."""
        history = History.of(model, query.profile)
        cold = history.items.size == 0
        part = "popularity" if cold else "neighbours"
        scores = (
            model.popularity if cold else model.neighbours.scores(history.items, history.strength, len(model.items))
        )
        chosen = best(scores, barred_items(model, history, query.exclusions), query.limit)
        ranked = tuple(
            Ranked(model.items[index], float(scores[index]), {part: float(scores[index])}) for index in chosen
        )
        return Ranking(ranked, f"{self.code}+{model.version}", cold_start=cold)

    async def recommend(self, query: Query) -> Ranking:
        """Return the nearest items. It takes less time than to hand it to a thread would."""
        return self.rank(self._watch.model, query)

    async def recommend_many(self, queries: Sequence[Query]) -> list[Ranking]:
        """Return the nearest items for each, beside the event loop."""
        model = self._watch.model
        return await asyncio.to_thread(lambda: [self.rank(model, query) for query in queries])

    def similar(self, item_id: str, limit: int) -> Ranking | None:
        """Return the neighbours of an item."""
        model = self._watch.model
        item = model.index.get(item_id)
        if item is None:
            return None
        items, weights = model.neighbours.row(item)
        scores = spread(items, weights, len(model.items))
        found = best(scores, model.find((item_id,)), limit)
        return Ranking(
            tuple(
                Ranked(model.items[index], float(scores[index]), {"neighbours": float(scores[index])})
                for index in found
                if scores[index] > 0
            ),
            f"{self.code}+{model.version}",
        )

    def close(self) -> None:
        """Nothing is held."""
