"""Data sets, measures, weights, and what the engines are worth on interactions that nobody trained on."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from serin_recommendation.data import UNKNOWN, Dataset, Split, daypart_of, split_by_time, strength_of
from serin_recommendation.engines.base import Query
from serin_recommendation.model.arrays import COMPONENTS
from serin_recommendation.movielens import MovieLensError, movielens
from serin_recommendation.synthetic import synthetic
from serin_recommendation.training.evaluate import Report, evaluate, table
from serin_recommendation.training.fit import fit
from serin_recommendation.training.measures import coverage, ndcg, recall
from serin_recommendation.training.profiles import profiles
from serin_recommendation.training.weights import LEAST, component_scores, fit_weights


@pytest.fixture(scope="module")
def data() -> Dataset:
    """Return the synthetic data set."""
    return synthetic()


@pytest.fixture(scope="module")
def report(data: Dataset) -> Report:
    """Measure the engines once."""
    return evaluate(data)


def test_phase_4_beats_phase_3_and_both_beat_popularity(report: Report) -> None:
    """On held-out interactions the ensemble is better by more than chance explains, in NDCG and in recall."""
    rows = {row.name.strip(): row for row in report.rows}
    assert rows["popularity"].ndcg < rows["phase3"].ndcg < rows["phase4"].ndcg
    assert rows["popularity"].recall < rows["phase3"].recall < rows["phase4"].recall
    assert report.lead > 3 * report.lead_error
    assert rows["phase4"].coverage > 2 * rows["popularity"].coverage


@pytest.mark.parametrize("seed", [1, 2])
def test_the_lead_is_not_a_matter_of_one_seed(seed: int) -> None:
    """Other synthetic worlds, with tastes drawn anew, come to the same order."""
    report = evaluate(synthetic(users=1000, seed=seed))
    rows = {row.name.strip(): row for row in report.rows}
    assert rows["popularity"].ndcg < rows["phase3"].ndcg < rows["phase4"].ndcg
    assert report.lead > 2 * report.lead_error


def test_the_table_names_every_way_to_rank(report: Report) -> None:
    """What `evaluate` prints has a row for each engine, each part and popularity, and the weights."""
    text = table(report)
    for name in ("phase4", "phase3", "popularity", "collaborative alone", "persona alone", *COMPONENTS):
        assert name in text
    assert f"{report.users} users" in text


def test_evaluation_never_sees_what_it_judges_by(data: Dataset) -> None:
    """For each user every held-out interaction is newer than every one that was learned from, and none is in both."""
    split = split_by_time(data)
    assert split.seen.users.size + split.held_out.users.size == data.users.size
    for user, rows in enumerate(split.held_out.rows_of):
        if rows.size:
            assert split.held_out.times[rows].min() >= split.seen.times[split.seen.rows_of[user]].max()
            assert not set(split.held_out.chosen[rows]) & set(split.seen.chosen[split.seen.rows_of[user]])


def test_fitted_weights_beat_each_evidence_alone(data: Dataset) -> None:
    """No single kind of evidence ranks the same users better than the fitted mixture does."""
    small = split_by_time(data, share=0.1)
    users = np.unique(small.held_out.users)[:250]
    keep = np.isin(small.held_out.users, users)
    split = Split(small.seen, small.held_out.subset(keep))
    model = fit(split.seen)
    weights = fit_weights(model, split)
    assert sum(weights.values()) == pytest.approx(1.0, abs=1e-5)
    assert min(weights.values()) >= LEAST - 1e-9

    def value(mixture: dict[str, float]) -> float:
        gains = []
        for user in users:
            query = Query(profiles_of[user])
            total = sum(
                mixture[name] * scores for name, scores in zip(COMPONENTS, component_scores(model, query), strict=True)
            )
            total[split.seen.chosen[split.seen.rows_of[user]]] = -1.0
            order = [str(item) for item in np.argsort(-total, kind="stable")[:10]]
            gains.append(ndcg(order, {str(item) for item in split.held_out.chosen[split.held_out.rows_of[user]]}))
        return float(np.mean(gains))

    profiles_of = profiles(split.seen)
    fitted = value(weights)
    low = 1.0 - LEAST * (len(COMPONENTS) - 1)
    for one in COMPONENTS:
        assert value({name: low if name == one else LEAST for name in COMPONENTS}) <= fitted + 0.002


@given(
    relevant=st.sets(st.integers(0, 14), min_size=1, max_size=9),
    order=st.permutations(range(15)),
)
def test_ndcg_is_that_of_scikit_learn(relevant: set[int], order: list[int]) -> None:
    """NDCG@10 agrees with an oracle, for any ranking."""
    truth = np.asarray([[1.0 if item in relevant else 0.0 for item in range(15)]])
    scores = np.zeros((1, 15))
    for place, item in enumerate(order):
        scores[0, item] = 15 - place
    ranked = [str(item) for item in order]
    assert ndcg(ranked, {str(item) for item in relevant}) == pytest.approx(ndcg_score(truth, scores, k=10))


def test_recall_and_coverage_count() -> None:
    """Recall is the share that was found; coverage the share of the catalogue that anybody was shown."""
    assert recall(["a", "b", "c"], {"b", "x"}, 2) == 0.5
    assert recall(["a", "b", "c"], {"c"}, 2) == 0.0
    assert coverage([["a", "b"], ["b", "c"]], 6, 2) == 0.5


def test_the_synthetic_set_is_the_same_in_every_process(data: Dataset) -> None:
    """The seed decides everything, and another end only moves it in time."""
    again = synthetic()
    later = synthetic(until=2e9)
    assert np.array_equal(data.chosen, again.chosen)
    assert np.array_equal(data.ratings, again.ratings, equal_nan=True)
    assert data.items == again.items
    assert np.array_equal(data.chosen, later.chosen)
    assert later.times.max() <= 2e9


def test_the_synthetic_set_has_the_traits_of_real_viewing(data: Dataset) -> None:
    """A long tail, users of very different activity, missing and wrong labels, and few ratings."""
    counts = np.sort(np.bincount(data.chosen, minlength=len(data.items)))[::-1]
    activity = np.bincount(data.users)
    assert counts[: len(counts) // 10].sum() > 0.25 * counts.sum()
    assert activity.min() <= 5
    assert activity.max() >= 100
    assert 0.1 < np.mean(data.personas == UNKNOWN) < 0.2
    assert 0.3 < np.mean(~np.isnan(data.ratings)) < 0.4
    assert set(np.unique(data.ratings[~np.isnan(data.ratings)])) == {1.0, 2.0, 3.0, 4.0, 5.0}
    assert (np.diff(data.times) >= 0).all()
    assert (data.times >= data.first_seen[data.users] - 1e-3).all()
    pairs = data.users.astype(np.int64) * len(data.items) + data.chosen
    assert np.unique(pairs).size == pairs.size


@pytest.mark.parametrize(
    ("completed", "rating", "expected"),
    [(False, math.nan, 0.5), (True, math.nan, 1.0), (True, 5, 1.5), (False, 1, 0.05), (True, 3, 1.0)],
)
def test_strength_follows_the_labels(completed: bool, rating: float, expected: float) -> None:
    """An end and stars speak for liking, few stars against it, and no interaction counts as nothing."""
    assert strength_of([completed], [rating])[0] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("hour", "daypart"), [(0, 3), (5, 3), (6, 0), (11, 0), (12, 1), (17, 1), (18, 2), (22, 2), (23, 3)]
)
def test_parts_of_the_day(hour: int, daypart: int) -> None:
    """Morning, afternoon, evening and night begin at 6, 12, 18 and 23."""
    assert daypart_of(hour) == daypart


CSV = {
    "movies.csv": 'movieId,title,genres\n1,"Heat, The (1995)",Action|Crime\n2,Up (2009),(no genres listed)\n',
    "ratings.csv": "userId,movieId,rating,timestamp\n7,1,4.5,200\n7,2,0.5,100\n8,1,3.0,300\n8,99,3.0,300\n",
    "tags.csv": "userId,movieId,tag,timestamp\n7,1,Al Pacino,100\n8,1,Al Pacino,100\n",
}
DAT = {
    "movies.dat": "1::Heat, The (1995)::Action|Crime\n2::Up (2009)::\n",
    "ratings.dat": "7::1::4.5::200\n7::2::0.5::100\n8::1::3::300\n",
}


@pytest.mark.parametrize("files", [CSV, DAT], ids=["csv", "dat"])
def test_movielens_files_become_a_data_set(tmp_path: Path, files: dict[str, str]) -> None:
    """Both forms give the same: films, users by their first rating, interactions in the order of time."""
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    data = movielens(tmp_path)
    assert [(item.item_id, item.title, item.genres) for item in data.items] == [
        ("movie-1", "Heat, The (1995)", ("action", "crime")),
        ("movie-2", "Up (2009)", ()),
    ]
    assert data.user_ids == ("ml-7", "ml-8")
    assert data.chosen.tolist() == [1, 0, 0]
    assert data.ratings.tolist() == [0.5, 4.5, 3.0]
    assert data.first_seen.tolist() == [100.0, 300.0]
    assert data.items[0].text == ("al pacino" if "tags.csv" in files else "")


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, "has no movies.csv"),
        ({"movies.csv": CSV["movies.csv"]}, "has no ratings.csv"),
        ({**CSV, "ratings.csv": "userId,movieId,rating,timestamp\n7,1,good,200\n"}, "no number"),
        ({**CSV, "ratings.csv": "userId,movieId,rating\n7,1,4\n"}, "3 columns, not 4"),
        ({**CSV, "ratings.csv": "userId,movieId,rating,timestamp\n"}, "no ratings"),
    ],
)
def test_a_folder_that_is_none_is_told_what_is_missing(tmp_path: Path, files: dict[str, str], sentence: str) -> None:
    """A wrong folder or file ends with a sentence that names it."""
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(MovieLensError, match=sentence):
        movielens(tmp_path)


def test_nothing_to_learn_from_is_said(data: Dataset) -> None:
    """An empty data set, and one whose users have too little, are refused with what to do."""
    empty = data.subset(np.zeros(data.users.size, np.bool_))
    with pytest.raises(ValueError, match="seed or load"):
        fit(empty)
    with pytest.raises(ValueError, match="at least 5"):
        evaluate(first_rows(data))


def first_rows(data: Dataset) -> Dataset:
    """Return the first two interactions of each user."""
    keep = np.zeros(data.users.size, np.bool_)
    for rows in data.rows_of:
        keep[rows[:2]] = True
    return data.subset(keep)
