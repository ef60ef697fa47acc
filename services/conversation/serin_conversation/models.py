"""The bodies of the conversation API."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

UserId = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._@-]+$", examples=["u-0042"])]
# PostgreSQL stores no NUL character; a text of blanks asks nothing.
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000, pattern=r"^[^\x00]+$")]


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

    turns: int = Field(description="Turns that are kept as they were said")
    summary: list[str] = Field(description="Sentences kept of older turns")
    size_bytes: int = Field(description="Size of the stored memory")


class MessageResponse(BaseModel):
    """The answer to a message."""

    conversation_id: UUID
    turn: int = Field(description="1 is the first message")
    reply: str
    intent: str
    slots: dict[str, str] = Field(description="What the user wants, as far as the engine knows")
    memory: MemoryState | None = Field(description="Null for an engine that remembers nothing")
    engine: EngineVersion
