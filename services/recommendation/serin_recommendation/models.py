"""The bodies of the recommendation API."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from serin_recommendation.data import daypart_of

UserId = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._@-]+$", examples=["u-0042"])]
ItemId = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._@-]+$", examples=["item-0007"])]
RecommendationId = Annotated[
    str, Field(pattern=r"^[0-9a-f]{32}$", description="From the answer that had the items", examples=["0" * 32])
]
ClockTime = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$", examples=["20:30"])]
Persona = Literal["explorer", "family", "night-owl", "cinephile", "thrill-seeker", "romantic"]
Segment = Literal["all", "new", "existing", "explorer", "family", "night-owl", "cinephile", "thrill-seeker", "romantic"]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
MOST_USERS = 100


def _each_once(user_ids: list[str]) -> list[str]:
    if len(set(user_ids)) != len(user_ids):
        raise ValueError("name each user once")
    return user_ids


class Context(BaseModel):
    """What is known of the moment."""

    model_config = ConfigDict(extra="forbid")

    time: ClockTime | None = Field(default=None, description="Local time of the user, from 00:00 to 23:59")
    weekday: Weekday | None = None
    persona: Persona | None = Field(default=None, description="Overrides what is known of the user")

    def daypart(self) -> int | None:
        """Return the index into DAYPARTS of `time`, or None when it is unknown."""
        return None if self.time is None else daypart_of(int(self.time[:2]))


class PersonalizedRequest(BaseModel):
    """A question for items that suit one user."""

    model_config = ConfigDict(extra="forbid")

    user_id: UserId
    limit: int = Field(default=10, ge=1, le=50, description="Number of items")
    context: Context = Field(default_factory=Context)
    exclusions: list[ItemId] = Field(default_factory=list, max_length=200, description="Items not to return")


class BatchRequest(BaseModel):
    """The same question for many users."""

    model_config = ConfigDict(extra="forbid")

    user_ids: Annotated[
        list[UserId],
        Field(
            min_length=1,
            max_length=MOST_USERS,
            description="Each at most once",
            json_schema_extra={"uniqueItems": True},
        ),
        AfterValidator(_each_once),
    ]
    limit: int = Field(default=10, ge=1, le=50, description="Number of items for each user")
    context: Context = Field(default_factory=Context)


class SeenEvent(BaseModel):
    """An item was shown to a user, or clicked, or watched to the end."""

    model_config = ConfigDict(extra="forbid")

    item_id: ItemId
    event: Literal["shown", "clicked", "completed"]

    @property
    def stars(self) -> int | None:
        """Such an event has none."""
        return None


class RatingEvent(BaseModel):
    """A user gave an item stars."""

    model_config = ConfigDict(extra="forbid")

    item_id: ItemId
    event: Literal["rating"]
    rating: int = Field(ge=1, le=5, description="Stars")

    @property
    def stars(self) -> int | None:
        """The stars."""
        return self.rating


FeedbackEvent = Annotated[SeenEvent | RatingEvent, Field(discriminator="event")]


class FeedbackRequest(BaseModel):
    """What a user did with items that they were recommended."""

    model_config = ConfigDict(extra="forbid")

    user_id: UserId
    recommendation_id: RecommendationId | None = None
    events: list[FeedbackEvent] = Field(min_length=1, max_length=100)


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
    version: str = Field(description="Version of the code, and of the model behind the plus sign")


class Ranked(BaseModel):
    """Items for one user, the best first."""

    user_id: str
    items: list[RecommendedItem]
    cold_start: bool = Field(description="Nothing is known of the user yet")
    missing_parts: list[str] = Field(description="Parts of the engine that gave no answer in time")


class PersonalizedResponse(Ranked):
    """Items for one user, the best first, and how to refer to this answer."""

    recommendation_id: str = Field(description="Name it in feedback")
    engine: EngineVersion


class BatchResponse(BaseModel):
    """Items for each user, in the order of the question."""

    results: list[Ranked]
    engine: EngineVersion


class SimilarResponse(BaseModel):
    """Items that are like one, the most alike first."""

    item_id: str
    items: list[RecommendedItem]
    engine: EngineVersion


class TrendingItem(BaseModel):
    """One item that is watched much."""

    rank: int = Field(description="1 is the most watched")
    item_id: str
    title: str
    genres: list[str]
    score: float = Field(description="1 for each time that it was watched to the end, 0.5 for another")
    interactions: int


class TrendingResponse(BaseModel):
    """What a segment of the users watches most within a window."""

    segment: Segment
    window: Literal["1h", "24h", "7d", "30d"]
    items: list[TrendingItem]
    fallback: bool = Field(
        description="Nothing happened in this window: these are the items that everybody likes, scored by their share"
    )


class FeedbackResponse(BaseModel):
    """What was written."""

    user_id: str
    recorded: int = Field(description="Events that changed something")
    repeated: int = Field(description="Events that were known already")
