"""The API client against a real API server: fences, refusals, ownership, the Lease."""

import os
import secrets
import socket
import subprocess
import sys
import time
from typing import Any

import pytest
from kubernetes import client

from serin.engine.decision import EventNote
from serin.kube.client import Kube
from serin.kube.deployments import Deployments, template_hash
from serin.kube.errors import Conflict, Forbidden, Invalid, KubeError, NotFound, Unavailable
from serin.kube.events import emit
from serin.kube.lease import LeaderLease
from serin.kube.status import patch_status, set_finalizer
from tests.integration.cluster_plane import Plane
from tests.integration.shapes import deployment, experiment, patched, until

APPS, CEX = "apps/v1", "serin.dev/v1alpha1"


def put(kube: Kube, namespace: str, body: dict[str, Any]) -> dict[str, Any]:
    """Create a Deployment; the object."""
    return kube.create(APPS, "deployments", namespace, body)


def test_each_refusal_has_its_class(kube: Kube, plane: Plane, namespace: str) -> None:
    """404, 409, 422 and 401 are told apart, with status, reason and the server's sentence."""
    with pytest.raises(NotFound, match="not found") as absent:
        kube.get(APPS, "deployments", namespace, "nothing")
    assert (absent.value.status, absent.value.reason) == (404, "NotFound")
    put(kube, namespace, deployment("shop"))
    with pytest.raises(Conflict) as again:
        put(kube, namespace, deployment("shop"))
    assert again.value.reason == "AlreadyExists"
    with pytest.raises(Invalid, match=r"spec\.replicas"):
        put(kube, namespace, deployment("bad", -1))
    stranger = plane.connect("wrong")
    with pytest.raises(Forbidden):
        stranger.get(APPS, "deployments", namespace, "shop")
    stranger.close()


