"""Sticky users through a real Envoy: who is predicted is served, nobody leaves while the weight rises."""

import asyncio
from collections.abc import Iterator, Sequence

import aiohttp
import pytest

from serin.traffic.presets import HTTP_ROUTE
from serin.traffic.splits import Backend, Split
from serin.traffic.sticky import Hashing, chosen
from serin_services.assignment import bucket
from tests.bench.traffic.ratio import sample_ratio
from tests.integration.envoy import VARIANTS, Envoy, envoy

USERS = [f"u-{number:04}" for number in range(5000)]
HEADERS = ("x-user-id", "x-salt-shop")
SALTS = {"x-salt-shop": "phase4"}


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Envoy]:
    """An Envoy that hashes the user and the salt, which it sets itself."""
    with envoy(tmp_path_factory.mktemp("envoy"), HEADERS, SALTS) as running:
        yield running


async def served(proxy: Envoy, users: Sequence[str], headers: dict[str, str] | None = None) -> list[str]:
    """Return the variant that answers each user; an empty id sends no header."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=50)) as session:

        async def one(user: str) -> str:
            sent = {**(headers or {}), **({"x-user-id": user} if user else {})}
            async with session.get(f"http://127.0.0.1:{proxy.port}/", headers=sent) as answer:
                assert answer.status == 200
                return await answer.text()

        return list(await asyncio.gather(*(one(user) for user in users)))


def predicted(user: str, canary: int, total: int = 100) -> str:
    """Return what `kubectl serin whois` says."""
    backends = (Backend("canary", "", canary), Backend("control", "", total - canary))
    return chosen(Split("sticky", "", backends), Hashing(HEADERS, SALTS).number(user))[0]


async def test_nobody_leaves_and_everybody_is_predicted(proxy: Envoy) -> None:
    """5,000 users over 5 -> 10 -> 25 -> 50 -> 0 -> 5: served as predicted, nobody leaves, the same come back."""
    groups: list[set[str]] = []
    for weight in (5, 10, 25, 50, 0, 5):
        proxy.split(weight, 100 - weight)
        found = await served(proxy, USERS)
        assert found == [predicted(user, weight) for user in USERS]
        assert [bucket(user, "phase4") < weight for user in USERS] == [each == "canary" for each in found]
        groups.append({user for user, each in zip(USERS, found, strict=True) if each == "canary"})
    assert groups[0] < groups[1] < groups[2] < groups[3]
    assert groups[4] == set()
    assert groups[5] == groups[0]


async def test_a_trace_moves_nobody(proxy: Envoy) -> None:
    """With one part in a million for a variant its users are predicted too, and 5 % after it finds the same ones."""
    proxy.split(5, 95)
    before = await served(proxy, USERS[:1000])
    for trace in (1, HTTP_ROUTE.finest - 1):
        proxy.split(trace, HTTP_ROUTE.finest - trace)
        found = await served(proxy, USERS[:1000])
        assert found == [predicted(user, trace, HTTP_ROUTE.finest) for user in USERS[:1000]]
        assert set(found) == {"canary" if trace > 1 else "control"}
    proxy.split(5, 95)
    assert await served(proxy, USERS[:1000]) == before


async def test_a_client_cannot_choose_its_salt(proxy: Envoy) -> None:
    """The gateway sets the salt before it hashes: a header of the same name from outside changes nothing."""
    proxy.split(50, 50)
    honest = await served(proxy, USERS[:500])
    assert await served(proxy, USERS[:500], {"x-salt-shop": "mine"}) == honest


async def test_the_sample_ratio_is_quiet_when_sticky_and_loud_when_skewed(proxy: Envoy) -> None:
    """At 25 % the users split as intended; a route that somebody skewed to 30 % is found out."""
    proxy.split(25, 75)
    assert not sample_ratio(await served(proxy, USERS), 25).holds
    proxy.split(30, 70)
    loud = sample_ratio(await served(proxy, USERS), 25)
    assert loud.holds
    assert "25% were intended" in loud.reason


async def test_without_an_id_the_hash_makes_one_user_of_all(proxy: Envoy) -> None:
    """Under the salted hash requests without a user all go one way, which is why they have a rule of their own."""
    proxy.split(50, 50)
    assert len(set(await served(proxy, [""] * 200))) == 1
    proxy.split(50, 50, sticky=False)
    found = await served(proxy, [""] * 2000)
    assert not sample_ratio(found, 50).holds  # the one thing here that is left to chance
    assert set(found) == set(VARIANTS)
