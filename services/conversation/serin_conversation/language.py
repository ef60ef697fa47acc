"""What a message wants (intent) and what it names (slots), in English and Korean.

Words are not split: character n-grams work the same for both languages, need no dictionary and forgive typing errors.
"""

import re
import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Language = Literal["en", "ko"]
Intent = Literal["greet", "recommend", "refine", "recap", "thanks", "goodbye", "other"]

_DIMENSIONS: Final = 1024
_LEAST_LIKENESS: Final = 0.25
"""Below this cosine a message is like none of the examples."""

_EXAMPLES: Final[dict[Intent, tuple[str, ...]]] = {
    "greet": ("hello", "hi there", "good evening", "hey", "안녕하세요", "안녕", "반갑습니다"),
    "recommend": (
        "recommend me a film",
        "what should i watch tonight",
        "i want to see a movie",
        "suggest something to watch",
        "i am looking for a series",
        "영화 추천해 주세요",
        "오늘 뭐 볼까요",
        "볼만한 거 추천해줘",
        "드라마 찾고 있어요",
    ),
    "refine": (
        "something shorter please",
        "not that one, another",
        "a newer one",
        "do you have something else",
        "older and longer",
        "더 짧은 걸로",
        "다른 거 없어요",
        "더 최신 영화로",
    ),
    "recap": (
        "what did we talk about",
        "what did i say before",
        "summarise our conversation",
        "remind me what i asked for",
        "지금까지 무슨 얘기 했죠",
        "내가 뭐라고 했지",
        "대화 요약해 줘",
    ),
    "thanks": ("thank you", "thanks a lot", "great, that helps", "고마워요", "감사합니다"),
    "goodbye": ("goodbye", "bye", "see you later", "good night", "안녕히 계세요", "잘 가요"),
}

_GENRES: Final[dict[str, tuple[str, ...]]] = {
    "action": ("action", "액션"),
    "animation": ("animation", "animated", "cartoon", "애니"),
    "comedy": ("comedy", "comedies", "funny", "코미디", "웃긴"),
    "crime": ("crime", "detective", "범죄"),
    "documentary": ("documentary", "다큐"),
    "drama": ("drama", "드라마"),
    "fantasy": ("fantasy", "판타지"),
    "horror": ("horror", "scary", "공포", "무서운"),
    "romance": ("romance", "romantic", "로맨스", "멜로"),
    "science-fiction": ("science fiction", "sci-fi", "space", "공상과학", "우주"),
    "thriller": ("thriller", "suspense", "스릴러"),
}
_LENGTHS: Final[dict[str, tuple[str, ...]]] = {"short": ("short", "quick", "짧은"), "long": ("long", "epic", "긴 ")}
_ERAS: Final[dict[str, tuple[str, ...]]] = {
    "new": ("new", "recent", "latest", "최신", "요즘"),
    "classic": ("classic", "old", "고전", "옛날"),
}
SLOTS: Final[dict[str, dict[str, tuple[str, ...]]]] = {"genre": _GENRES, "length": _LENGTHS, "era": _ERAS}
"""Names that a message may give, by slot and value."""

_SENTENCE_END = re.compile(r"(?<=[.!?。！？])\s+|\n+")
_HANGUL = re.compile(r"[\uac00-\ud7a3]")


def language_of(text: str) -> Language:
    """Return `ko` when a text has Hangul in it, otherwise `en`."""
    return "ko" if _HANGUL.search(text) else "en"


def sentences(text: str) -> list[str]:
    """Split a text at the ends of its sentences; nothing empty is returned."""
    return [part.strip() for part in _SENTENCE_END.split(text) if part.strip()]


def n_grams(text: str) -> Floats:
    """Return the unit vector of a text's character 2-grams and 3-grams, hashed; shape (1024,)."""
    padded = f" {' '.join(text.lower().split())} "
    vector = np.zeros(_DIMENSIONS, np.float32)
    for size in (2, 3):
        for start in range(len(padded) - size + 1):
            # crc32 and not hash(): the same in every process.
            vector[zlib.crc32(padded[start : start + size].encode()) % _DIMENSIONS] += 1.0
    length = float(np.linalg.norm(vector))
    return vector / np.float32(length) if length > 0 else vector


@lru_cache(maxsize=1)
def _examples() -> tuple[tuple[Intent, ...], Floats]:
    pairs = [(intent, text) for intent, texts in _EXAMPLES.items() for text in texts]
    return tuple(intent for intent, _ in pairs), np.stack([n_grams(text) for _, text in pairs])


def intent_of(text: str) -> Intent:
    """Return the intent whose example is most like a text, or `other`."""
    intents, vectors = _examples()
    likeness = vectors @ n_grams(text)
    nearest = int(np.argmax(likeness))
    return intents[nearest] if likeness[nearest] >= _LEAST_LIKENESS else "other"


def slots_of(text: str) -> dict[str, str]:
    """Return the slots that a text names, each with its value."""
    lowered = f" {text.lower()} "
    found = {}
    for slot, values in SLOTS.items():
        for value, words in values.items():
            if any(_names(lowered, word) for word in words):
                found[slot] = value
                break
    return found


def _names(text: str, word: str) -> bool:
    # English words need a boundary before them ("cold" names no era); Korean puts its endings behind a word.
    return re.search(rf"\b{re.escape(word)}", text) is not None


def clip(text: str, limit: int) -> str:
    """Shorten a text to at most `limit` bytes of UTF-8, at a character, with an ellipsis."""
    if len(text.encode()) <= limit:
        return text
    return text.encode()[: limit - 3].decode(errors="ignore").rstrip() + "…"


def size(texts: Sequence[str]) -> int:
    """Return the bytes of UTF-8 that texts take together."""
    return sum(len(text.encode()) for text in texts)
