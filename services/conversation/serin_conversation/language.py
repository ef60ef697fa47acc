"""What a message wants (intent) and what it names (slots), in English and Korean.

Sentences are compared by character n-grams: they work the same for both languages, need no dictionary of endings and
forgive typing errors. scikit-learn's HashingVectorizer gives the same likeness (a test holds the two together), but
with scipy it is 100 MB in every pod and ten times slower for one short text, which is all that is ever asked here.
"""

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from serin_conversation.lexicon import (
    AFTER_EVERYDAY,
    BEFORE_EVERYDAY,
    COMPANY,
    EVERYDAY,
    EXAMPLES,
    NOT,
    NOT_KOREAN,
    SLOTS,
    TRANSPARENT,
    Intent,
    Language,
)

Floats = npt.NDArray[np.float32]
Slots = dict[str, str]

DIMENSIONS: Final = 1024
MOST_AVOIDED: Final = 3
_LEAST_LIKENESS: Final = 0.38
"""Below this cosine a message is like none of the examples; between what the tests' messages with an intent have, and
those without."""
_MOST_SENTENCES: Final = 6
_ENDS: Final = 5
"""Words at either end of a sentence in which people say what they want."""
_RECENT_TEXTS: Final = 512
"""One turn asks several times about one text, and turns that follow about sentences that were kept."""
_LEAST_LETTERS: Final = 3
_ENDINGS: Final = ("", "s", "er", "est", "ish", "'s")

_SENTENCE_END = re.compile(r"(?<=[.!?。！？])\s+|\n+")
_CLAUSE_END = re.compile(r"(?<=[,;，、:])\s+|\s+(?=(?:but|because|그리고|그런데|근데|하지만)\s)")
_HANGUL = re.compile(r"[\uac00-\ud7a3]")
_LATIN = re.compile(r"[a-z]", re.IGNORECASE)
_TOKEN = re.compile(r"[^\W_]+(?:'\w+)?|[.,;!?。，！？]")
_STOPS: Final = frozenset(".;!?。！？")
_COMMA: Final = frozenset(",，")
_TURNING: Final = frozenset(("but", "just", "only", "rather"))


def _alternatives(words: tuple[str, ...], *, korean: bool) -> str:
    return "|".join(word for word in words if bool(_HANGUL.search(word)) == korean)


_COMPANY_NAMED: Final = {
    value: re.compile(
        rf"\b(?:with|for)\s+(?:[a-z']+\s+){{0,2}}(?:{_alternatives(words, korean=False)})\b"
        rf"|(?:{_alternatives(words, korean=True)})\S*?(?:랑|와|과|하고|함께|같이)"
    )
    for value, words in COMPANY.items()
}


def language_of(text: str, otherwise: Language = "en") -> Language:
    """Return `ko` when a text has Hangul in it, `en` when it has Latin letters, and `otherwise` for "ok" or "5"."""
    if _HANGUL.search(text):
        return "ko"
    return "en" if len(_LATIN.findall(text)) >= _LEAST_LETTERS else otherwise


def sentences(text: str) -> list[str]:
    """Split a text at the ends of its sentences; nothing empty is returned."""
    return [part.strip() for part in _SENTENCE_END.split(text) if part.strip()]


def pieces(text: str, limit: int) -> list[str]:
    """Split a text into sentences, and those that take more than `limit` bytes at clauses, then at words.

    Nothing is lost, except from a single word that is longer than the limit.

    Args:
        text: What somebody said.
        limit: Bytes of JSON, see `stored_size`, that each piece may take.
    """
    found: list[str] = []
    for sentence in sentences(text):
        if stored_size(sentence) <= limit:
            found.append(sentence)
            continue
        for clause in filter(None, _CLAUSE_END.split(sentence)):
            if stored_size(clause) <= limit:
                found.append(clause)
            else:
                found += _wrapped(clause, limit)
    return found


