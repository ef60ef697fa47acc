"""The sentences that the service says, in both languages."""

from typing import Final

from serin_conversation.language import Intent, Language

GREETING: Final[dict[Language, str]] = {
    "en": "Hello! Tell me what you feel like watching.",
    "ko": "안녕하세요! 어떤 작품을 보고 싶은지 말씀해 주세요.",
}

_PLAIN: Final[dict[Language, dict[Intent, str]]] = {
    "en": {
        "greet": "Hello! What do you feel like watching?",
        "thanks": "You are welcome. Shall I look for anything else?",
        "goodbye": "Goodbye, and enjoy it.",
        "other": "Tell me a genre, for example comedy or thriller, and I will look.",
        "recap": "I only know your last message. What would you like to watch?",
        "recommend": "Gladly. Which genre do you like?",
        "refine": "Which genre should I look in?",
    },
    "ko": {
        "greet": "안녕하세요! 어떤 작품을 보고 싶으세요?",
        "thanks": "천만에요. 더 찾아 드릴까요?",
        "goodbye": "안녕히 가세요. 즐겁게 보세요.",
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
_ORDER: Final = ("era", "length", "genre")
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
    "horror": "공포",
    "romance": "로맨스",
    "science-fiction": "공상과학",
    "thriller": "스릴러",
}
"""Korean word of each value of a slot."""


def plain(language: Language, intent: Intent) -> str:
    """Say what needs nothing but the intent."""
    return _PLAIN[language][intent]


def wish(language: Language, slots: dict[str, str]) -> str:
    """Say what is being looked for, and ask for the first thing that is not known."""
    missing = next((slot for slot in ("genre", "length", "era") if slot not in slots), "")
    words = [slots[slot] for slot in _ORDER if slot in slots]
    if language == "ko":
        known = " ".join(_KOREAN[word] for word in words)
    else:
        known = " ".join(words if "genre" in slots else ["something", *words])
    return _WISH[language].format(wish=known, question=_QUESTIONS[language][missing])


def recap(language: Language, said: list[str]) -> str:
    """Say what was said before."""
    return _RECAP[language].format(said=" / ".join(said))
