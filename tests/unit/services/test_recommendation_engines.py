"""The engines against their oracles, and what always holds for a ranking."""

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from implicit.als import AlternatingLeastSquares
from implicit.nearest_neighbours import BM25Recommender

from serin_recommendation.data import PERSONAS, UNKNOWN, Dataset, Floats
from serin_recommendation.engines import EnsembleRecommendationEngine, ItemNeighboursEngine, Profile, Query
from serin_recommendation.engines.base import History, best, scaled
from serin_recommendation.engines.parts import CollaborativePart, ContentPart, PersonaPart, likely_personas
from serin_recommendation.model import FixedModel, Model, Neighbours, load, newest
from serin_recommendation.synthetic import synthetic
from serin_recommendation.training.fit import Settings
from serin_recommendation.training.profiles import profiles


@pytest.fixture(scope="module")
def data() -> Dataset:
    """Return the data set that the model was trained on."""
    return synthetic()


@pytest.fixture(scope="module")
def model(models: Path) -> Model:
    """Return the model as a service maps it into memory."""
    version = newest(models)
    assert version is not None
    return load(models, version)


@pytest.fixture(scope="module")
def users(data: Dataset) -> list[Profile]:
    """Return the profiles of all users."""
    return profiles(data)


def interactions(data: Dataset) -> sp.csr_matrix:
    """Return the matrix that implicit is trained on."""
    shape = (len(data.user_ids), len(data.items))
    return sp.csr_matrix((data.strength, (data.users, data.chosen)), shape=shape, dtype=np.float32)


def test_a_history_is_folded_in_as_implicit_does(data: Dataset, model: Model, users: list[Profile]) -> None:
    """The factors that serving solves for are those that implicit's own recalculation gives."""
    settings = Settings()
    oracle = AlternatingLeastSquares(
        factors=settings.factors, regularization=settings.regularization, alpha=settings.alpha, num_threads=1
    )
    oracle.item_factors = np.array(model.factors)
    some = range(0, len(users), 97)
    expected = oracle.recalculate_user(np.asarray(some), interactions(data)[list(some)])
    for row, user in enumerate(some):
        history = History.of(model, users[user])
        assert model.fold_in(history.items, history.strength) == pytest.approx(expected[row], abs=2e-4)


@pytest.mark.filterwarnings("ignore:Method expects CSR")
def test_neighbours_add_up_as_implicit_does(data: Dataset, model: Model, users: list[Profile]) -> None:
    """The scores of BM25 neighbours are those of implicit's recommender, for items that were not seen."""
    settings = Settings()
    matrix = interactions(data)
    oracle = BM25Recommender(settings.bm25_neighbours, settings.bm25_k1, settings.bm25_b, num_threads=1)
    oracle.fit(matrix, show_progress=False)
    for user in range(0, len(users), 211):
        history = History.of(model, users[user])
        scores = model.bm25.scores(history.items, history.strength, len(model.items))
        ids, expected = oracle.recommend(user, matrix[user], N=20, filter_already_liked_items=True)
        assert scores[ids] == pytest.approx(expected, rel=1e-4)


@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.integers(1, 30),
    density=st.floats(0.0, 1.0),
    seen=st.lists(st.integers(0, 29), max_size=10, unique=True),
)
def test_rows_add_up_like_a_matrix_product(seed: int, size: int, density: float, seen: list[int]) -> None:
    """Adding up rows without a loop is the product of a vector and the matrix, empty rows and empty histories too."""
    draw = np.random.default_rng(seed)
    matrix = sp.random(size, size, density, "csr", np.float32, draw)
    rows = Neighbours(matrix.indptr, matrix.indices, matrix.data)
    history = np.asarray([item for item in seen if item < size], np.int32)
    strength = draw.random(history.size).astype(np.float32)
    expected = np.zeros(size, np.float32)
    expected[history] = strength
    assert rows.scores(history, strength, size) == pytest.approx(matrix.T @ expected, abs=1e-5)


@given(
    scores=hnp.arrays(np.float32, st.integers(1, 40), elements=st.sampled_from([0.0, 0.5, 1.0, 2.0, 7.5])),
    barred=st.sets(st.integers(0, 39)),
    limit=st.integers(1, 50),
)
def test_the_best_are_sorted_and_ties_go_by_index(scores: Floats, barred: set[int], limit: int) -> None:
    """The highest scores come first, equal ones in the order of the catalogue, barred ones never."""
    open_items = [item for item in range(scores.size) if item not in barred]
    expected = sorted(open_items, key=lambda item: (-scores[item], item))[:limit]
    given_bars = np.asarray([item for item in barred if item < scores.size], np.int32)
    assert best(scores, given_bars, limit).tolist() == expected