def _wrapped(text: str, limit: int) -> list[str]:
    lines: list[str] = []
    taken: list[str] = []
    for word in text.split():
        if taken and stored_size(" ".join((*taken, word))) > limit:
            lines.append(" ".join(taken))
            taken = []
        taken.append(clip(word, limit))
    return [*lines, " ".join(taken)] if taken else lines


def n_grams(text: str) -> Floats:
    """Return the unit vector of a text's character 2-grams and 3-grams, hashed; shape (DIMENSIONS,)."""
    padded = f" {' '.join(text.lower().split())} "
    codes = np.frombuffer(padded.encode("utf-32-le", "replace"), np.uint32)
    # Multiplications wrap around; the odd constants (from xxHash) spread neighbouring characters apart.
    two = codes[:-1] * np.uint32(0x9E3779B1) + codes[1:] * np.uint32(0x85EBCA77)
    three = two[:-1] * np.uint32(0xC2B2AE3D) + codes[2:] * np.uint32(0x27D4EB2F)
    hashed = np.concatenate((two, three))
    hashed = (hashed ^ (hashed >> np.uint32(15))) * np.uint32(0x2C1B3C6D)
    counts = np.bincount((hashed >> np.uint32(12)) % DIMENSIONS, minlength=DIMENSIONS).astype(np.float32)
    length = np.float32(np.sqrt(counts @ counts))
    return counts / length if length > 0 else counts


@dataclass(frozen=True, slots=True)
class _Examples:
    """What messages are compared with.

    Attributes:
        intents: Intent of each example.
        rarity: Inverse document frequency of each n-gram, which makes "comedy" weigh more than "a "; shape
            (DIMENSIONS,).
        vectors: Unit vectors of the examples, weighted by rarity; shape (examples, DIMENSIONS).
    """

    intents: tuple[Intent, ...]
    rarity: Floats
    vectors: Floats


@lru_cache(maxsize=1)
def _examples() -> _Examples:
    pairs = [(intent, text) for intent, texts in EXAMPLES.items() for text in texts]
    vectors = np.stack([n_grams(text) for _, text in pairs])
    rarity: Floats = np.log((1 + len(pairs)) / (1 + (vectors > 0).sum(0))).astype(np.float32)
    weighted = vectors * rarity
    weighted /= np.linalg.norm(weighted, axis=1, keepdims=True)
    return _Examples(tuple(intent for intent, _ in pairs), rarity, weighted)


@lru_cache(maxsize=_RECENT_TEXTS)
def intent_of(text: str) -> Intent:
    """Return the intent whose example is most like a text, or like the beginning or end of one of its sentences.

    "Recommend me a comedy to watch with my kids" is like "recommend me a film" in its first words alone.
    """
    examples = _examples()
    nearest: Intent = "other"
    most = _LEAST_LIKENESS
    for part in _told(text):
        weighted = n_grams(part) * examples.rarity
        length = float(np.sqrt(weighted @ weighted))
        if length == 0.0:
            continue
        likeness = (examples.vectors @ weighted) / length
        best = int(np.argmax(likeness))
        # A greeting comes first or is none: "there" in the middle of a story greets nobody.
        greets = examples.intents[best] == "greet" and not text.startswith(part)
        if likeness[best] >= most and not greets:
            nearest, most = examples.intents[best], float(likeness[best])
    return nearest


def _told(text: str) -> list[str]:
    """Return a text, its first sentences, and of long ones the first and the last words."""
    parts = [text]
    for sentence in sentences(text)[:_MOST_SENTENCES]:
        words = sentence.split()
        parts.append(sentence)
        if len(words) > _ENDS:
            parts += [" ".join(words[:_ENDS]), " ".join(words[-_ENDS:])]
    return list(dict.fromkeys(parts))


def slots_of(text: str) -> Slots:
    """Return the slots that a text names, each with its value.

    Returns:
        `genre`, `length`, `era` and `company`; and `avoid`, genres that are not wanted, separated by commas.
    """
    return dict(_slots_of(text))