def test_no_answer_is_unavailable_and_bounded() -> None:
    """A refused connection and a server that accepts and stays silent both end as Unavailable with status 0."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        settings = client.Configuration(host=f"http://127.0.0.1:{closed.getsockname()[1]}")
        settings.retries = 0
        kube = Kube(client.ApiClient(settings))
        calls: list[tuple[str, str, int, float]] = []
        kube.on_call = lambda *call: calls.append(call)
        with pytest.raises(Unavailable) as refused:
            kube.list("v1", "pods")
        assert refused.value.status == 0
        assert [call[:3] for call in calls] == [("LIST", "pods", 0)]
        closed.listen()
        begun = time.monotonic()
        with pytest.raises(Unavailable):
            kube.list("v1", "pods")
        assert 9 < time.monotonic() - begun < 14
        kube.close()


def test_list_reads_every_page(kube: Kube, namespace: str) -> None:
    """A list longer than a page is complete, has no object twice, and obeys its selector."""
    for number in range(7):
        body = {"metadata": {"name": f"c{number}", "labels": {"odd": str(number % 2)}}}
        kube.create("v1", "configmaps", namespace, body)
    found = kube.list("v1", "configmaps", namespace, limit=2)
    assert sorted(each["metadata"]["name"] for each in found if each["metadata"]["name"].startswith("c")) == [
        f"c{number}" for number in range(7)
    ]
    assert len(kube.list("v1", "configmaps", namespace, label_selector="odd=1", limit=1)) == 3


def test_a_stale_reader_cannot_scale(kube: Kube, namespace: str) -> None:
    """Scaling on an object whose spec has changed is a Conflict; a status that moved is not."""
    deployments = Deployments(kube)
    old = put(kube, namespace, deployment("shop", 3))
    until(
        "the controller has seen it",
        lambda: "observedGeneration" in (deployments.find(namespace, "shop") or {})["status"],
    )
    new = deployments.scale(old, 5)
    assert new["spec"]["replicas"] == 5
    with pytest.raises(Conflict):
        deployments.scale(old, 1)
    with pytest.raises(Conflict):
        deployments.set_template(old, old["spec"]["template"])
    fresh = deployments.find(namespace, "shop") or {}
    with pytest.raises(Invalid):
        deployments.scale(fresh, -1)
    kube.delete(APPS, "deployments", namespace, "shop")
    put(kube, namespace, deployment("shop", 3))
    with pytest.raises(Conflict):
        deployments.scale(old, 0)


def test_the_canary_is_made_once_and_follows_its_patch(kube: Kube, namespace: str) -> None:
    """A canary from a patch starts without pods, is not made again, and gets a changed patch."""
    deployments = Deployments(kube)
    control, owner = put(kube, namespace, deployment("shop", 3)), experiment(kube, namespace)
    patch = {"spec": {"containers": [{"name": "main", "image": "shop:2"}]}}
    deployments.ensure_canary(namespace, patched(patch), owner)
    made = deployments.find(namespace, "shop-canary") or {}
    assert made["spec"]["replicas"] == 0
    assert made["spec"]["template"]["spec"]["containers"][0]["image"] == "shop:2"
    assert made["spec"]["template"]["spec"]["containers"][0]["env"] == [{"name": "A", "value": "1"}]
    assert made["spec"]["selector"]["matchLabels"] == {"app": "shop", "serin.dev/variant": "canary"}
    deployments.ensure_canary(namespace, patched(patch), owner)
    same = deployments.find(namespace, "shop-canary") or {}
    assert same["metadata"]["generation"] == made["metadata"]["generation"]
    deployments.scale(same, 2)
    patch["spec"]["containers"][0]["image"] = "shop:3"
    deployments.ensure_canary(namespace, patched(patch), owner)
    other = deployments.find(namespace, "shop-canary") or {}
    assert other["spec"]["template"]["spec"]["containers"][0]["image"] == "shop:3"
    assert other["spec"]["replicas"] == 2
    unchanged = deployments.find(namespace, "shop") or {}
    assert unchanged["metadata"]["generation"] == control["metadata"]["generation"]


def test_overlapping_selectors_take_no_pods(kube: Kube, namespace: str) -> None:
    """Control's selector matches the canary's pods too, and neither Deployment takes pods of the other."""
    deployments = Deployments(kube)
    put(kube, namespace, deployment("shop", 2))
    deployments.ensure_canary(
        namespace, patched({"spec": {"terminationGracePeriodSeconds": 5}}), experiment(kube, namespace)
    )
    deployments.scale(deployments.find(namespace, "shop-canary") or {}, 3)

    def sizes() -> tuple[int, int]:
        both = [deployments.find(namespace, name) or {} for name in ("shop", "shop-canary")]
        return both[0]["status"].get("replicas", 0), both[1]["status"].get("replicas", 0)

    until("2 and 3 pods", lambda: sizes() == (2, 3))
    time.sleep(1)
    assert sizes() == (2, 3)
    assert len(kube.list("v1", "pods", namespace)) == 5


def test_a_canary_of_somebody_else_is_left_alone(kube: Kube, namespace: str) -> None:
    """A Deployment with the canary's name is neither changed nor deleted unless the experiment owns it."""
    deployments = Deployments(kube)
    put(kube, namespace, deployment("shop", 3))
    before, owner = put(kube, namespace, deployment("shop-canary", 3, role="mine")), experiment(kube, namespace)
    with pytest.raises(Conflict, match="not of this experiment"):
        deployments.ensure_canary(namespace, patched({"spec": {"hostname": "x"}}), owner)
    deployments.remove_canary(namespace, "shop-canary", owner["metadata"]["uid"])
    after = deployments.find(namespace, "shop-canary") or {}
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["spec"]["replicas"] == 0
    assert template_hash(after["spec"]["template"]) == template_hash(before["spec"]["template"])


def test_own_canary_is_deleted(kube: Kube, namespace: str) -> None:
    """The canary that the experiment made is deleted, twice without a complaint."""
    deployments = Deployments(kube)
    put(kube, namespace, deployment("shop", 3))
    owner = experiment(kube, namespace)
    deployments.ensure_canary(namespace, patched({"spec": {"hostname": "x"}}), owner)
    deployments.remove_canary(namespace, "shop-canary", owner["metadata"]["uid"])
    assert deployments.find(namespace, "shop-canary") is None
    deployments.remove_canary(namespace, "shop-canary", owner["metadata"]["uid"])


def test_the_first_kept_template_stays(kube: Kube, namespace: str) -> None:
    """A second keep does not overwrite; restoring gives control its template back; forgetting can be repeated."""
    deployments = Deployments(kube)
    first, owner = put(kube, namespace, deployment("shop", 3)), experiment(kube, namespace)
    deployments.keep_template(namespace, "try-shop-1", first, owner)
    changed = deployments.set_template(first, deployment("shop", image="shop:2")["spec"]["template"])
    deployments.keep_template(namespace, "try-shop-1", changed, owner)
    kept = deployments.kept_template(namespace, "try-shop-1")
    assert kept is not None
    restored = deployments.set_template(changed, kept)
    assert template_hash(restored["spec"]["template"]) == template_hash(first["spec"]["template"])
    deployments.forget_template(namespace, "try-shop-1")
    deployments.forget_template(namespace, "try-shop-1")
    assert deployments.kept_template(namespace, "try-shop-1") is None


