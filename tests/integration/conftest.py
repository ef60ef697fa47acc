"""What integration tests share: one control plane for the session, and a namespace for each test."""

import secrets
from collections.abc import Iterator

import pytest

from serin.kube.client import Kube
from tests.cluster.places import REPOSITORY
from tests.integration.cluster_plane import Plane, control_plane, install_crds
from tests.integration.shapes import as_operator, grant


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """A real API server with its controllers, without nodes."""
    with control_plane(tmp_path_factory.mktemp("plane")) as running:
        yield running


@pytest.fixture(scope="session")
def route_kinds(plane: Plane) -> None:
    """The vendors' kinds of routes are known to the API server, with the vendors' own schemas."""
    admin = plane.connect()
    install_crds(admin, REPOSITORY / "tests/integration/vendor")
    admin.close()


@pytest.fixture
def kube(plane: Plane) -> Iterator[Kube]:
    """An administrator's client."""
    made = plane.connect()
    yield made
    made.close()


@pytest.fixture
def operator(plane: Plane, kube: Kube) -> Iterator[Kube]:
    """A client with the operator's account and the cluster-wide rights of manifests/base."""
    grant(kube, REPOSITORY / "manifests/base/rbac.yaml")
    with as_operator(plane) as made:
        yield made


@pytest.fixture
def namespace(kube: Kube) -> str:
    """A namespace of the test's own."""
    name = f"test-{secrets.token_hex(4)}"
    kube.create("v1", "namespaces", None, {"metadata": {"name": name}})
    return name
