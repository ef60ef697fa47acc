"""What is decided and not written yet: counts of looks, which go into the status at checkpoints."""

import hashlib
from dataclasses import dataclass
from typing import Any

import msgspec

from serin.api.status import Status


@dataclass(slots=True)
class Memory:
    """Counts that are not written yet, and the status that they are built on."""

    written: bytes
    """Of the status, a digest: the text would be kept twice."""
    status: Status
    at: float
    version: str
    """resourceVersion of the object that has the written status; of another one the digest tells."""

    def fits(self, obj: dict[str, Any]) -> bool:
        """True when the status of `obj` is the one that this is built on."""
        version = obj["metadata"].get("resourceVersion")
        return self.version == version or self.written == digest(obj.get("status") or {})


def digest(status: dict[str, Any]) -> bytes:
    """Of a status as the API server has it."""
    return hashlib.blake2b(msgspec.json.encode(status, order="sorted"), digest_size=16).digest()
