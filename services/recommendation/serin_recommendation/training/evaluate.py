"""Measures the engines on the newest interactions of each user, which no part of the training has seen.

Three sets, by time: the engines learn from the oldest interactions, the weights are fitted on later ones, and what is
printed comes from the newest. The engines' own code ranks, not a shortcut with the same formula.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from serin_recommendation.data import Dataset, split_by_time
from serin_recommendation.engines.base import History, Query, barred_items, best
from serin_recommendation.engines.parts import CollaborativePart, ContentPart, PersonaPart
from serin_recommendation.engines.phase3 import ItemNeighboursEngine
from serin_recommendation.engines.phase4 import EnsembleRecommendationEngine
from serin_recommendation.model import FixedModel, Model
from serin_recommendation.training.fit import Settings
from serin_recommendation.training.measures import coverage, ndcg, recall
from serin_recommendation.training.profiles import profiles
from serin_recommendation.training.train import fitted

SHOWN = 20
Rank = Callable[[Query], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Row:
    """What one way to rank is worth.

    Attributes:
        name: The engine, or a part of one.
        ndcg: NDCG@10 of each user, averaged; with its standard error.
        error: The standard error of `ndcg`.
        recall: Recall@20, averaged over users.
        coverage: Share of the catalogue in anybody's first ten.
    """

    name: str
    ndcg: float
    error: float
    recall: float
    coverage: float


@dataclass(frozen=True, slots=True)
class Report:
    """The table, and how sure the difference is that matters.

    Attributes:
        rows: One for each way to rank, the engines first.
        users: Users with interactions that were held out.
        interactions: Interactions that were held out.
        weights: Weights of the ensemble.
        lead: NDCG@10 of Phase 4 minus that of Phase 3, of the same users, averaged.
        lead_error: Its standard error.
    """

    rows: tuple[Row, ...]
    users: int
    interactions: int
    weights: dict[str, float]
    lead: float
    lead_error: float


def evaluate(data: Dataset, settings: Settings | None = None, *, users: int | None = None) -> Report:
    """Hold the newest interactions out, train on the others, and measure.

    Args:
        data: All interactions.
        settings: How to fit.
        users: Users to measure at most, the first ones; all when not given.

    Raises:
        ValueError: There is too little data.
    """
    split = split_by_time(data)
    model = fitted(split.seen, settings)
    known = profiles(split.seen)
    judged = np.unique(split.held_out.users)[:users]
    relevant = {
        int(user): {data.items[i].item_id for i in split.held_out.chosen[split.held_out.rows_of[user]]}
        for user in judged
    }
    rows: list[Row] = []
    gains: dict[str, list[float]] = {}
    for name, rank in _ways(model).items():
        shown = {user: rank(Query(known[user], SHOWN)) for user in relevant}
        gains[name] = [ndcg(shown[user], items) for user, items in relevant.items()]
        rows.append(
            Row(
                name,
                float(np.mean(gains[name])),
                _error(gains[name]),
                float(np.mean([recall(shown[user], items) for user, items in relevant.items()])),
                coverage(shown.values(), len(data.items)),
            )
        )
    lead = np.subtract(gains["phase4"], gains["phase3"])
    return Report(
        tuple(rows), judged.size, split.held_out.users.size, dict(model.weights), float(lead.mean()), _error(lead)
    )


def table(report: Report) -> str:
    """Return a report as people read it."""
    lines = [
        f"{report.users} users, {report.interactions} interactions held out (the newest fifth of each user's)",
        "",
        f"{'':<22}{'NDCG@10':>16}{'recall@20':>11}{'coverage@10':>13}",
    ]
    lines += [
        f"{row.name:<22}{row.ndcg:>8.4f} ± {row.error:.4f}{row.recall:>10.4f} {row.coverage:>12.1%}"
        for row in report.rows
    ]
    phase3 = next(row.ndcg for row in report.rows if row.name == "phase3")
    low, high = report.lead - 1.96 * report.lead_error, report.lead + 1.96 * report.lead_error
    weights = ", ".join(f"{name} {weight:.3g}" for name, weight in report.weights.items())
    lead = f"{report.lead:+.4f} NDCG@10 ({report.lead / phase3:+.1%}), 95 % interval {low:+.4f} to {high:+.4f}"
    lines += ["", f"weights: {weights}", f"phase4 - phase3: {lead}"]
    return "\n".join(lines)


def _ways(model: Model) -> dict[str, Rank]:
    watch = FixedModel(model)
    phase3 = ItemNeighboursEngine(watch)
    ways: dict[str, Rank] = {}

    def engine(rank: Callable[[Model, Query], object]) -> Rank:
        return lambda query: [ranked.item.item_id for ranked in rank(model, query).items]  # type: ignore[attr-defined]

    def popular(query: Query) -> Sequence[str]:
        seen = barred_items(model, History.of(model, query.profile), query.exclusions)
        return [model.items[item].item_id for item in best(model.popularity, seen, query.limit)]

    ways["phase4"] = engine(EnsembleRecommendationEngine(watch).rank)
    ways["phase3"] = engine(phase3.rank)
    ways["popularity"] = popular
    for part in (CollaborativePart(), ContentPart(), PersonaPart()):
        ways[f"  {part.name} alone"] = engine(EnsembleRecommendationEngine(watch, parts=(part,)).rank)
    return ways


def _error(values: Sequence[float] | np.ndarray) -> float:
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0
