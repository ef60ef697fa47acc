"""The operator as a process against a real API server, with the rights of its manifest and no others.

There are no nodes: what is tested here is what it says, and how it starts and stops.
"""

import json
import signal
import time
from collections.abc import Iterator

import pytest

from tests.integration.controller.process import Cluster, Operator, deployment, experiment, operator, refused, until


@pytest.fixture(scope="module")
def running(cluster: Cluster) -> Iterator[Operator]:
    """One operator that leads, for the tests that do not stop it."""
    with operator(cluster, "first") as started:
        until(started.leads, f"the operator leads: {started.log.read_text()[-2000:]}")
        yield started
        # Whatever a test provokes is answered, not thrown: the log of the whole module has no traceback.
        assert "Traceback" not in started.log.read_text()


def test_missing_deployment_is_refused_with_a_sentence(cluster: Cluster, running: Operator) -> None:
    """An experiment on a Deployment that is not there says which, and that it can be created or corrected."""
    del running
    cluster.kubectl("apply", "-f", "-", given=experiment("lost", "nobody", "nobody-next"))
    assert "no Deployment nobody in default: create it or correct control.deployment" in refused(cluster, "lost")
    assert cluster.status("lost")["phase"] == "Pending"


def test_a_typing_error_is_answered_with_the_name_that_is_meant(cluster: Cluster, running: Operator) -> None:
    """The Deployment whose name is most like the one that is not there is named; one like none is not guessed."""
    del running
    for made in (deployment("checkout"), deployment("basket")):
        cluster.kubectl("apply", "-f", "-", given=made)
    cluster.kubectl("apply", "-f", "-", given=experiment("typed", "chekout", "zzz"))
    said = refused(cluster, "typed")
    assert "no Deployment chekout in default: create it or correct control.deployment (there is checkout)" in said
    cluster.kubectl("apply", "-f", "-", given=experiment("unlike", "zzz", "zzy"))
    assert "(there is" not in refused(cluster, "unlike")


def test_no_rights_are_missing(cluster: Cluster, running: Operator) -> None:
    """Two Deployments without a common Service pass every read of the checks; the manifest's rights are enough."""
    for name in ("alone", "alone-next"):
        cluster.kubectl("apply", "-f", "-", given=deployment(name))
    cluster.kubectl("apply", "-f", "-", given=experiment("alone", "alone", "alone-next"))
    assert "no Service in default selects the pods of both" in refused(cluster, "alone")
    assert 'code="403"' not in running.get("/metrics")[1]


def test_second_experiment_on_a_deployment_waits(cluster: Cluster, running: Operator) -> None:
    """Of two experiments on one Deployment, the later one is refused and names the earlier."""
    del running
    cluster.kubectl("apply", "-f", "-", given=experiment("one", "shared", "shared-next"))
    refused(cluster, "one")
    cluster.kubectl("apply", "-f", "-", given=experiment("two", "shared", "other-next"))
    assert "Deployment shared belongs to experiment one" in refused(cluster, "two")


def test_no_annotations_no_finalizer_and_no_idle_writes(cluster: Cluster, running: Operator) -> None:
    """An experiment that waits is not written again and again, and carries nothing of kopf's."""
    del running
    cluster.kubectl("apply", "-f", "-", given=experiment("idle", "absent", "absent-next"))
    refused(cluster, "idle")
    time.sleep(2.0)
    before = json.loads(cluster.kubectl("get", "canaryexperiment", "idle", "-o", "json"))["metadata"]
    time.sleep(12.0)
    after = json.loads(cluster.kubectl("get", "canaryexperiment", "idle", "-o", "json"))["metadata"]
    assert before["resourceVersion"] == after["resourceVersion"]
    assert "finalizers" not in after
    assert set(after["annotations"]) == {"kubectl.kubernetes.io/last-applied-configuration"}


def test_deleted_experiment_is_forgotten(cluster: Cluster, running: Operator) -> None:
    """An experiment that never moved traffic goes at once, and the operator counts it no more."""
    cluster.kubectl("apply", "-f", "-", given=experiment("brief", "gone", "gone-next"))
    refused(cluster, "brief")

    def pending() -> float:
        line = next(x for x in running.get("/metrics")[1].splitlines() if x.startswith('serin_experiments{phase="P'))
        return float(line.split()[1])

    before = pending()
    cluster.kubectl("delete", "canaryexperiment", "brief", "--timeout=10s")
    until(lambda: pending() == before - 1, "one experiment less")


def test_sigterm_hands_the_lease_over(cluster: Cluster, running: Operator) -> None:
    """A leader that is told to stop exits with 0 and releases the Lease, and the one that stood by leads at once."""
    assert cluster.holder() == "first"
    with operator(cluster, "second") as other:
        until(lambda: other.get("/readyz")[0] == 200, "standing by is ready")
        assert "serin_leader 0.0" in other.get("/metrics")[1]
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(20) == 0, running.log.read_text()[-3000:]
        assert cluster.holder() != "first", "the Lease was not released, and would have to run out"
        until(other.leads, "the second one leads")
        assert cluster.holder() == "second"
        cluster.kubectl("-n", "serin-system", "delete", "lease", "serin")


def test_lost_lease_ends_the_process(cluster: Cluster) -> None:
    """A leader whose Lease somebody else holds stops with a code of its own, so that kubelet starts it again."""
    with operator(cluster, "third") as leader:
        until(leader.leads, "the third one leads")
        taken = {"spec": {"holderIdentity": "thief", "renewTime": "2100-01-01T00:00:00.000000Z"}}
        cluster.kubectl("-n", "serin-system", "patch", "lease", "serin", "--type=merge", "-p", json.dumps(taken))
        assert leader.process.wait(30) == 3, leader.log.read_text()[-2000:]
        assert cluster.holder() == "thief"
