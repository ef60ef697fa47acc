"""The table of faults: what the operator said to each, and what must not have happened."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table


@dataclass(slots=True)
class Row:
    """One fault.

    Attributes:
        fault: Its name.
        tried: How many experiments, and for how long.
        said: What the operator said of it, in a message or in its log.
        rolled_back: Healthy experiments that were rolled back.
        promoted: Experiments that went forward without evidence.
        repeated: Acts that were done more often than without the fault.
        seconds: From the end of the fault until everything was as it should be.
    """

    fault: str
    tried: str
    said: str = ""
    rolled_back: list[str] = field(default_factory=list)
    promoted: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def wrong(self) -> list[str]:
        """Everything that must not have happened."""
        return [*self.rolled_back, *self.promoted, *self.repeated]


def show(title: str, rows: Sequence[Row]) -> None:
    """Print the table."""
    made = Table(title=title, title_justify="left", show_lines=True)
    for heading in ("FAULT", "TRIED", "WHAT THE OPERATOR SAID"):
        made.add_column(heading, overflow="fold")
    headings = ("WELL\nAFTER", "HEALTHY\nROLLED BACK", "PROMOTED WITHOUT\nEVIDENCE", "ACTS\nREPEATED")
    for heading in headings:
        made.add_column(heading, justify="right")
    for row in rows:
        numbers = [str(len(each)) for each in (row.rolled_back, row.promoted, row.repeated)]
        made.add_row(row.fault, row.tried, row.said, f"{row.seconds:.0f} s", *numbers)
    totals = [
        str(sum(len(each) for each in part))
        for part in zip(*((r.rolled_back, r.promoted, r.repeated) for r in rows), strict=True)
    ]
    made.add_row(f"{len(rows)} faults", "", "", "", *totals, end_section=True)
    Console(width=150, highlight=False).print("\n", made)
