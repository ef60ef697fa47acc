"""Things made for a key when they are first asked for, of which only so many are kept."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Generic, TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")

_MOST: Final = 1024


class Latest(Generic[_K, _V]):
    """The ones that were asked for last; functools.lru_cache would make them of the key.

    Args:
        make: makes one; what it knows must be no loss.
        most: how many are kept.
    """

    def __init__(self, make: Callable[[], _V], most: int = _MOST) -> None:
        self._make, self._most = make, most
        self._made: OrderedDict[_K, _V] = OrderedDict()

    def of(self, key: _K) -> _V:
        """The one of a key."""
        if key not in self._made:
            self._made[key] = self._make()
        self._made.move_to_end(key)
        if len(self._made) > self._most:
            self._made.popitem(last=False)
        return self._made[key]
