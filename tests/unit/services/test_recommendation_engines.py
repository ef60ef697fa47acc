"""What the engines are worth: measured on interactions that they have not seen."""

from collections.abc import Callable

import numpy as np
import pytest

from serin_recommendation.data import Dataset, Indices, synthetic
from serin_recommendation.engines import EnsembleRecommendationEngine, Query, RecommendationEngine, make_engine
from serin_recommendation.engines.base import best, popularity
from serin_recommendation.engines.parts import CollaborativePart, ContentPart, PersonaPart, tf_idf

PER_USER, HELD_OUT, SHOWN = 30, 5, 20


@pytest.fixture(scope="module")
def data() -> Dataset:
    """Return the data set that the service starts with."""
    return synthetic(per_user=PER_USER)


async def recall(data: Dataset, recommend: Callable[[int], "Indices"]) -> float:
    """Return the share of held-out items among the first 20, averaged over users."""
    hits = 0
    users = range(0, len(data.user_ids), 4)
    for user in users:
        held_out = set(data.histories[user][-HELD_OUT:].tolist())
        hits += len(held_out & set(recommend(user).tolist()))
    return hits / (len(users) * HELD_OUT)


async def ranked_by(engine: RecommendationEngine, data: Dataset) -> Callable[[int], "Indices"]:
    """Rank for all measured users, and return a look-up."""
    found = {}
    for user in range(0, len(data.user_ids), 4):
        ranking = await engine.recommend(Query(data.user_ids[user], SHOWN))
        found[user] = np.asarray([data.item_index[ranked.item.item_id] for ranked in ranking.items], np.int32)
    return found.__getitem__


async def test_phase_4_beats_phase_3_and_both_beat_popularity(data: Dataset) -> None:
    """On held-out interactions the ensemble finds more than the neighbours alone, and these more than popularity."""
    position = np.tile(np.arange(PER_USER), len(data.user_ids))
    seen = data.subset(position < PER_USER - HELD_OUT)
    general = popularity(seen)
    popular = await recall(data, lambda user: best(general, seen.histories[user], SHOWN))
    phase3 = await recall(data, await ranked_by(make_engine("phase3", seen), data))
    phase4 = await recall(data, await ranked_by(make_engine("phase4", seen), data))
    assert popular < phase3 < phase4


@pytest.mark.parametrize("name", ["phase3", "phase4"])
async def test_nobody_is_shown_what_they_have_seen(data: Dataset, name: str) -> None:
    """History never comes back, even when almost everything is asked for."""
    engine = make_engine("phase3" if name == "phase3" else "phase4", data)
    ranking = await engine.recommend(Query(data.user_ids[3], limit=len(data.items)))
    shown = {data.item_index[ranked.item.item_id] for ranked in ranking.items}
    assert shown == set(range(len(data.items))) - set(data.histories[3].tolist())


async def test_a_failed_part_costs_its_weight_and_not_the_answer(data: Dataset) -> None:
    """When a part fails the others answer with the whole weight, and the answer says which part was missing."""

    class Broken(ContentPart):
        def score(self, query: Query, history: Indices) -> None:
            raise RuntimeError(f"no content for {query.user_id} with {history.size} items")

    engine = EnsembleRecommendationEngine(data, (CollaborativePart(data), Broken(data), PersonaPart(data)))
    ranking = await engine.recommend(Query(data.user_ids[7], limit=5))
    assert ranking.missing_parts == ("content",)
    assert len(ranking.items) == 5
    assert all(set(ranked.parts) == {"collaborative", "persona"} for ranked in ranking.items)
    assert all(0 <= ranked.score <= 1.0001 for ranked in ranking.items)


def test_the_data_set_is_the_same_in_every_process(data: Dataset) -> None:
    """The seed decides everything: pods agree without talking to each other."""
    again = synthetic(per_user=PER_USER)
    assert np.array_equal(data.chosen, again.chosen)
    assert np.array_equal(data.ratings, again.ratings)
    assert data.items == again.items


def test_the_best_are_sorted_and_ties_go_by_index() -> None:
    """The highest scores come first; equal ones in the order of the catalogue; barred ones never."""
    scores = np.asarray([1.0, 3.0, 3.0, 2.0, 5.0], np.float32)
    barred = np.asarray([4], np.int32)
    assert best(scores, barred, 3).tolist() == [1, 2, 3]
    assert best(scores, np.arange(5, dtype=np.int32), 3).tolist() == []


def test_tf_idf_prefers_rare_words() -> None:
    """A text is nearer to one that shares a rare word than to one that shares a common word."""
    vectors = tf_idf(["common rare a", "common b c", "rare d e", "common f g"])
    likeness = vectors @ vectors.T
    assert likeness[0, 2] > likeness[0, 1]
    assert np.allclose(np.diag(likeness), 1.0, atol=1e-5)
