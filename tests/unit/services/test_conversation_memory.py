"""A memory stays small, keeps what matters, and survives being stored."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from serin_conversation import wording
from serin_conversation.language import SLOTS, clip, intent_of, slots_of
from serin_conversation.memory import WINDOW, Memory
from serin_conversation.summary import SUMMARY_BYTES, summarise, text_rank

MESSAGES = st.lists(
    st.text(st.characters(exclude_categories=("Cs", "Cc")) | st.sampled_from(" .!?가나다"), min_size=1, max_size=400),
    max_size=20,
)


@settings(max_examples=60, deadline=None)
@given(MESSAGES)
def test_a_memory_stays_about_a_kilobyte(messages: list[str]) -> None:
    """However much is said in any script, the window has five turns and the whole stays small."""
    memory = Memory().catch_up(messages)
    assert memory.through == len(messages)
    assert len(memory.window) == min(WINDOW, len(messages))
    # Text in JSON may need escapes: quotes and backslashes take two bytes.
    assert len(memory.encode().replace("\\", "").encode()) <= 1024


@settings(max_examples=60, deadline=None)
@given(MESSAGES)
def test_a_stored_memory_is_the_same_memory(messages: list[str]) -> None:
    """Encoding and decoding loses nothing, so any pod can go on."""
    memory = Memory().catch_up(messages)
    assert Memory.decode(memory.encode()) == memory


def test_a_new_wish_begins_anew_and_a_refinement_adds() -> None:
    """Asking for another genre drops the old wish; anything else is added to it."""
    memory = Memory().catch_up(["recommend me a comedy", "something shorter", "a newer one"])
    assert memory.slots == {"genre": "comedy", "length": "short", "era": "new"}
    assert memory.add("I want to see a horror movie").slots == {"genre": "horror"}


def test_what_leaves_the_window_is_summarised() -> None:
    """The sixth turn pushes the first into the summary, word for word."""
    memory = Memory().catch_up([f"message number {n}" for n in range(1, 7)])
    assert memory.summary == ("message number 1",)
    assert memory.window[0].text == "message number 2"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=200), min_size=1, max_size=15))
def test_a_summary_fits_and_quotes(texts: list[str]) -> None:
    """A summary is within its limit, and each of its sentences was said, in that order."""
    texts = [text.encode(errors="ignore").decode() or "x" for text in texts]
    chosen = summarise(texts)
    clipped = list(dict.fromkeys(clip(text, 120) for text in texts))
    assert sum(len(text.encode()) for text in chosen) <= SUMMARY_BYTES
    assert chosen == [text for text in clipped if text in set(chosen)]


def test_text_rank_finds_the_central_sentence() -> None:
    """The sentence that resembles the others ranks above the one that resembles none."""
    rank = text_rank(["I like short comedies", "short comedies about cooking", "comedies about cooking", "zzz qqq"])
    assert rank.argmax() == 1
    assert rank.argmin() == 3
    assert np.isclose(rank.sum(), 1.0, atol=1e-4)


def test_intents_in_both_languages() -> None:
    """Examples with other words and endings than the trained ones are understood."""
    expected = {
        "hello!": "greet",
        "can you recommend a film": "recommend",
        "영화 하나 추천해줘요": "recommend",
        "something shorter, please": "refine",
        "what did I say": "recap",
        "고맙습니다, 감사합니다": "thanks",
        "bye bye": "goodbye",
        "1234567890": "other",
    }
    assert {text: intent_of(text) for text in expected} == expected


def test_slots_need_the_begin_of_a_word() -> None:
    """Neither "cold" nor "renew" names an era; endings behind a word do not matter."""
    assert slots_of("a cold case to renew") == {}
    assert slots_of("old comedies") == {"genre": "comedy", "era": "classic"}


def test_every_slot_can_be_said_in_both_languages() -> None:
    """No value of a slot is without words, and a wish without a genre is still a sentence."""
    for slot, values in SLOTS.items():
        for value in values:
            assert value in wording.wish("en", {slot: value})
            assert value not in wording.wish("ko", {slot: value})
    assert wording.wish("en", {"length": "short"}) == "Looking for something short. Which genre?"
