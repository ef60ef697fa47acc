"""A control plane for each file: an operator acts on whatever it finds."""

from collections.abc import Iterator

import pytest

from tests.integration.cluster_plane import control_plane
from tests.integration.controller.process import Cluster, cluster_of
from tests.integration.controller.scene import Scene, scenery


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A control plane of its own, for an operator acts on whatever it finds; with the manifest's rights."""
    home = tmp_path_factory.mktemp("controller")
    with control_plane(home) as plane:
        yield cluster_of(plane, home)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A control plane, pods that get ready, traffic and its Prometheus."""
    with scenery(tmp_path_factory.mktemp("crashes")) as made:
        yield made
