"""Who is measured by what, and from when: so that the first who asks for a look asks for all who need it."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from serin.controller.looks import singly
from serin.controller.store import Key
from serin.metrics.source import Target


class Slot(NamedTuple):
    """Experiments whose looks end at the same moments."""

    interval: float
    offset: float


@dataclass(frozen=True, slots=True)
class _Entry:
    slot: Slot
    counted_until: float
    targets: tuple[Target, ...]


@dataclass(slots=True)
class Measured:
    """The experiments that count at present, by slot."""

    _entries: dict[Key, _Entry] = field(default_factory=dict)
    _slots: defaultdict[Slot, set[Key]] = field(default_factory=lambda: defaultdict(set))

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, key: Key, slot: Slot, counted_until: float, targets: tuple[Target, ...]) -> None:
        """An experiment is measured by `targets`, and has been counted until a Unix time."""
        known = self._entries.get(key)
        if known is not None and known.slot != slot:
            self.remove(key)
        self._entries[key] = _Entry(slot, counted_until, targets)
        self._slots[slot].add(key)

    def remove(self, key: Key) -> None:
        """An experiment is not measured at present."""
        known = self._entries.pop(key, None)
        if known is not None:
            self._slots[known.slot].discard(key)
            if not self._slots[known.slot]:
                del self._slots[known.slot]

    def who(self, slot: Slot, ends_at: float, seconds: float) -> Iterator[Target]:
        """Whoever needs the look of `seconds` that ends at a Unix time.

        A look of one interval is everybody's who has not been counted beyond its beginning, unless they make up for
        what they missed by longer ones; a longer one has the length of those alone who stopped there.
        """
        begins = ends_at - seconds
        usual = seconds == slot.interval and singly(len(self._entries)) > 1
        for key in self._slots.get(slot, ()):
            entry = self._entries[key]
            if entry.counted_until == begins or (usual and entry.counted_until < begins):
                yield from entry.targets

    def next(self, slot: Slot, ends_at: float) -> dict[Key, tuple[Target, ...]]:
        """The experiments that were counted until the beginning of the look that ends at a Unix time, and by what."""
        begins, entries = ends_at - slot.interval, self._entries
        return {key: entries[key].targets for key in self._slots.get(slot, ()) if entries[key].counted_until == begins}
