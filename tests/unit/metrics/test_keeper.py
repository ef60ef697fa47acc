"""Credentials are kept for a while, read anew when they are doubted, and the sentence says what to apply."""

import asyncio
import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from serin.api.spec import PrometheusRef, SecretKeyRef
from serin.kube.errors import Forbidden, KubeError, NotFound, Unavailable
from serin.metrics import keeper as module
from serin.metrics.credentials import CredentialsError, access
from serin.metrics.keeper import Keeper

REF = PrometheusRef(address="https://a", bearer_token_from=SecretKeyRef(name="s", key="token"))
SHOP = access(REF, "shop")


class Store:
    """Secrets that a test changes, and how often they were read."""

    def __init__(self) -> None:
        self.says = "first"
        self.error: KubeError | None = None
        self.reads = 0

    def read(self, namespace: str, name: str) -> dict[str, Any]:
        """Return the Secret."""
        assert (namespace, name) == ("shop", "s")
        self.reads += 1
        if self.error is not None:
            raise self.error
        data = {"token": base64.b64encode(self.says.encode()).decode()}
        return {"metadata": {"resourceVersion": str(self.reads)}, "data": data}


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    """Give threads to read in."""
    with ThreadPoolExecutor(2) as made:
        yield made


async def token(keeper: Keeper) -> str:
    """Return what would be sent."""
    return dict((await keeper.credentials(SHOP)).headers)["Authorization"].removeprefix("Bearer ")


async def test_one_read_for_all(executor: ThreadPoolExecutor) -> None:
    """Those who ask at the same time, and later within the time, cost one call."""
    store = Store()
    keeper = Keeper(store.read, executor)
    assert await asyncio.gather(*(token(keeper) for _ in range(5))) == ["first"] * 5
    store.says = "second"
    assert (await token(keeper), store.reads) == ("first", 1)


async def test_a_new_token_comes_by_itself(executor: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its time, or when Prometheus refuses the old one, the Secret is read again."""
    store = Store()
    assert await token(brief := Keeper(store.read, executor, seconds=0)) == "first"
    store.says = "second"
    assert await token(brief) == "second"
    lasting = Keeper(store.read, executor)
    assert await token(lasting) == "second"
    store.says = "third"
    lasting.doubt(SHOP)
    assert await token(lasting) == "second", "what was read this moment is not read again"
    monkeypatch.setattr(module, "_REFUSED_SECONDS", 0.0)
    lasting.doubt(SHOP)
    assert await token(lasting) == "third"


async def test_a_right_that_is_taken_away_holds_at_once(executor: ThreadPoolExecutor) -> None:
    """What may not be read any more, or is gone, is not used on; where the API server is away, the known is."""
    store = Store()
    keeper = Keeper(store.read, executor, seconds=0)
    await token(keeper)
    store.error = Unavailable("no answer")
    assert await token(keeper) == "first"
    for error in (NotFound("gone", 404), Forbidden("no", 403)):
        store.error = error
        with pytest.raises(CredentialsError):
            await token(keeper)
    store.error = None
    assert await token(keeper) == "first"


async def test_the_sentence_can_be_applied(executor: ThreadPoolExecutor) -> None:
    """Forbidden: the two commands, for the very account that the API server named. Absent: where to create it."""
    store = Store()
    store.error = Forbidden('secrets "s" is forbidden: User "system:serviceaccount:ops:serin-2" cannot get', 403)
    with pytest.raises(CredentialsError) as caught:
        await token(Keeper(store.read, executor))
    assert (
        "kubectl -n shop create role serin-reads-s --verb=get --resource=secrets --resource-name=s"
        " && kubectl -n shop create rolebinding serin-reads-s --role=serin-reads-s --serviceaccount=ops:serin-2"
    ) in str(caught.value)
    store.error = NotFound("gone", 404)
    with pytest.raises(CredentialsError, match="there is no Secret s in namespace shop"):
        await token(Keeper(store.read, executor))
    with pytest.raises(CredentialsError, match="by the operator alone"):
        await token(Keeper(None, executor))


async def test_memory_is_bounded(executor: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many namespaces only the last are kept."""
    monkeypatch.setattr(module, "_MOST", 3)
    data = {"token": base64.b64encode(b"x").decode()}
    keeper = Keeper(lambda *_: {"metadata": {"resourceVersion": "1"}, "data": data}, executor)
    for index in range(10):
        await keeper.credentials(access(REF, f"ns-{index}"))
    assert list(keeper._kept) == [("ns-7", "s"), ("ns-8", "s"), ("ns-9", "s")]
