"""Phase 4: answers from the last five turns and a summary of the older ones."""

import time

from serin_conversation import wording
from serin_conversation.engines.base import Answer
from serin_conversation.language import language_of, slots_of
from serin_conversation.memory import Memory


class MultiTurnConversationEngine:
    """Carries what the user wants from turn to turn, and can say what was said."""

    name = "phase4"
    version = "phase4-multi-turn-1"
    remembers = True

    def __init__(self) -> None:
        self._made_at = time.monotonic()

    @property
    def model_age(self) -> float:
        """Seconds since the model was made."""
        return time.monotonic() - self._made_at

    async def reply(self, text: str, memory: Memory) -> Answer:
        """Answer from `text` and everything that the memory holds."""
        after = memory.add(text)
        language, intent = language_of(text), after.window[-1].intent
        said = [*memory.summary, *(turn.text for turn in memory.window)]
        if intent == "recap" and said:
            reply = wording.recap(language, said)
        elif after.slots and (intent in {"recommend", "refine"} or slots_of(text)):
            reply = wording.wish(language, after.slots)
        else:
            reply = wording.plain(language, intent)
        return Answer(reply, intent, after.slots, after)
