"""What Deployments mean to decisions, worked out once for each version of them: their templates are hashed."""

from serin.controller.store import Kept
from serin.engine.observation import Workload
from serin.kube.deployments import promoted_template, template_hash, workload


class Workloads:
    """Remembers by the version of the very object that is asked about, so that it can't be that of another one."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, Workload]] = {}
        self._promoted: dict[str, tuple[tuple[str, int, int], str]] = {}

    def of(self, obj: Kept | None) -> Workload | None:
        """As `serin.kube.deployments.workload`."""
        if obj is None:
            return None
        known = self._seen.get(obj.uid)
        if known is None or known[0] != obj.version:
            made = workload(obj.read())
            assert made is not None
            known = self._seen[obj.uid] = obj.version, made
        return known[1]

    def promoted(self, control: Kept | None, canary: Kept | None) -> str:
        """Hash of the template that control gets by a promotion; empty while one of the two is missing."""
        if control is None or canary is None:
            return ""
        versions = control.uid, control.version, canary.version
        known = self._promoted.get(canary.uid)
        if known is None or known[0] != versions:
            known = self._promoted[canary.uid] = (
                versions,
                template_hash(promoted_template(control.read(), canary.read())),
            )
        return known[1]

    def forget(self, known: set[str]) -> None:
        """Drops the Deployments that are not in `known` (uids) any more."""
        for memory in (self._seen, self._promoted):
            for uid in [each for each in memory if each not in known]:
                del memory[uid]
