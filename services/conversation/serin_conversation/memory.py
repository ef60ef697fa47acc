"""What of a conversation is kept for the next answer: five turns, a summary of what left them, and the slots.

About 1 KB however long a conversation gets, so that a turn costs one small row and not the whole history.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from serin_conversation.language import Intent, clip, intent_of, sentences, slots_of
from serin_conversation.summary import summarise

WINDOW = 5
"""Turns that are kept as they were said."""
TURN_BYTES = 90
"""Longest text of a turn in the window."""


@dataclass(frozen=True, slots=True)
class RememberedTurn:
    """What a user said in one turn, and what it was taken for."""

    text: str
    intent: Intent


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of one conversation.

    Attributes:
        through: Number of the last turn that is in it; turns are numbered from 1.
        window: The last turns, oldest first, at most WINDOW.
        summary: Sentences of older turns, oldest first.
        slots: What the user wants, as far as it is known.
    """

    through: int = 0
    window: tuple[RememberedTurn, ...] = ()
    summary: tuple[str, ...] = ()
    slots: dict[str, str] = field(default_factory=dict)

    def add(self, text: str) -> "Memory":
        """Return the memory after one more message of the user."""
        intent = intent_of(text)
        window = (*self.window, RememberedTurn(clip(text, TURN_BYTES), intent))
        summary = self.summary
        if len(window) > WINDOW:
            leaving, window = window[0], window[1:]
            summary = tuple(summarise([*summary, *sentences(leaving.text)]))
        # A new wish begins anew; anything else adds to the wish that is known.
        named = slots_of(text)
        slots = named if intent == "recommend" and "genre" in named else {**self.slots, **named}
        return Memory(self.through + 1, window, summary, slots)

    def catch_up(self, texts: Iterable[str]) -> "Memory":
        """Return the memory after turns that another engine served without writing them here."""
        memory = self
        for text in texts:
            memory = memory.add(text)
        return memory

    def skip_to(self, turn: int) -> "Memory":
        """Return the memory as of `turn`, without what was said between."""
        return replace(self, through=turn)

    def encode(self) -> str:
        """Return the memory as compact JSON, as it is stored."""
        return json.dumps(
            {
                "n": self.through,
                "w": [[turn.text, turn.intent] for turn in self.window],
                "s": list(self.summary),
                "k": self.slots,
            },
            ensure_ascii=False,
            separators=(",", ":"),
        )

    @classmethod
    def decode(cls, text: str) -> "Memory":
        """Read what `encode` wrote; an empty text is an empty memory."""
        if not text:
            return cls()
        raw = json.loads(text)
        return cls(raw["n"], tuple(RememberedTurn(*turn) for turn in raw["w"]), tuple(raw["s"]), raw["k"])
