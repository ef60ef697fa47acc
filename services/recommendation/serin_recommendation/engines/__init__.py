"""Engines that rank items: one protocol, and both phases behind it.

Both stay maintained until the rollout from one to the other is done.
"""

from serin_recommendation.data import Dataset
from serin_recommendation.engines.base import Query, Ranked, Ranking, RecommendationEngine
from serin_recommendation.engines.phase3 import ItemNeighboursEngine
from serin_recommendation.engines.phase4 import EnsembleRecommendationEngine
from serin_services.settings import EngineName

__all__ = [
    "EnsembleRecommendationEngine",
    "ItemNeighboursEngine",
    "Query",
    "Ranked",
    "Ranking",
    "RecommendationEngine",
    "make_engine",
]


def make_engine(name: EngineName, data: Dataset) -> RecommendationEngine:
    """Fit the engine that the settings ask for on `data`."""
    return ItemNeighboursEngine(data) if name == "phase3" else EnsembleRecommendationEngine(data)
