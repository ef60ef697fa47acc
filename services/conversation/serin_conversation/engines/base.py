"""The protocol of an engine that answers messages."""

from dataclasses import dataclass
from typing import Protocol

from serin_conversation.language import Intent
from serin_conversation.memory import Memory


@dataclass(frozen=True, slots=True)
class Answer:
    """An engine's answer to one message.

    Attributes:
        reply: What is said to the user.
        intent: What the message was taken for.
        slots: What the user wants, as far as the engine knows.
        memory: What is to be stored, or None to leave the stored memory as it is.
    """

    reply: str
    intent: Intent
    slots: dict[str, str]
    memory: Memory | None


class ConversationEngine(Protocol):
    """Answers a message. One object a process; it keeps nothing between two messages."""

    name: str
    version: str
    remembers: bool
    """Whether it reads the memory; if not, nobody needs to load it."""

    @property
    def model_age(self) -> float:
        """Seconds since the model was made."""

    async def reply(self, text: str, memory: Memory) -> Answer:
        """Answer `text`; `memory` holds all turns before it."""
