"""The bodies of the conversation API."""

import datetime as dt
import unicodedata
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

UserId = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._@-]+$", examples=["u-0042"])]


def _composed(text: str) -> str:
    """Write Hangul as syllables: some keyboards send its letters one by one, and then no word is found in it."""
    return unicodedata.normalize("NFC", text)


# PostgreSQL stores no NUL character; a text of blanks asks nothing.
Text = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=2000, pattern=r"^[^\x00]+$"),
    AfterValidator(_composed),
]


class EngineVersion(BaseModel):
    """Which engine answered."""

    name: str
    version: str


class StartRequest(BaseModel):
    """Who begins a conversation."""

    model_config = ConfigDict(extra="forbid")

    user_id: UserId
    language: Literal["en", "ko"] = "en"


class StartResponse(BaseModel):
    """A conversation that has begun."""

    conversation_id: UUID
    reply: str = Field(description="What to show the user first")
    engine: EngineVersion


class MessageRequest(BaseModel):
    """What the user says."""

    model_config = ConfigDict(extra="forbid")

    text: Text = Field(examples=["Recommend me a short comedy"])


class MemoryState(BaseModel):
    """What the engine remembers of the conversation."""

    turns: int = Field(description="Turns that are kept as they were said; of long ones an extract")
    summary: list[str] = Field(description="Sentences kept of older turns")
    size_bytes: int = Field(description="Size of the stored memory")


class RecommendedItem(BaseModel):
    """Something that the answer recommends."""

    item_id: str
    title: str
    genres: list[str]
    score: float
    recommendation_id: str = Field(description="For feedback about it to the recommendation service; may be empty")


class MessageResponse(BaseModel):
    """The answer to a message."""

    conversation_id: UUID
    turn: int = Field(description="1 is the first message")
    reply: str
    intent: str
    slots: dict[str, str] = Field(description="What the user wants, as far as the engine knows")
    items: list[RecommendedItem] = Field(description="What the answer recommends, best first")
    missing_parts: list[str] = Field(description="Services that could not take part in the answer")
    memory: MemoryState | None = Field(description="Null for an engine that remembers nothing")
    engine: EngineVersion


class TurnState(BaseModel):
    """One turn of a conversation."""

    turn: int
    message: str
    reply: str
    intent: str
    items: list[RecommendedItem]
    engine: str = Field(description="Engine that answered")
    variant: str = Field(description="Variant that answered")
    said_at: dt.datetime


class ConversationResponse(BaseModel):
    """A conversation: its state and its full history, page by page."""

    conversation_id: UUID
    status: Literal["open", "ended"]
    language: Literal["en", "ko"]
    started_at: dt.datetime
    last_at: dt.datetime
    ended_at: dt.datetime | None
    duration_seconds: float = Field(description="From the start to the end, or to the last message")
    completed: bool | None = Field(description="Null while it is open")
    turns: int = Field(description="Number of turns")
    memory: MemoryState | None = Field(description="Null as long as no engine has kept anything")
    slots: dict[str, str] = Field(description="What the user wants, as far as it was kept")
    history: list[TurnState] = Field(description="Turns after `after`, oldest first")
    next_after: int | None = Field(description="Value of `after` for the next page; null on the last")


class FeedbackRequest(BaseModel):
    """What the user thinks of a conversation, or of one turn."""

    model_config = ConfigDict(extra="forbid")

    rating: int = Field(ge=1, le=5, description="1 (bad) to 5 (good)")
    turn: int | None = Field(default=None, ge=1, le=2**31 - 1, description="Null: the whole conversation")
    helpful: bool | None = None
    comment: Annotated[str, StringConstraints(strip_whitespace=True, max_length=1000, pattern=r"^[^\x00]*$")] = ""


class FeedbackResponse(BaseModel):
    """Feedback that is stored; a later one about the same replaces it."""

    conversation_id: UUID
    turn: int | None
    rating: int


class EndRequest(BaseModel):
    """How a conversation ends."""

    model_config = ConfigDict(extra="forbid")

    completed: bool | None = Field(
        default=None,
        description="Whether the user got what they came for. Null: yes if there was at least one answer",
    )


class EndResponse(BaseModel):
    """A conversation that has ended."""

    conversation_id: UUID
    reply: str = Field(description="What to show the user last")
    ended_at: dt.datetime
    duration_seconds: float
    turns: int
    completed: bool
