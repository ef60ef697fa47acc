"""Caches of one process: bounded, with a lifetime, cleaned periodically, and with a hit ratio that is exported.

A cache without a measured hit ratio is a guess. An entry lives for its TTL and no longer: other pods change the same
rows, and nobody tells this one.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable, Iterable
from typing import Generic, TypeVar

from cachetools import TTLCache
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

CLEAN_SECONDS = 30.0
"""How often entries whose time is over are removed; until then they only take up memory."""


class TtlCache(Generic[K, V]):
    """The entries that were used last, each for at most its lifetime.

    Args:
        size: Entries at most; beyond it the one that was used longest ago goes.
        ttl: Lifetime of an entry in seconds.
        clock: Monotonic seconds; a test passes its own.
    """

    def __init__(self, size: int, ttl: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.size = size
        self.ttl = ttl
        self.hits = 0
        self.misses = 0
        self._entries: TTLCache[K, V] = TTLCache(size, ttl, timer=clock)
        self._loading: dict[K, asyncio.Future[V]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def hit_ratio(self) -> float | None:
        """Share of look-ups that found an entry, 0 to 1; None before the first."""
        asked = self.hits + self.misses
        return self.hits / asked if asked else None

    def get(self, key: K) -> V | None:
        """Return an entry that is still alive, or None."""
        try:
            value = self._entries[key]
        except KeyError:
            self.misses += 1
            return None
        self.hits += 1
        return value

    def put(self, key: K, value: V) -> None:
        """Keep an entry from now on for the cache's lifetime."""
        self._entries[key] = value

    def discard(self, key: K) -> None:
        """Forget an entry, because what it was made from has changed; a load that is under way is not kept."""
        self._entries.pop(key, None)
        self._loading.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._loading.clear()

    def clean(self) -> int:
        """Remove the entries whose time is over and return their number."""
        return len(self._entries.expire())

    async def get_or_load(self, key: K, load: Callable[[], Awaitable[V]]) -> V:
        """Return an entry, or load it: once, however many wait for it.

        Args:
            key: The entry.
            load: Gives its value. Its error goes to all who wait, and is not kept.
        """
        found = self.get(key)
        if found is not None:
            return found
        loading = self._loading.get(key)
        if loading is None:
            # A task of its own: whoever asked first may be cut off by a deadline, and the others still want it.
            loading = self._loading[key] = asyncio.ensure_future(load())
            loading.add_done_callback(lambda done: self._loaded(key, done))
        return await asyncio.shield(loading)

    def _loaded(self, key: K, done: "asyncio.Future[V]") -> None:
        failed = done.cancelled() or done.exception() is not None
        if self._loading.get(key) is not done:
            return  # Discarded meanwhile: the value may be from before the change.
        del self._loading[key]
        if not failed:
            self.put(key, done.result())


class Caches(Collector):
    """The caches of a process by name, for health and for scrapes.

    Exports `serin_cache_requests_total{cache,result}`, `serin_cache_entries{cache}` and `serin_cache_hit_ratio{cache}`
    (since the start of the process, 0 before the first look-up).

    Args:
        registry: Where the series go.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._caches: dict[str, TtlCache[Hashable, object]] = {}
        registry.register(self)

    def make(self, *, name: str, size: int, ttl: float, clock: Callable[[], float] = time.monotonic) -> TtlCache[K, V]:
        """Make a cache; its name is its label.

        Raises:
            ValueError: There is one of that name already.
        """
        if name in self._caches:
            raise ValueError(f"there is a cache {name!r} already")
        cache: TtlCache[K, V] = TtlCache(size, ttl, clock)
        self._caches[name] = cache  # type: ignore[assignment]
        return cache

    def items(self) -> Iterable[tuple[str, TtlCache[Hashable, object]]]:
        """Return the caches by name."""
        return self._caches.items()

    async def clean(self) -> None:
        """Remove from all caches the entries whose time is over."""
        for cache in self._caches.values():
            cache.clean()

    def collect(self) -> Iterable[Metric]:
        """Yield the series of all caches."""
        requests = CounterMetricFamily("serin_cache_requests", "Look-ups.", labels=("cache", "result"))
        entries = GaugeMetricFamily("serin_cache_entries", "Entries held.", labels=("cache",))
        ratio = GaugeMetricFamily(
            "serin_cache_hit_ratio", "Look-ups that found an entry, since the start.", labels=("cache",)
        )
        for name, cache in self._caches.items():
            requests.add_metric((name, "hit"), cache.hits)
            requests.add_metric((name, "miss"), cache.misses)
            entries.add_metric((name,), len(cache))
            ratio.add_metric((name,), cache.hit_ratio or 0.0)
        return requests, entries, ratio
