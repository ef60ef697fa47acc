"""Clients that write and remember what was acknowledged, as a careful client does it.

Each message has an Idempotency-Key. What failed is sent again with the same key until it is acknowledged; so in the end
every message must be there exactly once, whatever happened to the answers on the way.
"""

import asyncio
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import aiohttp


@dataclass(slots=True)
class Ledger:
    """What clients know of their writes.

    Attributes:
        acknowledged: Texts by conversation, in the order in which they were acknowledged.
        statuses: Statuses of all answers to messages; 0 for none.
        wrong: Answers that a client can't work with: a 503 without Retry-After, an error that is no problem document.
        replayed: Answers that were repeated from an earlier delivery.
    """

    acknowledged: dict[str, list[str]] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    replayed: int = 0

    @property
    def total(self) -> int:
        """Acknowledged messages."""
        return sum(map(len, self.acknowledged.values()))


async def talk(session: aiohttp.ClientSession, urls: list[str], ledger: Ledger, stop: asyncio.Event) -> None:
    """Hold one conversation, a message after the other, with whichever process is next."""
    async with session.post(f"{urls[0]}/api/v2/conversations/start", json={"user_id": "u-0001"}) as response:
        assert response.status == 201, await response.text()
        conversation = (await response.json())["conversation_id"]
    said = ledger.acknowledged[conversation] = []
    sent = 0
    while not stop.is_set():
        text, key = f"a comedy, number {len(said) + 1} of {conversation[:8]}", uuid.uuid4().hex
        while True:
            sent += 1
            url = f"{urls[sent % len(urls)]}/api/v2/conversations/{conversation}/messages"
            if await _say(session, url, text, key, ledger):
                said.append(text)
                break
            await asyncio.sleep(0.1)


async def _say(session: aiohttp.ClientSession, url: str, text: str, key: str, ledger: Ledger) -> bool:
    try:
        async with session.post(url, json={"text": text}, headers={"idempotency-key": key}) as response:
            await response.read()
            ledger.statuses[response.status] += 1
            ledger.replayed += "idempotency-replayed" in response.headers
            if response.status != 200:
                _judge(response, ledger)
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError):
        ledger.statuses[0] += 1
        return False


def _judge(response: aiohttp.ClientResponse, ledger: Ledger) -> None:
    if response.content_type != "application/problem+json":
        ledger.wrong.append(f"{response.status} of type {response.content_type}")
    if response.status == 503 and "retry-after" not in response.headers:
        ledger.wrong.append("503 without Retry-After")


async def history(session: aiohttp.ClientSession, url: str, conversation: str) -> list[str]:
    """Return the messages of a conversation as the API shows them, all pages."""
    found: list[str] = []
    after: int | None = 0
    while after is not None:
        path = f"{url}/api/v2/conversations/{conversation}?limit=200&after={after}"
        async with session.get(path) as response:
            page: dict[str, Any] = await response.json()
            assert response.status == 200, page
        found += [turn["message"] for turn in page["history"]]
        after = page["next_after"]
    return found
