"""The small parts that both services are made of: caches, retries, periodic tasks, the assignment's hash."""

import asyncio
from typing import Any

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from serin_services.assignment import Assignment, bucket
from serin_services.background import Background
from serin_services.caches import Caches, TtlCache
from serin_services.cli import Command, run_cli
from serin_services.database import DatabaseBusyError, DatabaseLostError
from serin_services.retry import retried


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def test_an_entry_lives_for_its_ttl() -> None:
    """After its lifetime an entry is not found, and cleaning removes it without anybody asking."""
    clock = Clock()
    cache: TtlCache[str, int] = TtlCache(10, 60.0, clock)
    cache.put("a", 1)
    clock.now = 59.0
    assert cache.get("a") == 1
    clock.now = 61.0
    assert len(cache._entries._Cache__data) == 1  # type: ignore[attr-defined]
    assert cache.clean() == 1
    assert cache.get("a") is None
    assert (cache.hits, cache.misses, cache.hit_ratio) == (1, 1, 0.5)


def test_a_full_cache_forgets_what_was_used_longest_ago() -> None:
    """However many keys come, no more than its size are held."""
    cache: TtlCache[int, int] = TtlCache(3, 60.0)
    for number in range(3):
        cache.put(number, number)
    cache.get(0)
    cache.put(3, 3)
    assert [cache.get(number) for number in range(4)] == [0, None, 2, 3]
    for number in range(100):
        cache.put(number, number)
    assert len(cache) == 3


async def test_one_load_however_many_wait() -> None:
    """Ten requests for one missing entry load it once; an error reaches all ten and is not kept."""
    cache: TtlCache[str, int] = TtlCache(10, 60.0)
    loads = 0

    async def load() -> int:
        nonlocal loads
        loads += 1
        await asyncio.sleep(0.01)
        if loads == 1:
            raise ValueError
        return 7

    first = await asyncio.gather(*(cache.get_or_load("a", load) for _ in range(10)), return_exceptions=True)
    second = await asyncio.gather(*(cache.get_or_load("a", load) for _ in range(10)))
    assert [type(error) for error in first] == [ValueError] * 10
    assert second == [7] * 10
    assert loads == 2


async def test_a_request_that_is_cut_off_does_not_cut_off_the_others() -> None:
    """The first request's deadline ends its wait, not the load."""
    cache: TtlCache[str, int] = TtlCache(10, 60.0)

    async def load() -> int:
        await asyncio.sleep(0.05)
        return 7

    hasty = asyncio.create_task(cache.get_or_load("a", load))
    await asyncio.sleep(0)
    patient = asyncio.create_task(cache.get_or_load("a", load))
    await asyncio.sleep(0.01)
    hasty.cancel()
    assert await patient == 7


async def test_a_value_from_before_a_change_is_not_kept() -> None:
    """Discarding while a load is under way keeps its outcome out: it may be older than the change."""
    cache: TtlCache[str, int] = TtlCache(10, 60.0)
    go = asyncio.Event()

    async def load() -> int:
        await go.wait()
        return 1

    asked = asyncio.create_task(cache.get_or_load("a", load))
    await asyncio.sleep(0.01)
    cache.discard("a")
    go.set()
    assert await asked == 1
    await asyncio.sleep(0)
    assert cache.get("a") is None


def test_caches_are_exported() -> None:
    """Hits, misses, entries and the ratio are series by the cache's name; a name can't be taken twice."""
    registry = CollectorRegistry()
    caches = Caches(registry)
    cache: TtlCache[str, int] = caches.make(name="profile", size=10, ttl=60.0)
    cache.put("a", 1)
    for key in ("a", "a", "a", "b"):
        cache.get(key)
    labels = {"cache": "profile"}
    assert registry.get_sample_value("serin_cache_requests_total", labels | {"result": "hit"}) == 3
    assert registry.get_sample_value("serin_cache_requests_total", labels | {"result": "miss"}) == 1
    assert registry.get_sample_value("serin_cache_entries", labels) == 1
    assert registry.get_sample_value("serin_cache_hit_ratio", labels) == 0.75
    with pytest.raises(ValueError, match="profile"):
        caches.make(name="profile", size=1, ttl=1.0)


