"""The words that the service knows: examples of each intent, and the names of what a user can wish for.

Data only, in English and Korean, apart from the code that matches it: whoever adds a genre changes nothing else.
"""

from typing import Final, Literal, get_args

Language = Literal["en", "ko"]
Intent = Literal["greet", "recommend", "refine", "affirm", "recap", "thanks", "goodbye", "other"]
INTENTS: Final[tuple[Intent, ...]] = get_args(Intent)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


EXAMPLES: Final[dict[Intent, tuple[str, ...]]] = {
    "greet": ("hello", "hi there", "good evening", "hey", "안녕하세요", "안녕", "반갑습니다"),
    "recommend": (
        "recommend me a film",
        "what should i watch tonight",
        "i want to see a movie",
        "i would like to watch something",
        "suggest something to watch",
        "please recommend something",
        "i am looking for a series",
        "find me a movie for this evening",
        "any recommendations",
        "영화 추천해 주세요",
        "오늘 뭐 볼까요",
        "볼만한 거 추천해줘",
        "드라마 찾고 있어요",
        "영화 보고 싶어요",
        "재미있는 거 있을까요",
    ),
    "refine": (
        "something shorter please",
        "not that one, another",
        "show me another one",
        "a newer one",
        "do you have something else",
        "older and longer",
        "i have seen that already",
        "더 짧은 걸로",
        "다른 거 없어요",
        "더 최신 영화로",
        "그건 이미 봤어요",
        "그거 말고 다른 걸로 보여줘",
    ),
    "affirm": ("yes", "yes please", "ok", "sure, go ahead", "sounds good", "네", "네 좋아요", "그래요", "응 부탁해"),
    "recap": (
        "what did we talk about",
        "what did i say before",
        "summarise our conversation",
        "summarize what i told you",
        "remind me what i asked for",
        "지금까지 무슨 얘기 했죠",
        "내가 뭐라고 했지",
        "대화 요약해 줘",
    ),
    "thanks": ("thank you", "thanks a lot", "great, that helps", "고마워요", "감사합니다"),
    "goodbye": ("goodbye", "bye", "see you later", "good night", "안녕히 계세요", "잘 가요"),
}
"""What is said with each intent; a message has the intent of the example that it is most like."""

GENRES: Final[dict[str, tuple[str, ...]]] = {
    "action": ("action", "액션"),
    "animation": ("animation", "animated", "cartoon", "애니"),
    "comedy": ("comedy", "comedies", "funny", "코미디", "웃긴"),
    "crime": ("crime", "detective", "범죄"),
    "documentary": ("documentary", "documentaries", "다큐"),
    "drama": ("drama", "드라마"),
    "fantasy": ("fantasy", "fantasies", "판타지"),
    "history": ("history", "historical", "역사", "사극"),
    "horror": ("horror", "scary", "scarier", "공포", "무서운"),
    "musical": ("musical", "뮤지컬"),
    "mystery": ("mystery", "mysteries", "미스터리", "추리"),
    "romance": ("romance", "romantic", "로맨스", "로맨틱", "멜로"),
    "science-fiction": ("science fiction", "sci-fi", "scifi", "space", "공상과학", "우주"),
    "sport": ("sport", "스포츠"),
    "thriller": ("thriller", "suspense", "스릴러"),
    "western": ("western", "서부극", "서부영화"),
}
"""The genres of the catalogue, each with the words that name it."""

SLOTS: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "genre": GENRES,
    "length": {"short": ("short", "quick", "짧은", "짧게"), "long": ("long", "epic", "긴", "더길게")},
    "era": {"new": ("new", "recent", "latest", "최신", "요즘"), "classic": ("classic", "old", "고전", "옛날")},
}
"""What a word of a message can name, by slot and value."""

COMPANY: Final[dict[str, tuple[str, ...]]] = {
    "family": (
        "kids",
        "kid",
        "children",
        "child",
        "family",
        "son",
        "daughter",
        "parents",
        "아이",
        "애들",
        "가족",
        "부모님",
    ),
    "partner": (
        "wife",
        "husband",
        "girlfriend",
        "boyfriend",
        "partner",
        "아내",
        "남편",
        "여자친구",
        "남자친구",
        "연인",
    ),
    "friends": ("friends", "friend", "친구"),
}
"""Who watches too. These words name it only where the sentence says "with" or "for": a film can be about a family."""

NOT: Final = frozenset(_words("no not don't dont doesn't never without except hate dislike avoid isn't"))
"""English words after which what is named is not wanted."""
NOT_KOREAN: Final = _words("말고 빼고 빼줘 빼주 싫 제외 아닌 말아")
"""Beginnings of Korean words before which what is named is not wanted."""
TRANSPARENT: Final = frozenset(
    _words(
        "a an the any anything be should more too very really so much want like to see watch of or and nor me that "
        "this is film films movie movies series please 영화 거 건 것 걸 게 좀 너무 절대 은 는 이나 그리고"
    )
)
"""Words through which a "not" reaches: "no scary or very long films"."""

EVERYDAY: Final = frozenset(_words("short quick long epic new recent latest old 긴 요즘 옛날"))
"""Words of slots that say other things too ("a long day"): they name a slot only beside the words below."""
BEFORE_EVERYDAY: Final = frozenset(_words("something anything nothing too it be"))
AFTER_EVERYDAY: Final = _words("film movie series one show story stories 영화 작품 거 걸 것 나온 드라마")
"""Beginnings of what follows such a word when it is about something to watch."""

TELLING: Final = _words(
    "like love enjoy favourite favorite prefer hate dislike allergic never always only because best "
    "mother father brother sister daughter aunt uncle friend colleague birthday name "
    "좋아 싫어 재미있 재밌 감동 최고 제일 별로 항상 절대 때문 "
    "엄마 아빠 어머니 아버지 동생 언니 누나 오빠 할머니 할아버지 이모 삼촌 친구 동료 생일 이름"
)
"""Beginnings of words that make a sentence worth keeping: it says what somebody thinks, or tells of a person."""
