"""Leadership by a Lease: only its holder acts.

The kubernetes package's election knows ConfigMaps and blocks its thread; here it is compare-and-set on a Lease, with
client-go's rule: another's lease has expired only when this process itself saw it unchanged for its whole duration, so
that clocks need not agree.
"""

import contextlib
import time
from datetime import UTC, datetime
from typing import Any, Final

from serin.kube.client import Kube
from serin.kube.errors import Conflict, KubeError, NotFound

_API: Final = "coordination.k8s.io/v1"


class LeaderLease:
    """One Lease object.

    Args:
        kube: the API client.
        namespace: of the Lease.
        name: of the Lease.
        identity: of this process; its pod's name.
        duration: seconds that a renewal is good for.
    """

    def __init__(self, kube: Kube, namespace: str, name: str, identity: str, duration: float = 15.0) -> None:
        self._kube, self._namespace, self._name = kube, namespace, name
        self.identity, self.duration = identity, duration
        self._renewed = float("-inf")
        self._mine: dict[str, Any] | None = None
        """The Lease as this process last wrote it."""
        self._seen: tuple[str, str] = ("", "")
        self._seen_at = 0.0

    def held(self, now: float | None = None) -> bool:
        """True while nobody else can have taken it; a third of the duration is the margin."""
        at = time.monotonic() if now is None else now
        return at - self._renewed < self.duration * 2 / 3

    def acquire(self) -> bool:
        """Takes or renews the lease; False when another holds it or the API server does not answer."""
        begun = time.monotonic()
        try:
            taken = self._try(begun)
        except KubeError:
            return False
        if taken:
            self._renewed = begun
        return taken

    def release(self) -> None:
        """Gives the lease back, so that the next one need not wait."""
        try:
            lease = self._kube.get(_API, "leases", self._namespace, self._name)
            if lease["spec"].get("holderIdentity") == self.identity:
                lease["spec"]["holderIdentity"] = ""
                self._put(lease)
        except KubeError:
            return
        finally:
            self._renewed, self._mine = float("-inf"), None

    def _try(self, now: float) -> bool:
        if self._mine is not None and now - self._renewed < self.duration:
            # Its holder is the only one who writes it: what the last write gave is the newest, or this is a Conflict.
            mine, self._mine = self._mine, None
            mine["spec"]["renewTime"] = _micro()
            with contextlib.suppress(Conflict, NotFound):
                self._put(mine)
                return True
        try:
            lease = self._kube.get(_API, "leases", self._namespace, self._name)
        except NotFound:
            return self._create()
        spec = lease["spec"]
        holder = spec.get("holderIdentity") or ""
        seen = (holder, spec.get("renewTime", ""))
        if seen != self._seen:
            self._seen, self._seen_at = seen, now
        foreign = holder not in {"", self.identity}
        if foreign:
            self._renewed = float("-inf")
            if now - self._seen_at < float(spec.get("leaseDurationSeconds", self.duration)):
                return False
        if holder != self.identity:
            spec["acquireTime"] = _micro()
            spec["leaseTransitions"] = int(spec.get("leaseTransitions", 0)) + 1
        spec.update(
            {"holderIdentity": self.identity, "leaseDurationSeconds": int(self.duration), "renewTime": _micro()}
        )
        try:
            self._put(lease)
        except Conflict:
            return False
        return True

    def _create(self) -> bool:
        body = {
            "apiVersion": _API,
            "kind": "Lease",
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": {
                "holderIdentity": self.identity,
                "leaseDurationSeconds": int(self.duration),
                "acquireTime": _micro(),
                "renewTime": _micro(),
                "leaseTransitions": 0,
            },
        }
        try:
            self._mine = self._kube.create(_API, "leases", self._namespace, body)
        except Conflict:
            return False
        return True

    def _put(self, lease: dict[str, Any]) -> None:
        body = {"metadata": {"resourceVersion": lease["metadata"]["resourceVersion"]}, "spec": lease["spec"]}
        self._mine = self._kube.patch(_API, "leases", self._namespace, self._name, body)


def _micro() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
