"""The protocol of an engine that answers messages, and what both engines share."""

import time
from dataclasses import dataclass, field
from typing import Protocol

from serin_conversation.language import Slots
from serin_conversation.lexicon import Intent, Language
from serin_conversation.memory import Memory


@dataclass(frozen=True, slots=True)
class Item:
    """Something that can be recommended.

    Attributes:
        item_id: Its id in the catalogue.
        title: What people call it.
        genres: Some of the catalogue's genres.
        score: How well it suits the user; higher is better.
        recommendation_id: The ranking that it comes from, for feedback to the recommendation service; may be empty.
    """

    item_id: str
    title: str
    genres: tuple[str, ...]
    score: float
    recommendation_id: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """One message, and what is known when it arrives.

    Attributes:
        text: What the user said.
        memory: All turns before it; empty for an engine that remembers nothing.
        language: What the conversation began in, for a message that does not show its language.
        items: What suits the user, best first; None when nobody was asked, or nobody answered.
        asked: Whether somebody was asked for items.
    """

    text: str
    memory: Memory = field(default_factory=Memory)
    language: Language = "en"
    items: tuple[Item, ...] | None = None
    asked: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """An engine's answer to one message.

    Attributes:
        reply: What is said to the user.
        intent: What the message was taken for.
        slots: What the user wants, as far as the engine knows.
        memory: What is to be stored, or None to leave the stored memory as it is.
        items: What is recommended, best first.
        missing_parts: Services that should have had a part in the answer and had none.
    """

    reply: str
    intent: Intent
    slots: Slots
    memory: Memory | None = None
    items: tuple[Item, ...] = ()
    missing_parts: tuple[str, ...] = ()


class ConversationEngine(Protocol):
    """Answers messages. One object a process; it keeps nothing between two messages and does no I/O."""

    name: str
    version: str
    remembers: bool
    """Whether it reads the memory; if not, nobody needs to load it."""

    @property
    def model_age(self) -> float:
        """Seconds since the model was made."""

    def wants_items(self, text: str) -> bool:
        """Say whether an answer to `text` may recommend something."""

    def reply(self, question: Question) -> Answer:
        """Answer a message."""


class Engine:
    """When an engine was made: both learn from the examples of the code, so at the start of the process."""

    def __init__(self) -> None:
        self._made_at = time.monotonic()

    @property
    def model_age(self) -> float:
        """Seconds since the model was made."""
        return time.monotonic() - self._made_at
