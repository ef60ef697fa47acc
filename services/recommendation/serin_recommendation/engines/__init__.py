"""Engines that rank items: one protocol, and both phases behind it.

Both stay maintained until the rollout from one to the other is done.

- `base`: questions, answers, and the choice of the best; `phase3`: item neighbours, the legacy.
- `phase4`: the ensemble; `parts`: its kinds of evidence; `parallel`: runs them at the same time with budgets.
"""

from collections.abc import Callable, Mapping

from serin_recommendation.engines.base import Profile, Query, Ranked, Ranking, RecommendationEngine
from serin_recommendation.engines.parallel import Reason
from serin_recommendation.engines.phase3 import ItemNeighboursEngine
from serin_recommendation.engines.phase4 import EnsembleRecommendationEngine
from serin_recommendation.model import ModelSource
from serin_services.settings import EngineName

__all__ = [
    "EnsembleRecommendationEngine",
    "ItemNeighboursEngine",
    "Profile",
    "Query",
    "Ranked",
    "Ranking",
    "RecommendationEngine",
    "make_engine",
]


def make_engine(
    name: EngineName,
    watch: ModelSource,
    *,
    budgets: Mapping[str, float] | None = None,
    on_missing: Callable[[str, Reason], None] | None = None,
) -> RecommendationEngine:
    """Make the engine that the settings ask for, on the model that `watch` gives."""
    if name == "phase3":
        return ItemNeighboursEngine(watch)
    return EnsembleRecommendationEngine(watch, budgets=budgets, on_missing=on_missing)
