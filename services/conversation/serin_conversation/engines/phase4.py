"""Phase 4: answers from the last five turns and a summary of the older ones, and recommends on request."""

from dataclasses import replace
from typing import Final

from serin_conversation import wording
from serin_conversation.engines.base import Answer, Engine, Item, Question
from serin_conversation.language import Slots, intent_of, language_of, slots_of
from serin_conversation.lexicon import Language
from serin_conversation.memory import Memory

MOST_ITEMS: Final = 3
"""More than these nobody reads in a chat."""
_ASKS: Final = frozenset(("recommend", "refine", "affirm"))


class MultiTurnConversationEngine(Engine):
    """Carries what the user wants from turn to turn, recommends, and can say what was said."""

    name = "phase4"
    version = "phase4-multi-turn-2"
    remembers = True

    def wants_items(self, text: str) -> bool:
        """Say whether a message asks for something, or says what it should be like."""
        return intent_of(text) in _ASKS or bool(slots_of(text))

    def reply(self, question: Question) -> Answer:
        """Answer from the message and everything that the memory holds."""
        after = question.memory.add(question.text)
        language, intent = language_of(question.text, question.language), after.intent
        if after.slots and (intent in {"recommend", "refine"} or slots_of(question.text)):
            return self._recommend(question, after, language)
        if intent == "recap":
            said = [*after.summary, *after.window[:-1]]
            reply = wording.recap(language, said, after.slots) if said else wording.plain(language, intent)
        else:
            reply = wording.plain(language, intent)
        return Answer(reply, intent, after.slots, after)

    def _recommend(self, question: Question, after: Memory, language: Language) -> Answer:
        """Answer a wish: with items, or by saying what is known of it when nobody could be asked for any."""
        wish = wording.wish(language, after.slots)
        answer = Answer(wish, after.intent, after.slots, after)
        if not question.asked:
            return answer
        if question.items is None:
            reply = f"{wish} {wording.UNAVAILABLE[language]}"
            return replace(answer, reply=reply, missing_parts=("recommendation",))
        items = choose(question.items, after.slots, after.shown)
        if not items:
            return replace(answer, reply=f"{wish} {wording.NOTHING_FITS[language]}")
        reply = wording.offer(language, after.slots, [item.title for item in items])
        return replace(answer, reply=reply, items=items, memory=after.show([item.item_id for item in items]))


def choose(items: tuple[Item, ...], slots: Slots, shown: tuple[str, ...]) -> tuple[Item, ...]:
    """Return the best items that fit a wish and were not shown yet.

    The catalogue knows genres alone: length and era are part of the conversation, not of the choice.

    Args:
        items: What suits the user, best first.
        slots: What is wanted; `genre` must be among an item's genres, and none of `avoid`.
        shown: Ids that were shown before.
    """
    genre, avoided, seen = slots.get("genre"), frozenset(slots.get("avoid", "").split(",")), frozenset(shown)
    fitting = (
        item
        for item in items
        if item.item_id not in seen and (genre is None or genre in item.genres) and avoided.isdisjoint(item.genres)
    )
    return tuple(item for item, _ in zip(fitting, range(MOST_ITEMS), strict=False))
