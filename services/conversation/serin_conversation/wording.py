"""The sentences that the service says, in both languages."""

from collections.abc import Sequence
from typing import Final

from serin_conversation.language import Slots
from serin_conversation.lexicon import Intent, Language

GREETING: Final[dict[Language, str]] = {
    "en": "Hello! Tell me what you feel like watching.",
    "ko": "안녕하세요! 어떤 작품을 보고 싶은지 말씀해 주세요.",
}
UNAVAILABLE: Final[dict[Language, str]] = {
    "en": "I can't look up titles at the moment, but I keep your wish: ask me again in a minute.",
    "ko": "지금은 작품을 찾을 수 없지만 말씀하신 내용은 기억할게요. 잠시 후 다시 물어봐 주세요.",
}
NOTHING_FITS: Final[dict[Language, str]] = {
    "en": "I have found nothing else that fits.",
    "ko": "조건에 맞는 다른 작품은 찾지 못했어요.",
}
GOODBYE: Final[dict[Language, str]] = {
    "en": "Goodbye, and enjoy it.",
    "ko": "안녕히 가세요. 즐겁게 보세요.",
}

_PLAIN: Final[dict[Language, dict[Intent, str]]] = {
    "en": {
        "greet": "Hello! What do you feel like watching?",
        "affirm": "Good. What would you like to watch?",
        "thanks": "You are welcome. Shall I look for anything else?",
        "goodbye": GOODBYE["en"],
        "other": "Tell me a genre, for example comedy or thriller, and I will look.",
        "recap": "I only know your last message. What would you like to watch?",
        "recommend": "Gladly. Which genre do you like?",
        "refine": "Which genre should I look in?",
    },
    "ko": {
        "greet": "안녕하세요! 어떤 작품을 보고 싶으세요?",
        "affirm": "좋아요. 어떤 작품을 보고 싶으세요?",
        "thanks": "천만에요. 더 찾아 드릴까요?",
        "goodbye": GOODBYE["ko"],
        "other": "코미디나 스릴러처럼 장르를 말씀해 주시면 찾아볼게요.",
        "recap": "마지막 말씀만 알고 있어요. 무엇을 보고 싶으세요?",
        "recommend": "좋아요. 어떤 장르를 좋아하세요?",
        "refine": "어떤 장르에서 찾아볼까요?",
    },
}

_WISH: Final[dict[Language, str]] = {
    "en": "Looking for {wish}. {question}",
    "ko": "{wish} 작품을 찾아볼게요. {question}",
}
_OFFER: Final[dict[Language, str]] = {
    "en": "I suggest {titles} ({wish}). {question}",
    "ko": "{titles} 추천해 드려요 ({wish} 작품). {question}",
}
_QUESTIONS: Final[dict[Language, dict[str, str]]] = {
    "en": {
        "genre": "Which genre?",
        "length": "Short or long?",
        "era": "Something new or a classic?",
        "": "Say what to change, if it is not right yet.",
    },
    "ko": {
        "genre": "어떤 장르가 좋으세요?",
        "length": "짧은 것과 긴 것 중 어느 쪽이 좋으세요?",
        "era": "최신작과 고전 중 어느 쪽이 좋으세요?",
        "": "바꾸고 싶은 것이 있으면 말씀해 주세요.",
    },
}
_RECAP: Final[dict[Language, str]] = {"en": "So far you said: {said}", "ko": "지금까지 하신 말씀: {said}"}
_RECAP_WISH: Final[dict[Language, str]] = {"en": "You want {wish}. ", "ko": "찾으시는 것: {wish} 작품. "}
_ORDER: Final = ("era", "length", "genre")
_COMPANY: Final[dict[Language, dict[str, str]]] = {
    "en": {"family": "for the family", "partner": "for the two of you", "friends": "for you and your friends"},
    "ko": {"family": "가족과 볼", "partner": "둘이서 볼", "friends": "친구들과 볼"},
}
_KOREAN: Final = {
    "new": "최신",
    "classic": "고전",
    "short": "짧은",
    "long": "긴",
    "action": "액션",
    "animation": "애니메이션",
    "comedy": "코미디",
    "crime": "범죄",
    "documentary": "다큐멘터리",
    "drama": "드라마",
    "fantasy": "판타지",
    "history": "역사",
    "horror": "공포",
    "musical": "뮤지컬",
    "mystery": "미스터리",
    "romance": "로맨스",
    "science-fiction": "공상과학",
    "sport": "스포츠",
    "thriller": "스릴러",
    "western": "서부극",
}
"""Korean word of each value of a slot."""


def plain(language: Language, intent: Intent) -> str:
    """Say what needs nothing but the intent."""
    return _PLAIN[language][intent]


def wish(language: Language, slots: Slots) -> str:
    """Say what is being looked for, and ask for the first thing that is not known."""
    return _WISH[language].format(wish=_named(language, slots), question=_question(language, slots))


def offer(language: Language, slots: Slots, titles: Sequence[str]) -> str:
    """Recommend titles for a wish, and ask for the first thing that is not known."""
    listed = ", ".join(titles)
    if language == "en" and len(titles) > 1:
        listed = f"{', '.join(titles[:-1])} or {titles[-1]}"
    return _OFFER[language].format(wish=_named(language, slots), titles=listed, question=_question(language, slots))


def recap(language: Language, said: Sequence[str], slots: Slots) -> str:
    """Say what was said before, and what is wanted."""
    known = _RECAP_WISH[language].format(wish=_named(language, slots)) if slots else ""
    return known + _RECAP[language].format(said=" / ".join(said))


def _question(language: Language, slots: Slots) -> str:
    missing = next((slot for slot in ("genre", "length", "era") if slot not in slots), "")
    return _QUESTIONS[language][missing]


def _named(language: Language, slots: Slots) -> str:
    words = [slots[slot] for slot in _ORDER if slot in slots]
    avoided = [genre for genre in slots.get("avoid", "").split(",") if genre]
    company = _COMPANY[language].get(slots.get("company", ""))
    if language == "ko":
        without = "·".join(_KOREAN[genre] for genre in avoided)
        parts = [company, f"{without} 아닌" if avoided else None, *(_KOREAN[word] for word in words)]
        return " ".join(part for part in parts if part)
    parts = [*(words if "genre" in slots else ["something", *words]), company]
    known = " ".join(part for part in parts if part)
    return f"{known}, no {' or '.join(avoided)}" if avoided else known
