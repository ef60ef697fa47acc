"""Engines that answer a message: one protocol, and both phases behind it.

Both stay maintained until the rollout from one to the other is done, and both can go on with a conversation that the
other began.
"""

from serin_conversation.engines.base import Answer, ConversationEngine, Item, Question
from serin_conversation.engines.phase3 import LastMessageEngine
from serin_conversation.engines.phase4 import MultiTurnConversationEngine
from serin_services.settings import EngineName

__all__ = [
    "Answer",
    "ConversationEngine",
    "Item",
    "LastMessageEngine",
    "MultiTurnConversationEngine",
    "Question",
    "make_engine",
]


def make_engine(name: EngineName) -> ConversationEngine:
    """Return the engine that the settings ask for."""
    return LastMessageEngine() if name == "phase3" else MultiTurnConversationEngine()
