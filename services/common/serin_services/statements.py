"""Counts the statements that reach a database, so that "one round trip for each table" is a test and not a hope."""

import contextlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

_TABLE = re.compile(r"\b(?:FROM|INTO|UPDATE|JOIN)\s+\"?([a-z_][a-z0-9_]*)", re.IGNORECASE)


@dataclass(slots=True)
class Statements:
    """What was sent, in order; BEGIN and COMMIT are not in it."""

    texts: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Number of statements."""
        return len(self.texts)

    def by_table(self) -> Counter[str]:
        """Return the number of statements that touch each table; one with a join counts for each of its tables."""
        return Counter(name for text in self.texts for name in {match.lower() for match in _TABLE.findall(text)})


@contextlib.contextmanager
def count_statements(engine: AsyncEngine) -> Iterator[Statements]:
    """Collect the statements that are sent while the block runs."""
    found = Statements()

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if not statement.startswith("BEGIN"):
            found.texts.append(statement)

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(engine.sync_engine, "before_cursor_execute", note)