@given(hnp.arrays(np.float32, st.integers(1, 30), elements=st.floats(-1e6, 1e6, width=32)))
@example(np.asarray([1e-45, 0.0], np.float32))
@example(np.asarray([0.0, np.finfo(np.float32).tiny], np.float32))
def test_scaled_scores_are_from_0_to_1_in_the_same_order(scores: Floats) -> None:
    """Scaling moves every kind of evidence into 0..1 and never changes who is before whom."""
    found = scaled(scores)
    assert found.min() >= 0.0
    assert found.max() <= 1.0 + 1e-6
    order = np.argsort(scores, kind="stable")
    assert (np.diff(found[order]) >= -1e-6).all()


@pytest.mark.parametrize("engine", [ItemNeighboursEngine, EnsembleRecommendationEngine])
def test_nobody_is_shown_what_they_have_seen(
    model: Model, users: list[Profile], engine: type[ItemNeighboursEngine | EnsembleRecommendationEngine]
) -> None:
    """History never comes back, even when everything is asked for, and each other item comes once."""
    for profile in users[:5]:
        ranking = engine(FixedModel(model)).rank(model, Query(profile, limit=len(model.items)))
        shown = [ranked.item.item_id for ranked in ranking.items]
        assert len(shown) == len(set(shown))
        assert set(shown) == {item.item_id for item in model.items} - set(profile.item_ids)


async def test_the_parts_together_rank_as_one_after_another(model: Model, users: list[Profile]) -> None:
    """Threads change nothing: the answer of a request is the one that evaluation measures, alone or in a batch."""
    engine = EnsembleRecommendationEngine(FixedModel(model), budgets=dict.fromkeys(BUDGETED, 10.0))
    queries = [Query(profile, 10, daypart=2) for profile in users[:20]]
    expected = [engine.rank(model, query) for query in queries]
    assert [await engine.recommend(query) for query in queries] == expected
    assert await engine.recommend_many(queries) == expected
    engine.close()


BUDGETED = ("collaborative", "content", "persona")


class Hanging(ContentPart):
    """A content part that hangs until it is let go."""

    def __init__(self) -> None:
        self.calls = 0
        self.go = threading.Event()

    def score(self, model: Model, query: Query, history: History) -> Floats | None:
        """Hang, then score."""
        self.calls += 1
        self.go.wait(30)
        return super().score(model, query, history)


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    """Give a part that hangs, and let it go at the end."""
    part = Hanging()
    yield part
    part.go.set()


async def test_a_part_that_hangs_costs_its_budget_and_its_share(
    model: Model, users: list[Profile], hanging: Hanging
) -> None:
    """The answer comes after the budget, ranked by the others, lacks that share, and says whose it was."""
    missing: list[tuple[str, str]] = []
    engine = EnsembleRecommendationEngine(
        FixedModel(model),
        parts=(CollaborativePart(), hanging, PersonaPart()),
        budgets={"collaborative": 10.0, "content": 0.2, "persona": 10.0},
        on_missing=lambda part, reason: missing.append((part, reason)),
    )
    query = Query(users[7], limit=5)
    begin = time.perf_counter()
    ranking = await engine.recommend(query)
    seconds = time.perf_counter() - begin
    assert 0.2 <= seconds < 2.0
    assert ranking.missing_parts == ("content",)
    assert missing == [("content", "late")]
    whole = {ranked.item.item_id: ranked for ranked in full_ranking(engine, model, query, hanging)}
    for ranked in ranking.items:
        assert set(ranked.parts) == {"collaborative", "persona"}
        expected = whole[ranked.item.item_id]
        assert ranked.score == pytest.approx(expected.score - expected.parts["content"], abs=1e-5)


def full_ranking(
    engine: EnsembleRecommendationEngine, model: Model, query: Query, hanging: Hanging
) -> tuple[object, ...]:
    """Rank everything with all parts, now that nothing hangs."""
    hanging.go.set()
    return engine.rank(model, Query(query.profile, limit=len(model.items))).items


async def test_the_parts_run_at_the_same_time(model: Model, users: list[Profile]) -> None:
    """Three parts that wait for each other all answer, which they could not do one after another."""
    meeting = threading.Barrier(3, timeout=20)

    class Meeting:
        def __init__(self, name: str) -> None:
            self.name = name

        def weight(self, model: Model) -> float:
            del model
            return 1 / 3

        def score(self, model: Model, query: Query, history: History) -> Floats:
            del query, history
            meeting.wait()
            return model.popularity

        def similar(self, model: Model, item: int) -> None:
            del model, item

    engine = EnsembleRecommendationEngine(
        FixedModel(model), parts=[Meeting(name) for name in "abc"], budgets=dict.fromkeys("abc", 20.0)
    )
    ranking = await engine.recommend(Query(users[0]))
    assert ranking.missing_parts == ()
    assert set(ranking.items[0].parts) == {"a", "b", "c"}


