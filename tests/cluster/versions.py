"""Which releases the cluster is made of, read from the go.mod files so that each is written down once."""

from __future__ import annotations

import re
from functools import cache

from tests.cluster.places import HERE

MODULES = HERE / "go"
# The image that the notes of the kind release in go/kind name for Kubernetes 1.34; change both together.
USUAL_NODE_IMAGE = "kindest/node:v1.34.11@sha256:44e222ee2132dab25ff87301682f89eb82c7880ea3a1bf543bfe9708fd08d67d"
PYTHON_IMAGE = "python:3.11-slim"
DEBIAN_IMAGE = "debian:bookworm-slim"
POSTGRES_IMAGE = "postgres:15-bookworm"
MINIMUM_GO = (1, 25)


def required(go_mod: str, module: str) -> str:
    """Return the version that the text of a go.mod file requires of a module.

    Raises:
        LookupError: the file doesn't require the module.
    """
    found = re.search(rf"^\s*(?:require )?{re.escape(module)} (v\S+)", go_mod, re.MULTILINE)
    if found is None:
        raise LookupError(f"go.mod does not require {module}")
    return found.group(1)


@cache
def _pinned(folder: str, module: str) -> str:
    return required((MODULES / folder / "go.mod").read_text(), module)


def kubernetes() -> str:
    """Return the Kubernetes release, such as v1.34.3."""
    return _pinned("kubernetes", "k8s.io/kubernetes")


def kind() -> str:
    """Return the kind release, such as v0.33.0."""
    return _pinned("kind", "sigs.k8s.io/kind")


def prometheus() -> str:
    """Return the Prometheus release, such as v3.11.3."""
    return prometheus_release(_pinned("prometheus", "github.com/prometheus/prometheus"))


def prometheus_release(module_version: str) -> str:
    """Turn the version of Prometheus's Go module into that of its release: v0.311.3 is v3.11.3."""
    found = re.fullmatch(r"v0\.(\d+?)(\d\d)\.(\d+)", module_version)
    if found is None:
        raise LookupError(f"{module_version} is not a version of Prometheus 3 or later as a Go module")
    major, minor, patch = (int(part) for part in found.groups())
    return f"v{major}.{minor}.{patch}"


def prometheus_image() -> str:
    """Return the usual name of Prometheus's image at the pinned release."""
    return f"prom/prometheus:{prometheus()}"


def node_image() -> str:
    """Return the name of the node image that is built where the usual one can't be pulled."""
    return f"serin/node:{kubernetes()}"
