"""Intents and slots are found in both languages, and in what was not among the examples."""

import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer

from serin_conversation import wording
from serin_conversation.language import (
    clip,
    intent_of,
    language_of,
    n_grams,
    pieces,
    sentences,
    slots_of,
    stored_size,
)
from serin_conversation.lexicon import COMPANY, EXAMPLES, GENRES, SLOTS
from serin_conversation.models import MessageRequest

INTENTS = {
    "hello!": "greet",
    "good morning": "greet",
    "hi": "greet",
    "can you recommend a film": "recommend",
    "what do you recommend": "recommend",
    "I'm looking for a quiet drama about a family. It should not be too long.": "recommend",
    "I want to see a thriller movie": "recommend",
    "Recommend me a comedy to watch with my kids, but no horror.": "recommend",
    "We are four people tonight and we have two hours, so could you please recommend something light": "recommend",
    "영화 하나 추천해줘요": "recommend",
    "아이들이랑 볼 애니 추천해 주세요. 무서운 건 싫어요.": "recommend",
    "최신 스릴러 영화 추천해 주세요": "recommend",
    "something shorter, please": "refine",
    "please show something else": "refine",
    "A newer one. I saw the last one already.": "refine",
    "another one": "refine",
    "다른 거 보여줘": "refine",
    "더 짧은 걸로 보여 주세요": "refine",
    "그거 말고요": "refine",
    "yes": "affirm",
    "네 그걸로 할게요": "affirm",
    "응": "affirm",
    "what did I say": "recap",
    "Can you remind me what I asked for at the beginning of this chat": "recap",
    "What did we talk about?": "recap",
    "지금까지 무슨 얘기 했죠?": "recap",
    "내가 뭐 찾는다고 했죠": "recap",
    "고맙습니다, 감사합니다": "thanks",
    "Thanks a lot": "thanks",
    "bye bye": "goodbye",
    "1234567890": "other",
    "a drama about a family": "other",
    "Work was long today. There were meetings all afternoon and then the bus was late.": "other",
    "The best thing I saw this year was The Golden Harbour, I have watched it twice.": "other",
    "올해 본 것 중에는 황금 항구 작품이 제일 좋아서 두 번이나 봤어요.": "other",
    "It was about a war": "other",
    "My brother Minji hates long endings": "other",
    "we have two kids aged 7 and 10": "other",
    "I watched The Quiet Harbour yesterday and loved it": "other",
    "우리 집 강아지 이름은 초코예요": "other",
    "요즘 너무 피곤해요": "other",
    "어제 동생이랑 영화 봤어요": "other",
}

SLOTS_NAMED = {
    "a cold case to renew": {},
    "old comedies": {"genre": "comedy", "era": "classic"},
    "Recommend me a short comedy": {"genre": "comedy", "length": "short"},
    "no horror or very long films, but a comedy": {"genre": "comedy", "length": "short", "avoid": "horror"},
    "I don't want anything scary": {"avoid": "horror"},
    "nothing too long": {"length": "long"},
    "not too long": {"length": "short"},
    "It should not be too long.": {"length": "short"},
    "science fiction, not sci-fi horror": {"genre": "science-fiction", "avoid": "horror"},
    "It has been raining all day long": {},
    "An old friend got a new job": {},
    "work was long today": {},
    "dinner took longer than it should have": {},
    "a film with my kids": {"company": "family"},
    "a drama about a family": {"genre": "drama"},
    "something for my wife and me": {"company": "partner"},
    "최신 스릴러 영화 추천해 주세요": {"genre": "thriller", "era": "new"},
    "공포 영화 말고 코미디": {"genre": "comedy", "avoid": "horror"},
    "무서운 거 싫어요": {"avoid": "horror"},
    "요즘 너무 피곤해요": {},
    "요즘 영화로 보여줘": {"era": "new"},
    "긴 영화로": {"length": "long"},
    "아이들이랑 볼 애니 추천해줘": {"genre": "animation", "company": "family"},
}


@pytest.mark.parametrize(("text", "intent"), INTENTS.items())
def test_intents_in_both_languages(text: str, intent: str) -> None:
    """Messages with other words and endings than the examples get the intent that a reader gives them."""
    assert text not in EXAMPLES.get(intent, ()) or intent == "affirm"  # type: ignore[call-overload]
    assert intent_of(text) == intent