async def test_nobody_waits_for_a_part_whose_threads_all_hang(
    model: Model, users: list[Profile], hanging: Hanging
) -> None:
    """After as many timeouts as it has threads a part is left out at once, and comes back when it has recovered."""
    engine = EnsembleRecommendationEngine(
        FixedModel(model),
        parts=(CollaborativePart(), hanging, PersonaPart()),
        budgets={"collaborative": 10.0, "content": 1.0, "persona": 10.0},
    )
    for _ in range(2):
        assert (await engine.recommend(Query(users[1]))).missing_parts == ("content",)
    begin = time.perf_counter()
    for _ in range(5):
        assert (await engine.recommend(Query(users[1]))).missing_parts == ("content",)
    assert hanging.calls == 2
    assert time.perf_counter() - begin < 4.0, "nobody waits for the part that hangs until its time is over again"
    hanging.go.set()
    for _ in range(100):
        await asyncio.sleep(0.02)
        if not (await engine.recommend(Query(users[1]))).missing_parts:
            break
    assert (await engine.recommend(Query(users[1]))).missing_parts == ()


async def test_a_part_that_fails_is_missing_and_the_others_answer(model: Model, users: list[Profile]) -> None:
    """An error of a part is its own; when all fail, what everybody likes is the answer."""

    class Broken(ContentPart):
        def score(self, model: Model, query: Query, history: History) -> Floats | None:
            raise RuntimeError(f"{len(model.items)} {query.limit} {history.items.size}")

    watch = FixedModel(model)
    budgets = dict.fromkeys(BUDGETED, 10.0)
    one = EnsembleRecommendationEngine(watch, parts=(CollaborativePart(), Broken(), PersonaPart()), budgets=budgets)
    ranking = await one.recommend(Query(users[7], limit=5))
    assert ranking.missing_parts == ("content",)
    assert all(set(ranked.parts) == {"collaborative", "persona"} for ranked in ranking.items)
    every = await EnsembleRecommendationEngine(watch, parts=(Broken(),), budgets=budgets).recommend(Query(users[7]))
    assert every.missing_parts == ("content",)
    assert len(every.items) == 10
    assert set(every.items[0].parts) == {"popularity"}


def test_a_stranger_is_told_what_the_persona_or_everybody_likes(model: Model) -> None:
    """Without a history the whole score is the persona part's, and a persona makes a difference."""
    engine = EnsembleRecommendationEngine(FixedModel(model))
    rankings = {
        persona: engine.rank(model, Query(Profile("stranger"), persona=persona)) for persona in (None, *PERSONAS)
    }
    assert all(ranking.cold_start for ranking in rankings.values())
    assert all(set(ranking.items[0].parts) == {"persona"} for ranking in rankings.values())
    assert len({tuple(r.item.item_id for r in ranking.items) for ranking in rankings.values()}) == len(rankings)
    top = model.items[int(np.argmax(model.popularity))]
    assert rankings[None].items[0].item == top


def test_a_wrong_persona_is_corrected_by_what_was_watched(data: Dataset, model: Model, users: list[Profile]) -> None:
    """A long history outweighs a persona that does not fit it; without a history the told one is believed."""
    told = likely_personas(model, 3, np.empty(0, np.int32))
    assert told[3] == pytest.approx(0.85, abs=1e-4)
    long = [user for user, profile in enumerate(users) if len(profile.item_ids) > 60 and profile.persona != UNKNOWN]
    agreed = 0
    for user in long:
        history = History.of(model, users[user]).items
        wrong = (int(data.personas[user]) + 1) % len(PERSONAS)
        agreed += int(np.argmax(likely_personas(model, wrong, history)) != wrong)
    assert len(long) > 20
    assert agreed / len(long) > 0.8


@pytest.mark.parametrize("engine", [ItemNeighboursEngine, EnsembleRecommendationEngine])
def test_similar_items_are_like_it(
    model: Model, engine: type[ItemNeighboursEngine | EnsembleRecommendationEngine]
) -> None:
    """An item is not among its own neighbours, the nearest comes first, and an unknown item has none."""
    made = engine(FixedModel(model))
    ranking = made.similar("item-0007", 10)
    assert ranking is not None
    assert "item-0007" not in {ranked.item.item_id for ranked in ranking.items}
    scores = [ranked.score for ranked in ranking.items]
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] > 0
    assert made.similar("item-of-nobody", 10) is None


def test_similar_texts_share_genres(model: Model) -> None:
    """The nearest texts of an item share its genres far more often than chance does."""
    shared, chance = [], []
    for item, described in enumerate(model.items):
        nearest, weights = model.content.row(item)
        top = nearest[np.argsort(-weights)[:5]]
        shared.append(np.mean([bool(set(model.items[other].genres) & set(described.genres)) for other in top]))
        chance.append(np.mean([bool(set(other.genres) & set(described.genres)) for other in model.items]))
    assert np.mean(shared) > 2 * np.mean(chance)
