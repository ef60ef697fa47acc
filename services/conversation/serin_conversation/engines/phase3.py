"""Phase 3, the legacy: answers from the last message alone."""

from serin_conversation import wording
from serin_conversation.engines.base import Answer, Engine, Question
from serin_conversation.language import intent_of, language_of, slots_of


class LastMessageEngine(Engine):
    """Knows nothing but the message in front of it. What was said is in the full history, which it does not read."""

    name = "phase3"
    version = "phase3-last-message-1"
    remembers = False

    def wants_items(self, text: str) -> bool:
        """The legacy recommends nothing."""
        del text
        return False

    def reply(self, question: Question) -> Answer:
        """Answer from the text; what was wanted before is not known."""
        text = question.text
        language, intent, slots = language_of(text, question.language), intent_of(text), slots_of(text)
        said = wording.wish(language, slots) if slots else wording.plain(language, intent)
        return Answer(said, intent, slots)
