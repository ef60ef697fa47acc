"""Settings of a service, read once from SERIN_* variables.

One frozen object instead of `os.environ` in many places: a typing error in a variable stops the process with a
sentence, before it takes traffic.
"""

import datetime as dt
import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)?")
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}


def parse_seconds(value: object) -> object:
    """Turn `60ms`, `5s`, `2m`, `1h` or a plain number of seconds into seconds.

    Args:
        value: What the environment or a caller gave.

    Returns:
        Seconds as a float, or `value` itself when it is no text (pydantic judges it then).

    Raises:
        ValueError: The text is no duration.
    """
    if not isinstance(value, str):
        return value
    match = _DURATION.fullmatch(value.strip())
    if match is None:
        raise ValueError(f"{value!r} is no duration: write for example 60ms, 5s or 2m")
    return float(match[1]) * _UNIT_SECONDS[match[2]]


Seconds = Annotated[float, BeforeValidator(parse_seconds), Field(ge=0)]
"""A duration in seconds; text such as `60ms` is understood."""

EngineName = Literal["phase3", "phase4"]


class ServiceSettings(BaseSettings):
    """Settings that every service has. The name of a variable is SERIN_ and the field's name in capitals."""

    model_config = SettingsConfigDict(env_prefix="SERIN_", frozen=True, extra="ignore", hide_input_in_errors=True)

    # What runs.
    engine: EngineName = "phase3"
    variant: str = Field(default="none", pattern=r"^[a-zA-Z0-9._-]{0,63}$")
    """The pod label serin.dev/variant, handed down by the downward API."""
    version: str = "dev"

    # Where it listens, and how it stops.
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    drain: Seconds = 5.0
    """After SIGTERM: this long readiness is off while requests are still served."""
    grace: Seconds = 15.0
    """After the drain: this long requests in flight may take to end."""

    # What it refuses.
    timeout: Seconds = 5.0
    max_inflight: int = Field(default=64, ge=1)
    max_body_bytes: int = Field(default=65536, ge=1)

    # Which users the sums of the goals are about.
    goals_window: Seconds = Field(default=14 * 86400.0, gt=0)
    """Who was served longer ago is left out."""
    goals_since: dt.datetime | None = None
    """Begin of the comparison. Without it: when the later of the two variants began to serve, within the window."""

    # What it writes down.
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_salt: str = Field(default="serin", min_length=1, max_length=64)
    """Key of the user hash in logs; set it to a secret of your own so that hashes can't be guessed back."""

    # A bad release on purpose. Off by default.
    fault_error_share: float = Field(default=0.0, ge=0, le=1)
    """Share of API requests that are answered with 500."""
    fault_latency: Seconds = 0.0
    """Time that is added to every API request."""
    fault_after: Seconds = 0.0
    """Both begin this long after the start of the process."""


class DatabaseSettings(BaseSettings):
    """Settings of a service that keeps state."""

    model_config = SettingsConfigDict(
        env_prefix="SERIN_DATABASE_", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    url: str = "sqlite+aiosqlite:///serin.db"
    migrate: Literal["auto", "wait"] = "auto"
    """What a start does with a schema that is behind: migrate it, or wait until the command `migrate` did."""
    pool_size: int = Field(default=3, ge=1)
    pool_overflow: int = Field(default=2, ge=0)
    pool_timeout: Seconds = 2.0
    """Longest wait for a connection of the pool; then the request is answered with 503."""
    connect_timeout: Seconds = 3.0
    statement_timeout: Seconds = Field(default=4.0, gt=0)
    """Longest wait for the answer to a statement, its locks included. Below the longest answer of either service."""
