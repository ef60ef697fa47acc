"""Labelled synthetic conversations: what a laptop's database is filled with, and what memories are measured on.

In English and Korean, made from a seed, so that everybody has the same. The labels are what a good memory keeps: the
slots that somebody named, and facts (names, numbers, titles) that no slot has a place for. Small talk between them is
what it may drop.
"""

import random
from dataclasses import dataclass
from typing import Final

from serin_conversation.language import Slots
from serin_conversation.lexicon import Language

_NAMES: Final = {
    "en": ("Minji", "Thomas", "Aisha", "Oliver", "Sofia", "Yusuf", "Hanna", "Diego"),
    "ko": ("민지", "서준", "지우", "하은", "도윤", "수아", "예준", "채원"),
}
_TITLES: Final = {
    "en": ("The Golden Harbour", "The Last Orchard", "The Silver Mirror", "The Distant Voyage", "The Wild Bridge"),
    "ko": ("황금 항구", "마지막 과수원", "은빛 거울", "머나먼 항해", "거친 다리"),
}
_PLACES: Final = {
    "en": ("Busan", "Lisbon", "Montreal", "Nairobi", "Oslo"),
    "ko": ("부산", "리스본", "몬트리올", "나이로비", "오슬로"),
}
_FACTS: Final[dict[Language, tuple[str, ...]]] = {
    "en": (
        "My sister {name} picks the film this time.",
        "We have to be finished in {number} minutes because of the last train.",
        "The best thing I saw this year was {title}, I have watched it twice.",
        "I grew up near {place} so anything that was shot there makes me happy.",
        "It is for the birthday of my friend {name}, who turns {number} on Friday.",
        "Please nothing like {title}, we walked out of that one.",
    ),
    "ko": (
        "이번에는 동생 {name} 마음에 들어야 해요.",
        "막차 때문에 {number}분 안에 끝나야 해요.",
        "올해 본 것 중에는 {title} 작품이 제일 좋아서 두 번이나 봤어요.",
        "제가 {place} 근처에서 자라서 거기서 찍은 작품이면 다 반가워요.",
        "금요일에 {number}살이 되는 친구 {name} 생일이라서요.",
        "{title} 같은 건 싫어요, 보다가 중간에 나왔거든요.",
    ),
}
_OPENERS: Final[dict[Language, tuple[str, ...]]] = {
    "en": ("Hmm, ", "Well, ", "Honestly, ", "Oh, ", "Sorry, ", "You know, ", "Anyway, ", "I see, ", ""),
    "ko": ("음, ", "글쎄요, ", "솔직히 ", "아, ", "죄송한데 ", "있잖아요, ", "아무튼 ", "그렇군요, ", ""),
}
_CLAUSES: Final[dict[Language, tuple[str, ...]]] = {
    "en": (
        "let me think about that for a moment",
        "it has been raining here all day long and I did not feel like going out",
        "that sounds nice, I guess, but I am not sure about it yet",
        "somebody was at the door, I am back now",
        "I have been so tired this week that I fall asleep on the sofa",
        "the popcorn is ready already",
        "I don't really know what I am in the mood for",
        "there were meetings all afternoon and then the bus was late, so I only just got home",
        "how do you find these things at all",
        "the cat sits on the remote control again",
        "dinner took longer than it should have",
        "the neighbours are rather loud tonight",
        "give me a second to read that",
        "the internet is slow here in the evening",
    ),
    "ko": (
        "잠깐만 생각해 볼게요",
        "하루 종일 비가 와서 밖에 나가기가 싫더라고요",
        "괜찮을 것 같긴 한데 아직 잘 모르겠어요",
        "누가 와서요, 이제 왔어요",
        "이번 주는 너무 피곤해서 소파에서 그냥 잠들어요",
        "팝콘은 벌써 다 됐어요",
        "사실 지금 기분이 어떤지 저도 잘 모르겠네요",
        "오후 내내 회의만 하다가 버스까지 늦게 와서 이제야 집에 들어왔어요",
        "이런 건 도대체 어떻게 찾으시는 거예요",
        "고양이가 또 리모컨 위에 앉아 있어요",
        "저녁 준비가 생각보다 오래 걸렸어요",
        "옆집이 오늘따라 좀 시끄럽네요",
        "잠시만요, 읽어 볼게요",
        "저녁에는 인터넷이 좀 느려요",
    ),
}
_TAILS: Final[dict[Language, tuple[str, ...]]] = {
    "en": (".", ", as usual.", ", to be fair.", "!", ", so bear with me.", ", but never mind.", "..."),
    "ko": (".", ", 늘 그렇죠.", ", 진짜로요.", "!", ", 조금만 기다려 주세요.", ", 뭐 어쩔 수 없죠.", "..."),
}
_GENRES: Final = {
    "comedy": ("comedy", "코미디"),
    "thriller": ("thriller", "스릴러"),
    "drama": ("drama", "드라마"),
    "action": ("action film", "액션"),
    "romance": ("romance", "로맨스"),
    "mystery": ("mystery", "미스터리"),
}
_AVOIDED: Final = {"horror": ("horror", "공포"), "crime": ("crime", "범죄"), "musical": ("musical", "뮤지컬")}
_WISH: Final[dict[Language, str]] = {
    "en": "I am looking for a {genre} to watch with my {company}, but no {avoid} please.",
    "ko": "{company} 같이 볼 {genre} 추천해 주세요. {avoid} 말고요.",
}
_COMPANY: Final = {
    "family": ("kids", "아이들이랑"),
    "partner": ("wife", "아내랑"),
    "friends": ("friends", "친구들이랑"),
}
_REFINE: Final = {
    ("length", "short"): ("Something shorter please.", "더 짧은 걸로 보여 주세요."),
    ("era", "new"): ("A newer one, if there is any.", "더 최신 영화로 부탁해요."),
    ("era", "classic"): ("Rather an old classic, I think.", "고전 쪽이 더 좋을 것 같아요."),
}
_CLOSING: Final[dict[Language, tuple[str, ...]]] = {
    "en": ("Thanks a lot", "Show me another one"),
    "ko": ("고마워요", "다른 거 보여 주세요"),
}


