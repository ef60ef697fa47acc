"""Where the tooling keeps what it makes, so that a second checkout on the machine finds it again."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
KIND_CONFIG = REPOSITORY / "kind-config.yaml"


@dataclass(frozen=True)
class Places:
    """Paths below one cache directory."""

    cache: Path

    @property
    def bin(self) -> Path:
        """Programs: what the node image holds, and what integration tests start as plain processes."""
        return self.cache / "bin"

    @property
    def keys(self) -> Path:
        """One file for each program, with the key of the inputs that it was made from."""
        return self.cache / "keys"

    @property
    def logs(self) -> Path:
        """One log for each step, of its last run."""
        return self.cache / "logs"

    @property
    def work(self) -> Path:
        """Build contexts and archives in the making; nothing in it is needed after a step."""
        return self.cache / "work"

    @property
    def wheels(self) -> Path:
        """Python wheels for the project's images."""
        return self.cache / "wheels"

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig of the cluster; ~/.kube/config stays as it is."""
        return self.cache / "kubeconfig"

    @property
    def timings(self) -> Path:
        """How long each step took, the last ten times."""
        return self.cache / "timings.json"

    @property
    def lock(self) -> Path:
        """Held while a command changes something."""
        return self.cache / "lock"


def from_environment() -> Places:
    """Return the places below SERIN_CACHE, or below the user's cache directory."""
    chosen = os.environ.get("SERIN_CACHE")
    if chosen:
        return Places(Path(chosen).resolve())
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Places(Path(base) / "serin")
