"""What of a conversation is kept for the next answer: five turns, a summary of what left them, and the slots.

At most 1 KB however long a conversation gets, so that a turn costs one small row and not the whole history.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from serin_conversation.language import Slots, intent_of, pieces, slots_of, stored_size
from serin_conversation.lexicon import INTENTS, Intent
from serin_conversation.summary import SENTENCE_BYTES, summarise

WINDOW: Final = 5
"""Turns that are kept."""
MEMORY_BYTES: Final = 1024
"""Longest stored memory. The summary gets what the window, the slots and the shown items leave of it."""
SHOWN_BYTES: Final = 120
"""Ids of items that were shown; older ones are forgotten first, and may be shown again."""
_FORMAT: Final = 2
_ABOUT_THE_USER: Final = ("avoid", "company")
"""Slots that outlive a wish: who dislikes horror does so in the next wish too."""
_ASKS: Final = frozenset(("recommend", "refine"))


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of one conversation.

    Attributes:
        through: Number of the last turn that is in it; turns are numbered from 1.
        window: What the user said in the last turns, oldest first, at most WINDOW; long turns in extracts.
        intent: What the last message was taken for, with what was carried over.
        summary: Sentences of older turns, oldest first.
        slots: What the user wants, as far as it is known.
        shown: Ids of items that were shown, oldest first.
    """

    through: int = 0
    window: tuple[str, ...] = ()
    intent: Intent = "other"
    summary: tuple[str, ...] = ()
    slots: Slots = field(default_factory=dict)
    shown: tuple[str, ...] = ()

    def add(self, text: str) -> "Memory":
        """Return the memory after one more message of the user."""
        named = slots_of(text)
        intent = carried_intent(intent_of(text), named, self)
        said, left_out = _extract(text)
        window = (*self.window, said)
        # What a long turn could not keep is summarised at once: later it would be gone.
        leaving = [*pieces(window[0], SENTENCE_BYTES), *left_out] if len(window) > WINDOW else left_out
        after = replace(
            self,
            through=self.through + 1,
            window=window[-WINDOW:],
            intent=intent,
            slots=carried_slots(self.slots, named, intent),
        )
        return after.summarised(leaving)

    def summarised(self, leaving: Sequence[str] = ()) -> "Memory":
        """Return the memory with `leaving` in its summary, which is cut to what there is room for."""
        room = MEMORY_BYTES - len(replace(self, summary=()).encode().encode(errors="replace"))
        return replace(self, summary=tuple(summarise([*self.summary, *leaving], room)))

    def show(self, item_ids: Sequence[str]) -> "Memory":
        """Return the memory after items were shown."""
        kept: list[str] = []
        left = SHOWN_BYTES
        for item_id in reversed(list(dict.fromkeys((*self.shown, *item_ids)))):
            left -= stored_size(item_id) + 1
            if left < 0:
                break
            kept.append(item_id)
        return replace(self, shown=tuple(reversed(kept))).summarised()

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
        raw = {
            "v": _FORMAT,
            "n": self.through,
            "w": self.window,
            "i": self.intent,
            "s": self.summary,
            "k": self.slots,
            "x": self.shown,
        }
        return json.dumps(raw, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def decode(cls, text: str) -> "Memory":
        """Read what `encode` wrote.

        An empty text, another release's format or a damaged text is an empty memory: it is made again from the turns.
        """
        try:
            raw: dict[str, Any] = json.loads(text) if text else {}
            if raw.get("v") != _FORMAT or raw["i"] not in INTENTS:
                return cls()
            return cls(raw["n"], tuple(raw["w"]), raw["i"], tuple(raw["s"]), raw["k"], tuple(raw["x"]))
        except (ValueError, KeyError, TypeError, AttributeError):
            return cls()


def carried_intent(intent: Intent, named: Slots, before: Memory) -> Intent:
    """Return what a message means after those before it.

    "A comedy" after "recommend me something" goes on with that wish, and "yes" repeats it.
    """
    if before.intent in _ASKS and ((intent == "other" and named) or (intent == "affirm" and before.slots)):
        return "refine"
    return intent


def carried_slots(before: Slots, named: Slots, intent: Intent) -> Slots:
    """Return what the user wants after a message: a new wish begins anew, anything else adds to the known one."""
    kept = before
    if intent == "recommend" and "genre" in named:
        kept = {slot: value for slot, value in before.items() if slot in _ABOUT_THE_USER}
    slots = {**kept, **named}
    # What is wanted now is no longer avoided, and what is avoided now no longer wanted.
    avoided = dict.fromkeys(f"{before.get('avoid', '')},{named.get('avoid', '')}".strip(",").split(","))
    avoided.pop(named.get("genre", ""), None)
    avoided.pop("", None)
    if slots.get("genre") in avoided:
        del slots["genre"]
    slots.pop("avoid", None)
    if avoided:
        slots["avoid"] = ",".join(list(avoided)[-3:])
    return slots


def _extract(text: str) -> tuple[str, list[str]]:
    """Return what the window keeps of a message, and the sentences that found no room in it."""
    parts = pieces(text, SENTENCE_BYTES)
    if stored_size(text) <= SENTENCE_BYTES:
        return text, []
    kept = summarise(parts, SENTENCE_BYTES)
    return " ".join(kept), [part for part in parts if part not in kept]
