"""Durations and shares as people write them: `13d`, `1h30m`, `150ms`, `0.5%`.

Plain numbers would leave the unit to memory (is 150 in seconds or milliseconds, is 1 one percent or all of it?).
The text that the user wrote is kept, so that messages repeat it instead of a rounded reading of it.
"""

import re
from typing import Any, Final

DURATION_PATTERN: Final = r"^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$"
"""Prometheus's duration syntax without weeks and years, largest unit first."""

SHARE_PATTERN: Final = r"^[0-9]+(\.[0-9]+)?%$"
"""A percentage with its sign."""

_UNITS: Final = (("d", 86400.0), ("h", 3600.0), ("m", 60.0), ("s", 1.0), ("ms", 0.001))
_DURATION: Final = re.compile(DURATION_PATTERN)
_SHARE: Final = re.compile(SHARE_PATTERN)


class Duration:
    """A length of time, written in Prometheus's syntax.

    Args:
        text: for example `13d`, `1h30m`, `150ms`.

    Raises:
        ValueError: a sentence that says what to write instead.
    """

    __slots__ = ("seconds", "text")

    text: str
    seconds: float

    def __init__(self, text: str) -> None:
        match = _DURATION.match(text) if text else None
        if match is None:
            raise ValueError(f"{text!r} is not a duration: write it like 30s, 1h30m, 13d or 150ms")
        self.text = text
        self.seconds = sum(
            float(part.removesuffix(unit)) * size
            for (unit, size), part in zip(_UNITS, match.groups(), strict=True)
            if part is not None
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Duration) and other.seconds == self.seconds

    def __hash__(self) -> int:
        return hash(self.seconds)

    def __repr__(self) -> str:
        return f"Duration({self.text!r})"

    def __str__(self) -> str:
        return self.text


class Share:
    """A share of a whole, written as a percentage.

    Args:
        text: for example `0.5%`; `value` is then 0.005.

    Raises:
        ValueError: a sentence that says what to write instead.
    """

    __slots__ = ("text", "value")

    text: str
    value: float

    def __init__(self, text: str) -> None:
        if not _SHARE.match(text):
            raise ValueError(f"{text!r} is not a share: write it as a percentage, like 0.5% or 10%")
        self.text = text
        self.value = float(text[:-1]) / 100

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Share) and other.value == self.value

    def __hash__(self) -> int:
        return hash(self.value)

    def __repr__(self) -> str:
        return f"Share({self.text!r})"

    def __str__(self) -> str:
        return self.text


def decode_unit(kind: type, value: Any) -> Any:
    """Msgspec's hook for the two types of this module."""
    if kind in (Duration, Share):
        if not isinstance(value, str):
            raise ValueError(f"{value!r} needs a unit: write a string like 30s or 0.5%")
        return kind(value)
    raise NotImplementedError(kind)


def encode_unit(value: Any) -> Any:
    """The inverse of `decode_unit`: the text that was written."""
    if isinstance(value, Duration | Share):
        return value.text
    raise NotImplementedError(type(value))


def unit_schema(kind: type) -> dict[str, Any]:
    """The JSON schema of the two types, for the test that compares the CRD with this package."""
    if kind is Duration:
        return {"type": "string", "pattern": DURATION_PATTERN}
    if kind is Share:
        return {"type": "string", "pattern": SHARE_PATTERN}
    raise NotImplementedError(kind)
