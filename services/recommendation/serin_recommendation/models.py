"""The bodies of the recommendation API."""

import datetime as dt
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from serin_recommendation.data import DAYPARTS

UserId = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._@-]+$", examples=["u-0042"])]
ItemId = Annotated[str, Field(min_length=1, max_length=64, examples=["item-0007"])]
Persona = Literal["explorer", "family", "night-owl", "cinephile", "thrill-seeker", "romantic"]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

_MORNING, _NOON, _EVENING, _NIGHT = 6, 12, 18, 23


class Context(BaseModel):
    """What is known of the moment."""

    model_config = ConfigDict(extra="forbid")

    time: dt.time | None = Field(default=None, description="Local time of the user", examples=["20:30"])
    weekday: Weekday | None = None
    persona: Persona | None = Field(default=None, description="Overrides what is known of the user")

    def daypart(self) -> int | None:
        """Return the index into DAYPARTS of `time`, or None when it is unknown."""
        if self.time is None:
            return None
        hour = self.time.hour
        if hour >= _NIGHT or hour < _MORNING:
            return DAYPARTS.index("night")
        if hour < _NOON:
            return DAYPARTS.index("morning")
        return DAYPARTS.index("afternoon" if hour < _EVENING else "evening")


class PersonalizedRequest(BaseModel):
    """A question for items that suit one user."""

    model_config = ConfigDict(extra="forbid")

    user_id: UserId
    limit: int = Field(default=10, ge=1, le=50, description="Number of items")
    context: Context = Field(default_factory=Context)
    exclusions: list[ItemId] = Field(default_factory=list, max_length=200, description="Items not to return")


class RecommendedItem(BaseModel):
    """One item of an answer."""

    rank: int = Field(description="1 is the best")
    item_id: str
    title: str
    genres: list[str]
    score: float
    parts: dict[str, float] = Field(description="Share of each part of the engine in the score")


class EngineVersion(BaseModel):
    """Which engine answered."""

    name: str
    version: str


class PersonalizedResponse(BaseModel):
    """Items for one user, the best first."""

    user_id: str
    items: list[RecommendedItem]
    engine: EngineVersion
    cold_start: bool = Field(description="Nothing is known of the user yet")
    missing_parts: list[str] = Field(description="Parts of the engine that could not answer")
