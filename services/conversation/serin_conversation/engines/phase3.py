"""Phase 3, the legacy: answers from the last message alone."""

import time

from serin_conversation import wording
from serin_conversation.engines.base import Answer
from serin_conversation.language import intent_of, language_of, slots_of
from serin_conversation.memory import Memory


class LastMessageEngine:
    """Knows nothing but the message in front of it."""

    name = "phase3"
    version = "phase3-last-message-1"
    remembers = False

    def __init__(self) -> None:
        self._made_at = time.monotonic()

    @property
    def model_age(self) -> float:
        """Seconds since the model was made."""
        return time.monotonic() - self._made_at

    async def reply(self, text: str, memory: Memory) -> Answer:
        """Answer from `text`; what was wanted before is not known."""
        del memory
        language, intent, slots = language_of(text), intent_of(text), slots_of(text)
        said = wording.wish(language, slots) if slots else wording.plain(language, intent)
        return Answer(said, intent, slots, memory=None)
