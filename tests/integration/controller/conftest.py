"""A control plane for each file: an operator acts on whatever it finds."""

from collections.abc import Iterator

import pytest
import yaml

from tests.cluster.places import REPOSITORY
from tests.integration.cluster_plane import control_plane
from tests.integration.controller.process import Cluster, until


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A control plane of its own, for an operator acts on whatever it finds; with the manifest's rights."""
    home = tmp_path_factory.mktemp("controller")
    with control_plane(home) as plane:
        config = yaml.safe_load(plane.kubeconfig.read_text())
        for user in config["users"]:
            user["user"] = {"token": plane.operator}
        (home / "operator").touch(mode=0o600)
        (home / "operator").write_text(yaml.safe_dump(config))
        made = Cluster(plane.kubeconfig, home / "operator", home)
        until(lambda: "default" in made.kubectl("get", "namespaces"), "namespace default")
        made.kubectl("create", "namespace", "serin-system")
        made.kubectl("apply", "-f", str(REPOSITORY / "manifests/base/rbac.yaml"))
        yield made
