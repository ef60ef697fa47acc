"""The cluster's life: created, healed, filled with images, deleted.

Whatever an earlier run left behind is brought to the wanted state: a stopped node is started, a node that doesn't get
ready is made anew, a lost kubeconfig is written again.
"""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.cluster import bases, binaries, daemon, node, source, versions
from tests.cluster.places import KIND_CONFIG
from tests.cluster.shell import Shell, StepError, answer, succeeds
from tests.cluster.steps import Step

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.cluster.places import Places

NAME = "serin"
NODE = f"{NAME}-control-plane"
READY_TIMEOUT = "120s"
RESTART_TIMEOUT = 120.0
COREDNS = "deployment/coredns"
KUBE_PROXY_CPU = "20m"
PROJECT_IMAGES = ("serin/operator:dev", "serin/recommendation:dev", "serin/conversation:dev")


@dataclass(frozen=True)
class Cluster:
    """The kind cluster of this machine."""

    places: Places

    def kubectl(self, *arguments: str) -> list[str]:
        """Return a kubectl command for this cluster, and no other."""
        return [str(self.places.bin / "kubectl"), "--kubeconfig", str(self.places.kubeconfig), *arguments]

    def ready(self) -> bool:
        """Tell whether the API answers, the node is ready, and CoreDNS is, since the node's last start.

        After a restart the API repeats for a while what was true before, so CoreDNS's own start has to be newer.
        """
        started = answer("docker", "container", "inspect", "-f", "{{.State.Running}} {{.State.StartedAt}}", NODE) or ""
        if not started.startswith("true "):
            return False
        path = "jsonpath={.items[*].status.conditions[?(@.type=='Ready')].status}"
        if answer(*self.kubectl("get", "nodes", "--request-timeout=5s", "-o", path), timeout=10) != "True":
            return False
        field = ".status.containerStatuses[0]"
        path = f"jsonpath={{range .items[*]}}{{{field}.ready}} {{{field}.state.running.startedAt}}{{'\\n'}}{{end}}"
        pods = self.kubectl(
            "get", "pods", "-n", "kube-system", "-l", "k8s-app=kube-dns", "--request-timeout=5s", "-o", path
        )
        return any_ready_since(answer(*pods, timeout=10) or "", started.split()[1])

    def steps(self) -> list[Step]:
        """Return the steps from images to a ready cluster."""
        return [
            Step("kind-create", "creates the cluster, or starts the one that is stopped", 30, self.ready, self._create),
            Step("kind-egress", "keeps traffic of pods on this machine", 1, self._egress_done, self._egress),
            Step("kind-shares", "gives kube-proxy a share of the CPU", 10, self._shares_done, self._shares),
            self.load_step("kind-load-usual", [versions.prometheus_image()], 10),
        ]

    def _shares_done(self) -> bool:
        # Another kind of cluster is its owner's.
        if not self._built_node():
            return True
        path = "jsonpath={.spec.template.spec.containers[0].resources.requests.cpu}"
        asked = answer(*self.kubectl("-n", "kube-system", "get", "daemonset/kube-proxy", "-o", path))
        path = "jsonpath={.spec.replicas}"
        return asked == KUBE_PROXY_CPU and answer(*self.kubectl("-n", "kube-system", "get", COREDNS, "-o", path)) == "1"

    def _shares(self, shell: Shell) -> None:
        """Let kube-proxy keep up while pods start, and free the place that a second CoreDNS would take on one node.

        kubeadm gives kube-proxy no request, so under load everything goes before it, and Services lead to pods that
        have ended.
        """
        asks = f"--requests=cpu={KUBE_PROXY_CPU}"
        shell.run(*self.kubectl("-n", "kube-system", "set", "resources", "daemonset/kube-proxy", asks))
        shell.run(*self.kubectl("-n", "kube-system", "scale", COREDNS, "--replicas=1"))
        self._wait(shell)

    def load_step(self, name: str, tags: Iterable[str], usual: float) -> Step:
        """Return the step that puts those of the named images that exist here into the node, where it lacks them."""
        wanted = list(tags)

        def missing() -> list[str]:
            local = {tag: identity for tag in wanted if (identity := daemon.image_id(tag))}
            return lacking(answer("docker", "exec", NODE, "ctr", "-n", "k8s.io", "images", "ls") or "", local)

        def run(shell: Shell) -> None:
            for tag in missing():
                shell.say(f"loads {tag}")
                self._kind(shell, "load", "docker-image", tag, "--name", NAME)

        return Step(name, "puts images into the node that it doesn't have", usual, lambda: not missing(), run)

    def delete(self, shell: Shell) -> None:
        """Delete the cluster; everything it was made from stays."""
        outer = _outer_interface()
        for rule in self._egress_rules(outer):
            if succeeds("iptables", "-C", *rule):
                shell.output("iptables", "-D", *rule)
        if (self.places.bin / "kind").exists():
            self._kind(shell, "delete", "cluster", "--name", NAME)
        else:  # the cache was removed before the cluster: the node's container is all that there is to delete
            shell.run("docker", "rm", "-f", "-v", NODE)
        self.places.kubeconfig.unlink(missing_ok=True)

    def _kind(self, shell: Shell, *arguments: str) -> None:
        env = {**binaries.environment(self.places), "KUBECONFIG": str(self.places.kubeconfig)}
        shell.run(self.places.bin / "kind", *arguments, env=env)

    def _create(self, shell: Shell) -> None:
        state = daemon.container_state(NODE)
        if state is not None:
            if self._revived(shell, state):
                return
            shell.say("the cluster of an earlier run doesn't get ready, so it is made anew")
            self._kind(shell, "delete", "cluster", "--name", NAME)
        self._kind(shell, "create", "cluster", "--config", str(KIND_CONFIG), "--image", node_image())
        self._wait(shell)

    def _revived(self, shell: Shell, state: str) -> bool:
        try:
            if state != "running":
                shell.say(f"the node is {state}: starts it")
                shell.run("docker", "start", NODE)
            self._kind(shell, "export", "kubeconfig", "--name", NAME)
            self._wait(shell)
        except StepError:
            return False
        return True

    def _wait(self, shell: Shell) -> None:
        def patiently(*arguments: str) -> None:
            # A node that has just started refuses connections for some seconds, which ends `kubectl wait` at once.
            command = " ".join(f"'{part}'" for part in self.kubectl(*arguments))
            script = f"for i in $(seq 40); do {command} && exit 0; sleep 2; done; exit 1"
            shell.run("sh", "-c", script, timeout=180, why="The cluster did not get ready in three minutes.")

        patiently("wait", "--for=condition=Ready", "node", "--all", f"--timeout={READY_TIMEOUT}")
        for workload in ("daemonset/kube-proxy", COREDNS):
            patiently("-n", "kube-system", "rollout", "status", workload, f"--timeout={READY_TIMEOUT}")
        end = time.monotonic() + RESTART_TIMEOUT
        while not self.ready():
            if time.monotonic() > end:
                raise StepError("CoreDNS did not get ready again after the node's start.", shell.log)
            time.sleep(1)

    def _egress_rules(self, outer: str) -> list[list[str]]:
        network = answer("docker", "network", "inspect", "-f", "{{.Id}}", "kind")
        if not network or not outer:
            return []
        return [["DOCKER-USER", "-i", f"br-{network[:12]}", "-o", outer, "-j", "REJECT"]]

    def _egress_done(self) -> bool:
        # A cluster of the usual node image is any kind cluster: its node may pull.
        if not self._built_node():
            return True
        return all(succeeds("iptables", "-C", *rule) for rule in self._egress_rules(_outer_interface()))

    def _egress(self, shell: Shell) -> None:
        for rule in self._egress_rules(_outer_interface()):
            shell.output("iptables", "-I", *rule)

    def _built_node(self) -> bool:
        return answer("docker", "container", "inspect", "-f", "{{.Config.Image}}", NODE) == versions.node_image()


