"""JSON pointers (RFC 6901): where in a resource a weight is.

A weight that a router writes is named by its pointer in the JSON patch, so a pointer is all that has to be known of a
vendor's resource. Two functions are less than a dependency.
"""

from collections.abc import Sequence
from typing import Any, Final

ABSENT: Final = object()
"""What `find` answers where there is nothing; None would be a value of JSON."""


def pointer(*parts: str | int) -> str:
    """The pointer to a place, given by its keys and indexes from the top."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def parts(text: str) -> tuple[str, ...]:
    """The keys and indexes of a pointer.

    Raises:
        ValueError: a sentence that says how a pointer is written.
    """
    if not text.startswith("/") or text == "/":
        raise ValueError(f"{text!r} is not a JSON pointer: write it like /spec/backends/0/weight")
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in text[1:].split("/"))


def find(document: Any, text: str) -> Any:
    """The value at a pointer, or ABSENT."""
    value = document
    for part in parts(text):
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isascii() and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return ABSENT
    return value


def items(document: Any, *keys: str | int) -> Sequence[tuple[int, dict[str, Any]]]:
    """(index, object) of a list of objects below `document`; nothing where there is no such list."""
    value: Any = document
    for key in keys:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return ()
    return [(at, each) for at, each in enumerate(value) if isinstance(each, dict)] if isinstance(value, list) else ()