def test_status_and_finalizer_are_fenced(kube: Kube, namespace: str) -> None:
    """A stale status or finalizer is a Conflict; other finalizers stay."""
    obj = experiment(kube, namespace)
    meta = obj["metadata"]
    new = patch_status(kube, namespace, "try", {"phase": "Pending", "message": "x"}, meta["resourceVersion"])
    assert new["status"]["phase"] == "Pending"
    assert new["metadata"]["generation"] == meta["generation"]
    with pytest.raises(Conflict):
        patch_status(kube, namespace, "try", {"phase": "Failed"}, meta["resourceVersion"])
    with pytest.raises(Conflict):
        set_finalizer(kube, obj, present=True)
    other = kube.patch(CEX, "canaryexperiments", namespace, "try", {"metadata": {"finalizers": ["example.com/theirs"]}})
    both = set_finalizer(kube, other, present=True)
    assert both["metadata"]["finalizers"] == ["example.com/theirs", "serin.dev/restore"]
    left = set_finalizer(kube, both, present=False)
    assert left["metadata"]["finalizers"] == ["example.com/theirs"]
    kube.patch(CEX, "canaryexperiments", namespace, "try", {"metadata": {"finalizers": None}})


def test_events_are_written_and_never_raise(kube: Kube, plane: Plane, namespace: str) -> None:
    """An Event is readable as kubectl describe reads it, cut to its limit; a refused one is only logged."""
    obj = experiment(kube, namespace)
    emit(kube, obj, EventNote("Warning", "RolledBack", "m" * 3000), "operator-1")
    found = kube.list("v1", "events", namespace)
    assert [(each["type"], each["reason"], len(each["message"])) for each in found] == [("Warning", "RolledBack", 1024)]
    assert found[0]["involvedObject"]["uid"] == obj["metadata"]["uid"]
    stranger = plane.connect("wrong")
    emit(stranger, obj, EventNote("Normal", "Promoted", "m"), "operator-1")
    stranger.close()
    assert len(kube.list("v1", "events", namespace)) == 1


def test_one_leader_at_a_time(kube: Kube, namespace: str) -> None:
    """The second gets the lease only after a release, or after it saw the lease unchanged for its duration."""
    name = f"lease-{secrets.token_hex(3)}"
    one, two = (LeaderLease(kube, namespace, name, each, duration=2) for each in ("one", "two"))
    assert one.acquire()
    assert one.held()
    assert not two.acquire()
    assert not two.held()
    time.sleep(1.2)
    assert one.acquire()
    time.sleep(1.2)
    assert not two.acquire(), "it was renewed in between"
    until("the first stopped acting", lambda: not one.held())
    assert not two.acquire(), "the first stops before the second may start"
    until("the lease has expired", two.acquire, 5)
    assert not one.acquire()
    assert not one.held()
    two.release()
    assert not two.held()
    assert one.acquire()


def test_a_lease_is_renewed_by_one_call(kube: Kube, namespace: str) -> None:
    """Its holder need not read it again; that somebody else wrote it is noticed nevertheless."""
    lease = LeaderLease(kube, namespace, "mine", "one", duration=15)
    assert lease.acquire()
    calls: list[str] = []
    kube.on_call = lambda verb, *_: calls.append(verb)
    assert lease.acquire()
    assert lease.acquire()
    assert calls == ["PATCH", "PATCH"]
    theirs = {"spec": {"holderIdentity": "two", "renewTime": "2100-01-01T00:00:00.000000Z"}}
    kube.patch("coordination.k8s.io/v1", "leases", namespace, "mine", theirs)
    assert not lease.acquire()
    assert not lease.held()
    kube.on_call = None


def test_an_unreachable_server_ends_leadership_in_time(kube: Kube, namespace: str) -> None:
    """Without renewals `held` turns False before the duration is over, whatever the API server does."""
    lease = LeaderLease(kube, namespace, "cut-off", "one", duration=15)
    begun = time.monotonic()
    assert lease.acquire()
    assert lease.held(begun + 9.9)
    assert not lease.held(begun + 15)


def test_errors_hold_no_credentials(plane: Plane) -> None:
    """No error's text has the token in it."""
    kube = plane.connect("a-very-secret-token")
    with pytest.raises(KubeError) as refused:
        kube.list("v1", "secrets")
    assert "a-very-secret-token" not in f"{refused.value!r} {refused.value}"
    kube.close()


def test_connect_uses_the_kubeconfig(plane: Plane) -> None:
    """Outside a cluster KUBECONFIG says where the API server is and who asks."""
    code = (
        "from serin.kube.client import Kube; k = Kube.connect(); print(len(k.list('v1', 'namespaces')) > 2); k.close()"
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith("KUBERNETES_SERVICE_")}
    environment["KUBECONFIG"] = str(plane.kubeconfig)
    asked = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert asked.stdout.strip() == "True", asked.stderr