def node_image() -> str:
    """Return the node image to create the cluster from: the usual one where it was pulled, else ours."""
    return versions.USUAL_NODE_IMAGE if daemon.image_id(versions.USUAL_NODE_IMAGE) else versions.node_image()


def image_steps(places: Places) -> list[Step]:
    """Return the steps after which a node image is there, pulled or built."""
    if daemon.image_id(versions.USUAL_NODE_IMAGE):
        return []
    if daemon.image_key(versions.node_image()) == node.key():
        return []
    if source.pulls():
        return [
            Step(
                "node-pull",
                f"pulls {versions.USUAL_NODE_IMAGE.partition('@')[0]}",
                60,
                lambda: daemon.image_id(versions.USUAL_NODE_IMAGE) is not None,
                lambda shell: shell.run("docker", "pull", versions.USUAL_NODE_IMAGE),
            )
        ]
    debian = bases.steps(places)[:1]
    return [*binaries.steps(places, binaries.ALL), *debian, *node.steps(places)]


def lacking(listing: str, local: dict[str, str]) -> list[str]:
    """Return the tags whose local image the node doesn't have under that name.

    Args:
        listing: what `ctr images ls` prints on the node. The node knows an image by its tag and by its id; it has ours
            when both point at the same content.
        local: the id of each local image by its tag.
    """
    content = {}
    for line in listing.splitlines():
        fields = line.split()
        if len(fields) > 2:
            content[fields[0]] = fields[2]
    missing = []
    for tag, identity in local.items():
        there = content.get(full_name(tag))
        if there is None or there not in {content.get(identity), identity}:
            missing.append(tag)
    return missing


def any_ready_since(pods: str, started: str) -> bool:
    """Tell whether one of the pods, a line `<ready> <started at>` each, is ready and started at `started` or later.

    Both times are RFC 3339 in UTC, one with fractions of a second and one without: whole seconds are compared.
    """
    lines = [line.split() for line in pods.splitlines()]
    return any(len(line) == 2 and line[0] == "true" and line[1][:19] >= started[:19] for line in lines)


def full_name(tag: str) -> str:
    """Return an image's name as containerd writes it: `python:3.11-slim` is `docker.io/library/python:3.11-slim`."""
    first, slash, _ = tag.partition("/")
    if not slash:
        return f"docker.io/library/{tag}"
    return tag if "." in first or ":" in first or first == "localhost" else f"docker.io/{tag}"


def _outer_interface() -> str:
    routes = json.loads(answer("ip", "-j", "route", "show", "default") or "[]") if shutil.which("ip") else []
    return routes[0]["dev"] if routes else ""
