"""A summary is small, quotes, and keeps what tells something."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serin_conversation.language import clip, n_grams, stored_size
from serin_conversation.summary import DAMPING, SENTENCE_BYTES, facts, summarise, text_rank

LIMIT = 300


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=200), min_size=1, max_size=15), st.integers(0, 600))
def test_a_summary_fits_and_quotes(texts: list[str], limit: int) -> None:
    """A summary is within its limit, and each of its sentences was said, in that order."""
    chosen = summarise(texts, limit)
    clipped = list(dict.fromkeys(clip(text, SENTENCE_BYTES) for text in texts))
    assert sum(stored_size(text) + 1 for text in chosen) <= limit
    assert chosen == [text for text in clipped if text in set(chosen)]


def test_everything_is_kept_while_there_is_room() -> None:
    """Nothing is chosen as long as nothing must go; only repeats do."""
    assert summarise(["one", "two", "one", "three"], LIMIT) == ["one", "two", "three"]


def test_text_rank_finds_the_central_sentence() -> None:
    """The sentence that resembles the others ranks above the one that resembles none."""
    texts = ["I like short comedies", "short comedies about cooking", "comedies about cooking", "zzz qqq"]
    rank = text_rank(np.stack([n_grams(text) for text in texts]), np.ones(4))
    assert rank.argmax() == 1
    assert rank.argmin() == 3


@given(st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_text_rank_is_the_fixed_point_of_the_walk(count: int, seed: int) -> None:
    """What the linear system gives is where PageRank's iteration ends, and sums to 1."""
    draw = np.random.default_rng(seed)
    vectors = np.abs(draw.normal(size=(count, 8))).astype(np.float32)
    vectors[draw.random(count) < 0.2] = 0.0  # Sentences that resemble nothing.
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    weights = draw.uniform(0.5, 3.0, count)
    drawn = weights / weights.sum()
    likeness = (vectors @ vectors.T).astype(np.float64)
    np.fill_diagonal(likeness, 0.0)
    walk = np.array([row / row.sum() if row.sum() > 0 else drawn for row in likeness])
    rank = drawn
    for _ in range(400):
        rank = (1.0 - DAMPING) * drawn + DAMPING * rank @ walk
    np.testing.assert_allclose(text_rank(vectors, weights), rank, atol=1e-6)
    assert text_rank(vectors, weights).sum() == pytest.approx(1.0)


def test_what_tells_something_outlives_small_talk() -> None:
    """A name, a number and a title stay, when there is room for a third of what was said."""
    told = [
        "My sister Minji picks the film.",
        "We must be finished in 95 minutes.",
        'The best one was "The Golden Harbour".',
    ]
    talk = [f"{word}, let me think about that for a moment." for word in ("Well", "Hmm", "So", "Right", "Oh", "And")]
    kept = summarise([talk[0], told[0], *talk[1:3], told[1], *talk[3:5], told[2], talk[5]], 140)
    assert kept == told


def test_of_two_sentences_that_say_the_same_one_is_kept() -> None:
    """A near repeat takes no room from something else."""
    same = ["I love films with robots in them!", "I love films with robots in them."]
    other = "My aunt Sofia comes from Lisbon and knows 40 jokes."
    kept = summarise([*same, other, "It rains, it rains, and it rains again here."], 100)
    assert other in kept
    assert len([text for text in kept if text in same]) == 1


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("It rains.", 0),
        ("I love it", 1),
        ("in 95 minutes", 1),
        ("with Minji from Busan", 2),
        ("제 동생 민지", 1),
        ("「황금 항구」 좋아요", 2),
        ("a short comedy", 2),
    ],
)
def test_facts_are_counted(text: str, count: int) -> None:
    """Slots, numbers, quotes, names and opinions count one each."""
    assert facts(text) == count