async def test_only_what_is_transient_is_tried_again() -> None:
    """A lost connection is tried again, an exhausted pool is not, and the last error is what the caller sees."""
    tried: list[int] = []

    def failing(error: Exception, times: int) -> Any:
        async def work() -> str:
            tried.append(1)
            if len(tried) <= times:
                raise error
            return "done"

        return work

    assert await retried(failing(DatabaseLostError(), 2), budget=5.0) == "done"
    assert len(tried) == 3
    tried.clear()
    with pytest.raises(DatabaseBusyError):
        await retried(failing(DatabaseBusyError(), 2))
    assert len(tried) == 1
    tried.clear()
    with pytest.raises(DatabaseLostError):
        await retried(failing(DatabaseLostError(), 100), budget=5.0, attempts=4)
    assert len(tried) == 4


async def test_attempts_share_a_budget() -> None:
    """However slow each attempt is, all of them end with the budget."""

    async def slow() -> None:
        await asyncio.sleep(0.04)
        raise DatabaseLostError

    loop = asyncio.get_running_loop()
    start = loop.time()
    with pytest.raises((TimeoutError, DatabaseLostError)):
        await retried(slow, budget=0.1, attempts=1000)
    assert loop.time() - start < 3.0, "a thousand attempts would take forty seconds"


async def test_a_periodic_task_survives_its_errors() -> None:
    """A run that fails is counted, the next one comes, and closing ends the task."""
    registry = CollectorRegistry()
    background = Background(registry)
    runs = 0

    async def work() -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise OSError("away")

    background.every(0.01, work, name="sums", first=0.0)
    with pytest.raises(ValueError, match="sums"):
        background.every(1.0, work, name="sums")
    await asyncio.sleep(0.1)
    await background.close()
    at_the_end = runs
    await asyncio.sleep(0.05)
    assert runs == at_the_end >= 3
    assert registry.get_sample_value("serin_background_errors_total", {"task": "sums"}) == 1


@given(st.text(max_size=64).filter(lambda text: text.isprintable()))
def test_the_bucket_is_the_gateways(user_id: str) -> None:
    """The bucket is xxh64 with seed 0 of the id's UTF-8 bytes, modulo 100."""
    assert bucket(user_id) == int(xxhash.xxh64(user_id.encode("utf-8"), seed=0).hexdigest(), 16) % 100


def test_known_buckets() -> None:
    """Three values written down, so that nobody changes the hash without noticing."""
    assert xxhash.xxh64_intdigest(b"", seed=0) == 0xEF46DB3751D8E999
    assert [bucket(user) for user in ("u-0000", "u-0042", "u-1999")] == [31, 20, 65]


@pytest.mark.parametrize(
    ("variant", "headers", "agreed", "kinds"),
    [
        ("canary", {}, "unknown", []),
        ("canary", {"x-variant": "canary", "x-user-id": "u-0042"}, "yes", []),
        ("canary", {"x-variant": "control"}, "no", ["variant"]),
        ("canary", {"x-canary-weight": "25"}, "yes", []),
        ("canary", {"x-canary-weight": "5"}, "no", ["bucket"]),
        ("control", {"x-canary-weight": "25"}, "no", ["bucket"]),
        ("control", {"x-canary-weight": "5"}, "yes", []),
        ("control", {"x-canary-weight": "a lot"}, "unknown", []),
        ("canary", {"x-user-id": "u-0001"}, "no", ["user"]),
    ],
)
def test_disagreements_are_counted(variant: str, headers: dict[str, str], agreed: str, kinds: list[str]) -> None:
    """u-0042 is in bucket 20: a canary of 25 % serves them, one of 5 % does not."""
    registry = CollectorRegistry()
    served = Assignment(variant, registry).note(headers, "u-0042")
    assert (served.variant, served.bucket) == (variant, 20)
    assert registry.get_sample_value("serin_assignments_total", {"agreed": agreed}) == 1
    found = [
        kind
        for kind in ("variant", "bucket", "user")
        if registry.get_sample_value("serin_assignment_disagreements_total", {"kind": kind})
    ]
    assert found == kinds


def test_a_command_line_names_its_command(capsys: pytest.CaptureFixture[str]) -> None:
    """No command is the first one, an unknown one is exit code 2 with the list, and arguments are handed on."""
    seen: list[list[str]] = []

    def run(arguments: list[str]) -> int:
        seen.append(arguments)
        return len(arguments)

    commands = {"serve": Command(run, "serve until told to stop"), "seed": Command(run, "fill the database")}
    assert run_cli("recommendation", commands, []) == 0
    assert run_cli("recommendation", commands, ["seed", "--users", "10"]) == 2
    assert seen == [[], ["--users", "10"]]
    assert run_cli("recommendation", commands, ["bake"]) == 2
    assert "fill the database" in capsys.readouterr().err
    assert run_cli("recommendation", commands, ["--help"]) == 0
    assert "fill the database" in capsys.readouterr().out