@pytest.mark.parametrize(("text", "slots"), SLOTS_NAMED.items())
def test_slots_in_both_languages(text: str, slots: dict[str, str]) -> None:
    """What is named, what is not wanted, who watches; and everyday words that name nothing."""
    assert slots_of(text) == slots


@given(st.text(max_size=300))
def test_any_text_has_an_intent_and_slots(text: str) -> None:
    """Whatever is written, also half characters, there is an answer, the same each time, with known values."""
    text = text.encode(errors="replace").decode()
    assert intent_of(text) in EXAMPLES or intent_of(text) == "other"
    known = {**SLOTS, "company": COMPANY}
    slots = slots_of(text)
    assert slots == slots_of(text)
    assert set(slots.pop("avoid", "horror").split(",")) <= set(GENRES)
    assert all(value in known[slot] for slot, value in slots.items())


def test_every_value_of_a_slot_can_be_said_in_both_languages() -> None:
    """No value is without words, and a wish without a genre is still a sentence."""
    for slot, values in {**SLOTS, "avoid": GENRES}.items():
        for value in values:
            assert value in wording.wish("en", {slot: value})
            assert value not in wording.wish("ko", {slot: value})
    for value in COMPANY:
        assert wording.wish("en", {"company": value}) != wording.wish("en", {})
        assert wording.wish("ko", {"company": value}) != wording.wish("ko", {})
    assert wording.wish("en", {"length": "short"}) == "Looking for something short. Which genre?"
    everything = {"genre": "comedy", "length": "short", "era": "new", "avoid": "horror,crime", "company": "family"}
    assert "new short comedy for the family, no horror or crime" in wording.wish("en", everything)
    assert "가족과 볼 공포·범죄 아닌 최신 짧은 코미디" in wording.wish("ko", everything)


def test_the_language_of_a_message_without_letters_is_the_conversations() -> None:
    """Neither "5" nor "ok" shows a language; Hangul and words do."""
    assert [language_of(text, "ko") for text in ("5", "ok", "okay then", "네")] == ["ko", "ko", "en", "ko"]
    assert language_of("5") == "en"


def test_the_likeness_is_that_of_scikit_learns_n_grams() -> None:
    """Cosines of hashed n-grams differ from exact ones by what 1024 places for them cost, a few hundredths."""
    texts = [text for texts in EXAMPLES.values() for text in texts]
    counts = CountVectorizer(analyzer="char", ngram_range=(2, 3)).fit_transform([f" {text} " for text in texts])
    exact = counts.toarray().astype(float)
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    ours = np.stack([n_grams(text) for text in texts])
    difference = np.abs(ours @ ours.T - exact @ exact.T)
    assert difference.mean() < 0.02
    assert difference.max() < 0.2


@given(st.text(max_size=400), st.integers(16, 200))
def test_pieces_fit_and_lose_nothing(text: str, limit: int) -> None:
    """A text in pieces has all its characters in order, except for words that are longer than a piece."""
    found = pieces(text, limit)
    assert all(0 < stored_size(piece) <= limit for piece in found)
    if not any("…" in piece for piece in found):
        assert "".join("".join(found).split()) == "".join(text.split())


@given(st.text(max_size=200), st.integers(16, 120))
def test_a_clipped_text_fits_and_is_a_beginning(text: str, limit: int) -> None:
    """At most the limit, in stored bytes, and what is kept is what the text begins with."""
    clipped = clip(text, limit)
    assert stored_size(clipped) <= limit
    assert clipped == text or text.encode(errors="replace").decode().startswith(clipped[:-1])


def test_sentences_of_both_languages() -> None:
    """Full stops, question marks and line ends separate; nothing empty is left."""
    assert sentences("안녕하세요. 코미디요!\n\nA comedy? Yes.  ") == ["안녕하세요.", "코미디요!", "A comedy?", "Yes."]


def test_hangul_is_understood_however_it_was_typed() -> None:
    """Letters that arrive one by one (NFD, as some keyboards send them) are put together to syllables."""
    apart = unicodedata.normalize("NFD", "코미디 추천해 주세요")
    assert slots_of(apart) == {}
    assert slots_of(MessageRequest(text=apart).text) == {"genre": "comedy"}
