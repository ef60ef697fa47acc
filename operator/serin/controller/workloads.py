"""What Deployments mean to decisions, worked out once for each version of them: their templates are hashed."""

from typing import Any

from serin.engine.observation import Workload
from serin.kube.deployments import promoted_template, template_hash, workload

Object = dict[str, Any]


class Workloads:
    """Remembers by the very object that the store holds: another version of it is another object."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[Object, Workload]] = {}
        self._promoted: dict[str, tuple[Object, Object, str]] = {}

    def of(self, obj: Object | None) -> Workload | None:
        """As `serin.kube.deployments.workload`."""
        if obj is None:
            return None
        uid = obj["metadata"]["uid"]
        known = self._seen.get(uid)
        if known is None or known[0] is not obj:
            made = workload(obj)
            assert made is not None
            known = self._seen[uid] = obj, made
        return known[1]

    def promoted(self, control: Object | None, canary: Object | None) -> str:
        """Hash of the template that control gets by a promotion; empty while one of the two is missing."""
        if control is None or canary is None:
            return ""
        uid = canary["metadata"]["uid"]
        known = self._promoted.get(uid)
        if known is None or known[0] is not control or known[1] is not canary:
            known = self._promoted[uid] = control, canary, template_hash(promoted_template(control, canary))
        return known[2]

    def forget(self, known: set[str]) -> None:
        """Drops the Deployments that are not in `known` (uids) any more."""
        for memory in (self._seen, self._promoted):
            for uid in [each for each in memory if each not in known]:
                del memory[uid]
