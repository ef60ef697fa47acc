"""Phase 4: an ensemble of collaborative, content and persona evidence.

The parts run at the same time, each with a budget. A part that is late or fails costs its budget and its share of the
score, and not the answer, which says which part was missing.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from serin_recommendation.data import Floats, Indices
from serin_recommendation.engines.base import History, Query, Ranked, Ranking, Versioned, barred_items, best, scaled
from serin_recommendation.engines.parallel import Parallel, Reason
from serin_recommendation.engines.parts import CollaborativePart, ContentPart, Part, PersonaPart
from serin_recommendation.model import Model, ModelSource

PARTS: Final[tuple[Part, ...]] = (CollaborativePart(), ContentPart(), PersonaPart())
BUDGET_SECONDS: Final = 0.04
"""Of each part, when nobody sets another: the parts together take a hundredth of it on an idle machine."""
BATCH_TIMES: Final = 10.0
"""Multiple of the budgets for a batch of up to 100 questions."""


class EnsembleRecommendationEngine(Versioned):
    """Adds up the parts' scores, each from 0 to 1 and weighted.

    Args:
        watch: Gives the model to answer with.
        parts: The parts; a test passes its own.
        budgets: Seconds of each part by its name; 40 ms for one that is not named.
        on_missing: Told of each part that gave no answer, and why.
    """

    name = "phase4"
    code = "phase4-ensemble-2"

    def __init__(
        self,
        watch: ModelSource,
        *,
        parts: Sequence[Part] = PARTS,
        budgets: Mapping[str, float] | None = None,
        on_missing: Callable[[str, Reason], None] | None = None,
    ) -> None:
        super().__init__(watch)
        self._parts = tuple(parts)
        given = budgets or {}
        self._parallel = Parallel({part.name: given.get(part.name, BUDGET_SECONDS) for part in parts})
        self._on_missing = on_missing or (lambda _part, _reason: None)

    def rank(self, model: Model, query: Query) -> Ranking:
        """Answer with the parts one after another and no budgets: for evaluation."""
        history = History.of(model, query.profile)
        return self._combine(
            model, query, history, {part.name: part.score(model, query, history) for part in self._parts}
        )

    async def recommend(self, query: Query) -> Ranking:
        """Return the items with the highest sum over the parts that answered in time."""
        model = self._watch.model
        history = History.of(model, query.profile)
        answers = await self._parallel.ask(
            {part.name: (lambda part=part: part.score(model, query, history)) for part in self._parts}  # type: ignore[misc]
        )
        self._tell(answers.missing)
        return self._combine(model, query, history, answers.given)

    async def recommend_many(self, queries: Sequence[Query]) -> list[Ranking]:
        """Answer many questions: each part works through all of them, the parts at the same time."""
        model = self._watch.model
        histories = [History.of(model, query.profile) for query in queries]
        pairs = list(zip(queries, histories, strict=True))
        answers = await self._parallel.ask(
            {
                part.name: (lambda part=part: [part.score(model, query, history) for query, history in pairs])  # type: ignore[misc]
                for part in self._parts
            },
            times=BATCH_TIMES,
        )
        self._tell(answers.missing)
        return await asyncio.to_thread(
            lambda: [
                self._combine(model, query, history, {name: many[place] for name, many in answers.given.items()})
                for place, (query, history) in enumerate(pairs)
            ]
        )

    def similar(self, item_id: str, limit: int) -> Ranking | None:
        """Return the items that most people and most words connect with one."""
        model = self._watch.model
        item = model.index.get(item_id)
        if item is None:
            return None
        found = {part: part.similar(model, item) for part in self._parts}
        answers = {part.name: scores for part, scores in found.items() if scores is not None}
        # Equal shares: the weights were fitted on what users choose, which is not how like two items are.
        shares = {name: scores * np.float32(1.0 / len(answers)) for name, scores in answers.items()}
        return Ranking(_top(model, shares, np.asarray([item], np.int32), limit), self._named(model))

    def close(self) -> None:
        """End the threads of the parts."""
        self._parallel.close()

    def _tell(self, missing: Mapping[str, Reason]) -> None:
        for name, reason in missing.items():
            self._on_missing(name, reason)

    def _named(self, model: Model) -> str:
        return f"{self.code}+{model.version}"

    def _combine(self, model: Model, query: Query, history: History, answers: Mapping[str, Floats | None]) -> Ranking:
        missing = tuple(part.name for part in self._parts if part.name not in answers)
        known = {name: scores for name, scores in answers.items() if scores is not None}
        barred = barred_items(model, history, query.exclusions)
        return Ranking(
            self._ranked(model, known, missing, barred, query.limit),
            self._named(model),
            cold_start=history.items.size == 0,
            missing_parts=missing,
        )

    def _ranked(
        self, model: Model, answers: Mapping[str, Floats], missing: Sequence[str], barred: Indices, limit: int
    ) -> tuple[Ranked, ...]:
        if not answers:
            # Every part is missing: what everybody likes is better than no answer.
            return _top(model, {"popularity": scaled(model.popularity)}, barred, limit)
        # The weight of a missing part is lost; that of a part that can know nothing of this user goes to the others.
        weights = {part.name: part.weight(model) for part in self._parts}
        whole = sum(weights[name] for name in (*answers, *missing)) or 1.0
        shares = {name: scores * np.float32(weights[name] / whole) for name, scores in answers.items()}
        return _top(model, shares, barred, limit)


def _top(model: Model, shares: Mapping[str, Floats], barred: Indices, limit: int) -> tuple[Ranked, ...]:
    """Add up the shares of the parts and return the best items."""
    total = sum(shares.values(), np.zeros(len(model.items), np.float32))
    return tuple(
        Ranked(
            model.items[index],
            float(total[index]),
            {name: float(share[index]) for name, share in shares.items()},
        )
        for index in best(total, barred, limit)
    )
