"""What users send: rankings they ask for, and conversations they hold turn by turn.

A conversation's id comes from an answer and its turns are spread over many pods, so a session that gets lost in a
switch shows as a failed request here.
"""

import random
from bisect import bisect
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Any, Protocol

from tests.load.plan import Plan

_PERSONAS = (None, "explorer", "family", "night-owl", "cinephile", "thrill-seeker", "romantic")
_TEXTS = (
    "Recommend me a comedy",
    "Something shorter please",
    "A newer one. I saw the last one already.",
    "What did we talk about?",
    "I am looking for a quiet drama about a family. It should not be too long.",
    "Thanks a lot",
    "최신 스릴러 영화 추천해 주세요",
    "더 짧은 걸로 보여 주세요",
    "지금까지 무슨 얘기 했죠?",
    "고마워요",
)
_NEWCOMERS = 0.05
"""Share of requests from users that the services have never seen."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request.

    Attributes:
        path: Path of the URL.
        user_id: Goes into the header x-user-id, from which a gateway may choose the variant.
        body: JSON body.
        proof: Field that a right answer has.
        conversation: Id of the conversation that this call goes on with, if any.
        turns_left: Messages that may follow in it.
    """

    path: str
    user_id: str
    body: dict[str, Any]
    proof: str
    conversation: str | None = None
    turns_left: int = 0

    @property
    def route(self) -> str:
        """Name of the endpoint: the last part of its path."""
        return self.path.rsplit("/", 1)[1]


class Traffic(Protocol):
    """Makes the calls of one service."""

    def next(self) -> Call:
        """Return the next call."""

    def done(self, call: Call, answer: dict[str, Any] | None) -> None:
        """Take note of the answer of a call; None when it failed."""


class Rankings:
    """Asks for personalized items."""

    def __init__(self, plan: Plan, draw: random.Random) -> None:
        self._plan = plan
        self._draw = draw
        self._returning: list[str] = []

    def next(self) -> Call:
        """Return a question of a random user, or of one whose visit goes on, at a random time of day."""
        draw = self._draw
        user_id = self._visitor()
        context: dict[str, Any] = {"time": f"{draw.randrange(24):02d}:{draw.randrange(60):02d}"}
        if persona := draw.choice(_PERSONAS):
            context["persona"] = persona
        body = {"user_id": user_id, "limit": 10, "context": context}
        if draw.random() < 0.3:
            body["exclusions"] = [f"item-{draw.randrange(400):04d}" for _ in range(3)]
        return Call("/api/v2/recommend/personalized", user_id, body, proof="items")

    def _visitor(self) -> str:
        # As many visits go on as are taken up again, so those that wait stay few.
        draw, stays = self._draw, 1.0 - 1.0 / self._plan.asks
        if self._returning and draw.random() < stays:
            chosen = draw.randrange(len(self._returning))
            self._returning[chosen], self._returning[-1] = self._returning[-1], self._returning[chosen]
            user_id = self._returning.pop()
        else:
            user_id = _user(self._plan, draw)
        if draw.random() < stays:
            self._returning.append(user_id)
        return user_id

    def done(self, call: Call, answer: dict[str, Any] | None) -> None:
        """Nothing follows from a ranking."""


class Conversations:
    """Begins conversations and goes on with them; never two messages of one conversation at a time."""

    def __init__(self, plan: Plan, draw: random.Random) -> None:
        self._plan = plan
        self._draw = draw
        self._idle: list[Call] = []

    def next(self) -> Call:
        """Return the start of a conversation, or the next message of one that waits for it."""
        draw = self._draw
        if not self._idle or draw.random() < 1.0 / (self._plan.turns + 1):
            user_id = _user(self._plan, draw)
            body = {"user_id": user_id, "language": draw.choice(("en", "ko"))}
            return Call("/api/v2/conversations/start", user_id, body, "conversation_id", None, self._plan.turns)
        chosen = draw.randrange(len(self._idle))
        self._idle[chosen], self._idle[-1] = self._idle[-1], self._idle[chosen]
        return self._idle.pop()

    def done(self, call: Call, answer: dict[str, Any] | None) -> None:
        """Keep a conversation for its next message; one whose request failed goes on too, as a user would."""
        conversation = call.conversation or (answer or {}).get("conversation_id")
        if conversation is None or call.turns_left < 1:
            return
        text = self._draw.choice(_TEXTS)
        path = f"/api/v2/conversations/{conversation}/messages"
        self._idle.append(Call(path, call.user_id, {"text": text}, "reply", conversation, call.turns_left - 1))


def make_traffic(service: str, plan: Plan, draw: random.Random) -> Traffic:
    """Return the traffic of a service."""
    return Rankings(plan, draw) if service == "recommendation" else Conversations(plan, draw)


def _user(plan: Plan, draw: random.Random) -> str:
    if draw.random() < _NEWCOMERS:
        return f"new-{draw.randrange(10**6):06d}"
    if plan.skew == 0:
        return f"u-{draw.randrange(plan.users):04d}"
    bounds = _activity(plan.users, plan.skew)
    return f"u-{bisect(bounds, draw.random() * bounds[-1]) % plan.users:04d}"


@lru_cache(maxsize=4)
def _activity(users: int, skew: float) -> tuple[float, ...]:
    """Return the cumulated activity of the users, the most active first; u-0000 is the most active."""
    return tuple(accumulate(rank**-skew for rank in range(1, users + 1)))
