"""What Deployments mean to decisions, worked out once for each version of them: their templates are hashed."""

from typing import Any

from serin.engine.observation import Workload
from serin.kube.deployments import promoted_template, template_hash, workload

Object = dict[str, Any]
Version = tuple[str, str]
"""uid and resourceVersion: it changes with anything in the object."""


class Workloads:
    """Remembers by the version of the very object that is asked about, so that it can't be that of another one."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[Version, Workload]] = {}
        self._promoted: dict[str, tuple[Version, Version, str]] = {}

    def of(self, obj: Object | None) -> Workload | None:
        """As `serin.kube.deployments.workload`."""
        if obj is None:
            return None
        version = _version(obj)
        known = self._seen.get(version[0])
        if known is None or known[0] != version:
            made = workload(obj)
            assert made is not None
            known = self._seen[version[0]] = version, made
        return known[1]

    def promoted(self, control: Object | None, canary: Object | None) -> str:
        """Hash of the template that control gets by a promotion; empty while one of the two is missing."""
        if control is None or canary is None:
            return ""
        versions = _version(control), _version(canary)
        known = self._promoted.get(versions[1][0])
        if known is None or known[:2] != versions:
            made = template_hash(promoted_template(control, canary))
            known = self._promoted[versions[1][0]] = *versions, made
        return known[2]

    def forget(self, known: set[str]) -> None:
        """Drops the Deployments that are not in `known` (uids) any more."""
        for memory in (self._seen, self._promoted):
            for uid in [each for each in memory if each not in known]:
                del memory[uid]


def _version(obj: Object) -> Version:
    return obj["metadata"]["uid"], obj["metadata"].get("resourceVersion", "")
