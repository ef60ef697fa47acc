"""A memory stays small, keeps what matters, and survives being stored."""

import argparse
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from serin_conversation.memory import MEMORY_BYTES, SHOWN_BYTES, WINDOW, Memory
from serin_conversation.synthetic import make_conversations
from tests.bench.services import session_memory

MESSAGES = st.lists(
    st.text(st.characters(exclude_categories=("Cs",)) | st.sampled_from(' .!?"\\가나다'), min_size=1, max_size=400),
    max_size=20,
)


@settings(max_examples=60, deadline=None)
@given(MESSAGES, st.lists(st.text(min_size=1, max_size=64), max_size=12))
def test_a_memory_is_never_more_than_a_kilobyte(messages: list[str], shown: list[str]) -> None:
    """However much is said in any script, with quotes and control characters, and whatever is shown."""
    memory = Memory()
    for message in messages:
        memory = memory.add(message).show(shown)
    assert memory.through == len(messages)
    assert len(memory.window) == min(WINDOW, len(messages))
    assert len(memory.encode().encode(errors="replace")) <= MEMORY_BYTES


@settings(max_examples=60, deadline=None)
@given(MESSAGES)
def test_a_stored_memory_is_the_same_memory(messages: list[str]) -> None:
    """Encoding and decoding loses nothing, so any pod can go on."""
    memory = Memory().catch_up(messages)
    assert Memory.decode(memory.encode()) == memory


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "{",
        "[]",
        "null",
        '{"v":2}',
        '{"v":2,"n":1,"w":[],"i":"unheard-of","s":[],"k":{},"x":[]}',
        '{"n":3,"w":[["hello","greet"]],"s":[],"k":{}}',
        json.dumps({"v": 99, "n": 1}),
    ],
)
def test_what_cannot_be_read_is_an_empty_memory(stored: str) -> None:
    """Damage, and what another release wrote, cost a look at the turns and not the conversation."""
    assert Memory.decode(stored) == Memory()


def test_a_new_wish_begins_anew_and_a_refinement_adds() -> None:
    """Asking for another genre drops the old wish; anything else is added to it."""
    memory = Memory().catch_up(["recommend me a comedy", "something shorter", "a newer one"])
    assert memory.slots == {"genre": "comedy", "length": "short", "era": "new"}
    assert memory.add("I want to see a thriller movie").slots == {"genre": "thriller"}


def test_dislikes_and_company_outlive_a_wish() -> None:
    """Who watches too, and what nobody wants to see, is about the user and not about one wish."""
    memory = Memory().catch_up(["recommend me a comedy for my kids, no horror", "I want to see a thriller movie"])
    assert memory.slots == {"genre": "thriller", "avoid": "horror", "company": "family"}


def test_what_is_wanted_is_no_longer_avoided_and_the_other_way_round() -> None:
    """The last word about a genre counts."""
    memory = Memory().catch_up(["no horror please", "recommend me a horror film"])
    assert memory.slots == {"genre": "horror"}
    assert memory.add("I don't want horror").slots == {"avoid": "horror"}


def test_at_most_three_genres_are_avoided() -> None:
    """The oldest dislike goes first: slots have a bounded place in the memory."""
    memory = Memory().catch_up(["no horror", "no crime", "no western", "no musical"])
    assert memory.slots == {"avoid": "crime,western,musical"}


@pytest.mark.parametrize(
    ("messages", "intent", "slots"),
    [
        (["recommend me something to watch", "a comedy"], "refine", {"genre": "comedy"}),
        (["recommend me a comedy", "yes please"], "refine", {"genre": "comedy"}),
        (["영화 추천해 주세요", "코미디"], "refine", {"genre": "comedy"}),
        (["thank you", "a comedy"], "other", {"genre": "comedy"}),
        (["recommend me a comedy", "what did we talk about"], "recap", {"genre": "comedy"}),
    ],
)
def test_intents_carry_over(messages: list[str], intent: str, slots: dict[str, str]) -> None:
    """What a message means depends on the one before: a bare genre after a request goes on with the request."""
    memory = Memory().catch_up(messages)
    assert (memory.intent, memory.slots) == (intent, slots)


def test_what_leaves_the_window_is_summarised() -> None:
    """The sixth turn pushes the first into the summary, word for word."""
    memory = Memory().catch_up([f"message number {n}" for n in range(1, 7)])
    assert memory.summary == ("message number 1",)
    assert memory.window[0] == "message number 2"


def test_a_long_turn_loses_nothing_when_it_is_extracted() -> None:
    """What the window has no room for is in the summary at once, not gone."""
    text = "I like calm films. " + "The weather is as it is and nobody minds it much. " * 2 + "My dog is named Bori."
    memory = Memory().add(text)
    kept = " ".join((*memory.window, *memory.summary))
    for sentence in ("I like calm films.", "My dog is named Bori."):
        assert sentence in kept


@given(st.lists(st.text("item-0123456789", min_size=1, max_size=64), max_size=40))
def test_the_items_that_were_shown_last_are_remembered(item_ids: list[str]) -> None:
    """Shown items are a suffix of what was shown, without repeats, within their bytes."""
    memory = Memory().show(item_ids)
    distinct = list(dict.fromkeys(item_ids))
    assert list(memory.shown) == distinct[len(distinct) - len(memory.shown) :]
    assert sum(len(item_id) + 3 for item_id in memory.shown) <= SHOWN_BYTES


@pytest.mark.parametrize("language", ["en", "ko"])
def test_slots_named_early_are_known_at_the_end(language: str) -> None:
    """In labelled conversations of 20 turns every slot of the second message is known after the last one."""
    conversations = [one for one in make_conversations(40) if one.language == language]
    assert conversations
    for conversation in conversations:
        memory = Memory().catch_up(conversation.messages)
        assert memory.slots == conversation.slots


def test_the_bench_holds_a_kilobyte_and_beats_its_rivals(tmp_path: Path) -> None:
    """What the bench prints over 1,000 conversations holds for 60: size, and facts kept where rivals lose most."""
    options = argparse.Namespace(conversations=60, turns=20, json=tmp_path / "numbers.json")
    assert session_memory.main(options, Console(quiet=True)) == 0
    kept = list(json.loads(options.json.read_text())["kept"].values())
    assert kept[0] > 0.75
    assert kept[0] > max(kept[1:]) + 0.1