@lru_cache(maxsize=_RECENT_TEXTS)
def _slots_of(text: str) -> tuple[tuple[str, str], ...]:
    lowered = text.lower().replace("science fiction", "scifi").replace("sci-fi", "scifi").replace("’", "'")
    tokens = _TOKEN.findall(lowered)
    unwanted = _negated(tokens)
    found: Slots = {}
    avoided: list[str] = []
    for index, (token, negated) in enumerate(zip(tokens, unwanted, strict=True)):
        named = _named(token)
        if named is None or not _about_watching(tokens, index):
            continue
        slot, value = named
        if not negated:
            found.setdefault(slot, value)
        elif slot == "genre" and value not in avoided:
            avoided.append(value)
        elif slot in _OPPOSITE and value in _OPPOSITE[slot]:
            found.setdefault(slot, _OPPOSITE[slot][value])
    avoided = [genre for genre in avoided if genre != found.get("genre")][:MOST_AVOIDED]
    if avoided:
        found["avoid"] = ",".join(avoided)
    for value, pattern in _COMPANY_NAMED.items():
        if pattern.search(lowered):
            found["company"] = value
            break
    return tuple(found.items())


def _about_watching(tokens: list[str], index: int) -> bool:
    """Say whether a word of length or age stands where it describes something to watch."""
    if index + 1 < len(tokens) and tokens[index + 1] == "than":
        return False  # "Dinner took longer than it should have."
    if tokens[index] not in EVERYDAY:
        return True
    if index > 0 and tokens[index - 1] in BEFORE_EVERYDAY:
        return True
    after = tokens[index + 1] if index + 1 < len(tokens) else ""
    return after.startswith(AFTER_EVERYDAY) or _named(after) is not None


_OPPOSITE: Final = {"length": {"long": "short", "short": "long"}, "era": {"classic": "new"}}
""""Not too long" asks for something short."""


@lru_cache(maxsize=4096)
def _named(token: str) -> tuple[str, str] | None:
    """Return the slot and value that one word names."""
    korean = _HANGUL.search(token) is not None
    for slot, values in SLOTS.items():
        for value, words in values.items():
            for word in words:
                if not token.startswith(word):
                    continue
                # Korean puts its endings behind a word, any of them; of one syllable only the bare word is sure.
                if (korean and len(word) > 1) or token[len(word) :] in _ENDINGS:
                    return slot, value
    return None


def _negated(tokens: list[str]) -> list[bool]:
    """Say for each word whether a "not" reaches it: an English one from the left, a Korean one from the right."""
    unwanted = [False] * len(tokens)
    for order, starts in ((range(len(tokens)), _starts), (range(len(tokens) - 1, -1, -1), _starts_korean)):
        active = False
        for index in order:
            token = tokens[index]
            if starts(token):
                active = True
            elif token in _STOPS or token in _TURNING:
                active = False
            elif _named(token) is not None:
                unwanted[index] = unwanted[index] or active
            elif token not in TRANSPARENT and token not in _COMMA:
                active = False
    return unwanted


def _starts(token: str) -> bool:
    return token in NOT


def _starts_korean(token: str) -> bool:
    return token.startswith(NOT_KOREAN)


def stored_size(text: str) -> int:
    """Return the bytes that a text takes in stored JSON, its quotes included."""
    return len(json.dumps(text, ensure_ascii=False).encode(errors="replace"))


def clip(text: str, limit: int) -> str:
    """Shorten a text so that it takes at most `limit` bytes in stored JSON, at a character, with an ellipsis."""
    if stored_size(text) <= limit:
        return text
    kept = text.encode(errors="replace")[: limit - 5].decode(errors="ignore").rstrip()
    while kept and stored_size(f"{kept}…") > limit:
        kept = kept[: -1 - (stored_size(kept) - limit) // 12].rstrip()
    return f"{kept}…"
