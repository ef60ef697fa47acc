"""A control plane for each file: an operator acts on whatever it finds."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from serin.kube.errors import KubeError
from serin.kube.lease import LeaderLease
from tests.cluster.places import REPOSITORY
from tests.integration.cluster_plane import control_plane
from tests.integration.controller.process import TRAFFIC, Cluster, repeated, until
from tests.integration.controller.scene import Scene, Traffic, kubelet
from tests.integration.metrics.process import prometheus


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


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A control plane, pods that get ready, traffic and its Prometheus."""
    home = tmp_path_factory.mktemp("crashes")
    with contextlib.ExitStack() as stack:
        plane = stack.enter_context(control_plane(home))
        admin, traffic = plane.connect(), Traffic()
        stack.callback(admin.close)
        stack.callback(traffic.stop)
        admin.create("v1", "namespaces", None, {"metadata": {"name": "serin-system"}})
        lease = LeaderLease(admin, "serin-system", "serin", "mortal")
        assert lease.acquire()
        stack.enter_context(repeated(lease.acquire, 2.0, despite=(KubeError,)))
        stack.enter_context(repeated(traffic.serve, 0.5))
        stack.enter_context(repeated(lambda: kubelet(admin), despite=(KubeError,)))
        config = TRAFFIC.format(port=traffic.port)
        address = stack.enter_context(prometheus(Path(home) / "tsdb", config))
        yield Scene(plane, admin, address, traffic, lease)
