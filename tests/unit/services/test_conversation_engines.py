"""What the two engines say, given what is known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serin_conversation.engines import (
    ConversationEngine,
    Item,
    LastMessageEngine,
    MultiTurnConversationEngine,
    Question,
    make_engine,
)
from serin_conversation.engines.phase4 import MOST_ITEMS, choose
from serin_conversation.lexicon import GENRES
from serin_conversation.memory import Memory

GENRE = st.sampled_from(sorted(GENRES))
ITEMS = st.lists(
    st.builds(
        Item,
        st.integers(0, 60).map("item-{:04d}".format),
        st.just("The Quiet Harbour"),
        st.lists(GENRE, min_size=1, max_size=3).map(tuple),
        st.floats(0, 1),
    ),
    max_size=50,
).map(tuple)

COMEDIES = tuple(Item(f"item-{n:04d}", f"Comedy {n}", ("comedy", "drama")[: 1 + n % 2], 1 - n / 10) for n in range(8))


def ask(text: str, memory: Memory | None = None, items: tuple[Item, ...] | None = COMEDIES) -> Question:
    """Return a question for which somebody was asked for items."""
    return Question(text, memory or Memory(), "en", items, asked=True)


@pytest.mark.parametrize("name", ["phase3", "phase4"])
def test_an_engine_has_a_name_a_version_and_an_age(name: str) -> None:
    """Both engines tell what they are, with the same words."""
    engine: ConversationEngine = make_engine(name)  # type: ignore[arg-type]
    assert engine.name == name
    assert engine.version.startswith(name)
    assert 0 <= engine.model_age < 60


def test_phase_3_asks_for_nothing_and_keeps_nothing() -> None:
    """The legacy neither recommends nor remembers."""
    engine = LastMessageEngine()
    answer = engine.reply(ask("Recommend me a comedy"))
    assert not engine.wants_items("Recommend me a comedy")
    assert (answer.items, answer.memory, answer.missing_parts) == ((), None, ())


@pytest.mark.parametrize(
    ("text", "wants"),
    [("Recommend me a comedy", True), ("yes", True), ("a comedy", True), ("thank you", False), ("hello", False)],
)
def test_phase_4_asks_when_somebody_may_want_something(text: str, wants: bool) -> None:
    """Small talk costs the recommendation service nothing."""
    assert MultiTurnConversationEngine().wants_items(text) is wants


def test_items_are_offered_and_not_offered_again() -> None:
    """Three items that fit, then three others."""
    engine = MultiTurnConversationEngine()
    first = engine.reply(ask("Recommend me a comedy"))
    assert [item.item_id for item in first.items] == ["item-0000", "item-0001", "item-0002"]
    assert "I suggest Comedy 0, Comedy 1 or Comedy 2 (comedy)." in first.reply
    assert first.memory is not None
    second = engine.reply(ask("show me another one", first.memory))
    assert [item.item_id for item in second.items] == ["item-0003", "item-0004", "item-0005"]


def test_what_is_avoided_is_not_offered() -> None:
    """Asking for "no drama" leaves the comedies that are no dramas."""
    answer = MultiTurnConversationEngine().reply(ask("Recommend me a comedy, no drama"))
    assert answer.slots == {"genre": "comedy", "avoid": "drama"}
    assert all("drama" not in item.genres for item in answer.items)


def test_without_an_answer_the_wish_is_kept() -> None:
    """The user is told that titles can't be looked up, and the next turn knows what was wanted."""
    answer = MultiTurnConversationEngine().reply(ask("Recommend me a comedy", items=None))
    assert answer.missing_parts == ("recommendation",)
    assert "ask me again" in answer.reply
    assert answer.slots == {"genre": "comedy"}
    assert answer.memory is not None
    assert answer.memory.slots == {"genre": "comedy"}


def test_when_nothing_fits_that_is_said() -> None:
    """An empty list is no outage."""
    answer = MultiTurnConversationEngine().reply(ask("Recommend me a western"))
    assert (answer.items, answer.missing_parts) == ((), ())
    assert "nothing else that fits" in answer.reply


def test_a_recap_quotes_what_was_said_and_names_the_wish() -> None:
    """What the window and the summary hold, without the question itself."""
    engine = MultiTurnConversationEngine()
    memory = Memory().catch_up(["Recommend me a comedy", "My dog is named Bori", *["so what"] * 5])
    reply = engine.reply(Question("What did we talk about?", memory)).reply
    assert "You want comedy." in reply
    assert "My dog is named Bori" in reply
    assert "What did we talk about" not in reply


@given(ITEMS, GENRE, st.lists(GENRE, max_size=3), st.sets(st.integers(0, 60).map("item-{:04d}".format)))
def test_a_choice_fits_is_new_and_keeps_the_order(
    items: tuple[Item, ...], genre: str, avoided: list[str], shown: set[str]
) -> None:
    """At most three, each with the genre, none avoided or shown, best first, no better one left out."""
    slots = {"genre": genre, "avoid": ",".join(avoided)}
    chosen = choose(items, slots, tuple(shown))
    fitting = [
        item
        for item in items
        if genre in item.genres and not set(avoided) & set(item.genres) and item.item_id not in shown
    ]
    assert list(chosen) == fitting[:MOST_ITEMS]