@dataclass(frozen=True, slots=True)
class Conversation:
    """One conversation with its labels.

    Attributes:
        language: What is spoken.
        messages: What the user says, in order.
        slots: Slots that were named and never changed later.
        facts: Strings that tell what else was named, each with the turn in which it was.
    """

    language: Language
    messages: tuple[str, ...]
    slots: Slots
    facts: tuple[tuple[int, str], ...]


def make_conversation(draw: random.Random, *, turns: int = 20, facts: int = 4) -> Conversation:
    """Make one conversation.

    Args:
        draw: Where chance comes from.
        turns: Number of messages, at least 2 * facts + 4.
        facts: Number of messages with a fact, all in the first half; at most 6.

    Returns:
        A wish with three slots in the second message, facts in the first half, a refinement, small talk.
    """
    language: Language = draw.choice(("en", "ko"))
    spoken = 0 if language == "en" else 1
    genre, avoid, company = draw.choice(list(_GENRES)), draw.choice(list(_AVOIDED)), draw.choice(list(_COMPANY))
    wish = _WISH[language].format(
        genre=_GENRES[genre][spoken], avoid=_AVOIDED[avoid][spoken], company=_COMPANY[company][spoken]
    )
    (slot, value), refinement = draw.choice(list(_REFINE.items()))
    messages = [_chat(draw, language) for _ in range(turns)]
    messages[0] = ("Hello!", "안녕하세요!")[spoken]
    messages[1] = wish
    places = sorted(draw.sample(range(2, turns // 2 + 1), facts + 1))
    messages[places[0]] = refinement[spoken]
    labels: list[tuple[int, str]] = []
    for place, template in zip(places[1:], draw.sample(_FACTS[language], facts), strict=True):
        filled = {
            "name": draw.choice(_NAMES[language]),
            "number": str(draw.randrange(20, 99)),
            "title": draw.choice(_TITLES[language]),
            "place": draw.choice(_PLACES[language]),
        }
        said = template.format(**filled)
        messages[place] = f"{_chat(draw, language)} {said}" if draw.random() < 0.5 else said  # noqa: PLR2004
        labels += [(place + 1, word) for word in filled.values() if word in said]
    messages[-1] = draw.choice(_CLOSING[language])
    slots = {"genre": genre, "avoid": avoid, "company": company, slot: value}
    return Conversation(language, tuple(messages), slots, tuple(labels))


def make_conversations(count: int, *, turns: int = 20, facts: int = 4, seed: int = 2024) -> list[Conversation]:
    """Make conversations; the same seed gives the same."""
    draw = random.Random(seed)  # noqa: S311 - no secret
    return [make_conversation(draw, turns=turns, facts=facts) for _ in range(count)]


def _chat(draw: random.Random, language: Language) -> str:
    """Return one or two sentences that tell nothing about what is wanted."""
    clauses = draw.sample(_CLAUSES[language], draw.choice((1, 1, 2)))
    parts = [draw.choice(_OPENERS[language]) + clause + draw.choice(_TAILS[language]) for clause in clauses]
    return " ".join(part[0].upper() + part[1:] for part in parts)
