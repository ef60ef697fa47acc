"""A fault and the operators that have it: processes behind their own proxies, three experiments, and what must not be.

Each trial has a namespace and a Lease of its own, so that many run at once on one control plane. An operator that ends
is started again, as kubelet does.
"""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import yaml

from serin.api.names import API_VERSION, PLURAL
from serin.engine.wording import unix
from serin.kube.errors import KubeError
from tests.cluster.places import REPOSITORY
from tests.integration.controller.mortal import Life
from tests.integration.controller.process import Cluster, Operator, operator, operators_config, until
from tests.integration.controller.scene import Scene, Version
from tests.integration.proxy import Proxy, proxy

STAGE: Final = 15.0
KINDS: Final[dict[str, dict[str, Any]]] = {
    "good": {"stages": [{"name": "half", "weight": 50, "duration": f"{STAGE:g}s"}]},
    "bad": {"stages": [{"name": "half", "weight": 50, "duration": "1h"}]},
    "long": {"stages": [{"name": "half", "weight": 50, "duration": "1h"}]},
}
"""One that is promoted through the fault, one whose canary fails when the fault begins, one that stays where it is."""
_ENDED: Final = frozenset({"Succeeded", "RolledBack", "Failed"})


@dataclass
class Supervised:
    """An operator that is started again when it ends.

    Attributes:
        name: Of its pod.
        proxy: What stands between it and the API server.
        effects: What its writes have changed.
        writes: Monotonic time of each of its writes to anything but the Lease and Events.
        runs: Its processes, the present one last.
    """

    name: str
    proxy: Proxy = field(init=False)
    effects: Life = field(default_factory=Life)
    writes: list[float] = field(default_factory=list)
    runs: list[Operator] = field(default_factory=list)
    exits: list[int] = field(default_factory=list)

    def told(self, method: str, path: str, body: Any, status: int) -> None:
        """One write that the API server has answered."""
        plural = next((each for each in _KINDS_OF_OBJECTS if f"/{each}" in path), "")
        if status >= 400 or plural in {"", "leases", "events"}:
            return
        self.writes.append(time.monotonic())
        self.effects.effect(method, plural, path.removesuffix("/"), body)

    @property
    def now(self) -> Operator:
        """Its present process."""
        return self.runs[-1]

    @contextlib.contextmanager
    def running(self, cluster: Cluster, *program: str, **settings: str) -> Iterator[None]:
        """Keep it running until the context ends."""
        ended = threading.Event()

        def keep() -> None:
            while not ended.is_set():
                with operator(cluster, f"{self.name}-{len(self.runs)}", *program, **settings) as one:
                    self.runs.append(one)
                    while one.process.poll() is None and not ended.wait(0.2):
                        pass
                if not ended.is_set():
                    self.exits.append(one.process.returncode)
                    ended.wait(1.0)  # kubelet's first back-off is longer

        thread = threading.Thread(target=keep, daemon=True)
        thread.start()
        try:
            until(lambda: self.runs, f"{self.name} runs")
            yield
        finally:
            ended.set()
            thread.join(30)

    @property
    def log(self) -> str:
        """What all of its processes have said."""
        return "".join(each.log.read_text() for each in self.runs)

    @property
    def complaints(self) -> str:
        """What they have warned of, and how often; the longest first of what was said most."""
        found: Counter[str] = Counter()
        for row in self.log.splitlines():
            said = msgspec.json.decode(row) if row.startswith("{") else {}
            if said.get("level") in {"warning", "error"}:
                found[f"{said['event']}{': ' if said.get('error') else ''}{said.get('error', '')}"[:110]] += 1
        texts = [f"{text} ({count}x)" for text, count in found.most_common(2)]
        ended = [f"ended with {', '.join(map(str, self.exits))} and was started again"] if self.exits else []
        return "; ".join([*texts, *ended])


_KINDS_OF_OBJECTS: Final = (PLURAL, "deployments", "controllerrevisions", "leases", "events")


@dataclass
class Trial:
    """One fault.

    Attributes:
        name: Of the fault; of the namespace too.
        scene: Where everything is.
        cluster: The same, for processes.
        seconds: How long the fault lasts.
        strike: Begins it.
        heal: Ends it.
        operators: How many there are; the others stand by.
        program: What Python runs instead of the operator's own entry.
    """

    name: str
    scene: Scene
    cluster: Cluster
    seconds: float
    strike: Callable[["Trial"], None]
    heal: Callable[["Trial"], None]
    operators: int = 1
    program: tuple[str, ...] = ()
    ready: list[Supervised] = field(default_factory=list)
    said: str = ""
    recovered: float = 0.0
    statuses: dict[str, dict[str, Any]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    struck: float = 0.0
    healed: float = 0.0

    @property
    def namespace(self) -> str:
        """Where its experiments are."""
        return "fault-" + "".join(sign if sign.isalnum() else "-" for sign in self.name.lower())

    @property
    def leader(self) -> Supervised:
        """The one that leads first."""
        return self.ready[0]

    def run(self) -> None:
        """The whole trial; what became of it is in its attributes."""
        with contextlib.ExitStack() as stack:
            self._begin(stack)
            self.in_stage("bad", "long")
            self.scene.traffic.versions[self.namespace, "bad", "canary"] = Version(errors=0.3)
            self.scene.experiment(self.namespace, "good", "good", **KINDS["good"])
            if self.name != "none":
                self.in_stage("good")
            self.struck = time.time()
            self.strike(self)
            self._wait()
            self.heal(self)
            self.healed = time.time()
            self._recover()
        self.scene.traffic.close(self.namespace)

    def status(self, kind: str) -> dict[str, Any]:
        """The status of an experiment; empty while the API server is busy."""
        try:
            found: dict[str, Any] = self.scene.admin.get(API_VERSION, PLURAL, self.namespace, kind).get("status") or {}
        except KubeError:
            return {}
        return found

    def in_stage(self, *kinds: str) -> None:
        """Wait until the stage's split is counted."""
        for kind in kinds:
            until(lambda kind=kind: self.status(kind).get("countedUntil"), f"{self.name}: {kind} counts", 240)

    def _begin(self, stack: contextlib.ExitStack) -> None:
        self.scene.create("v1", "namespaces", None, {"metadata": {"name": self.namespace}})
        self._rights()
        for number in range(self.operators):
            one = Supervised(f"{self.namespace}-{number}")
            one.proxy = stack.enter_context(proxy(self.cluster_host, self.scene.plane.ca, one.told))
            config = operators_config(self.scene.plane, self.cluster.logs / f"{one.name}.config", one.proxy.address)
            settings = {"KUBECONFIG": str(config), "POD_NAMESPACE": self.namespace, "SERIN_NAMESPACE": self.namespace}
            stack.enter_context(one.running(self.cluster, *self.program, **settings, POD_NAME=one.name))
            if not number:
                until(lambda one=one: one.now.leads(), f"{one.name} leads", 240)
            self.ready.append(one)
        for kind in ("bad", "long", "good"):
            self.scene.open(self.namespace, kind)
        for kind in ("bad", "long"):
            self.scene.experiment(self.namespace, kind, kind, **KINDS[kind])

    @property
    def cluster_host(self) -> str:
        """The API server itself."""
        return self.scene.plane.host

    def _rights(self) -> None:
        """The Lease's Role, as the manifest has it, in the namespace of this trial."""
        manifest = (REPOSITORY / "manifests/base/rbac.yaml").read_text()
        api = "rbac.authorization.k8s.io/v1"
        for each in yaml.safe_load_all(manifest):
            if each["kind"] in {"Role", "RoleBinding"}:
                each["metadata"]["namespace"] = self.namespace
                self.scene.create(api, f"{each['kind'].lower()}s", self.namespace, each)

    def _wait(self) -> None:
        """While the fault lasts, keep what the operator says of it."""
        deadline = time.time() + self.seconds
        while time.time() < deadline:
            time.sleep(1.0)
            self.said = self.status("long").get("message", self.said)

    def _recover(self) -> None:
        """Wait until everything is as it should be; a busy machine takes its time."""
        ends = {"good": "Succeeded", "bad": "RolledBack", "long": "Progressing"}
        deadline = time.time() + 480
        while time.time() < deadline:
            self.statuses |= {kind: found for kind in KINDS if (found := self.status(kind))}
            over = all(self.statuses[kind].get("phase") == phase for kind, phase in ends.items())
            fresh = unix(self.statuses["long"].get("countedUntil", "")) > self.healed
            if over and (fresh or self.name == "none"):
                break
            time.sleep(1.0)
        self.recovered = time.time() - self.healed
        time.sleep(3.0)  # whoever would repeat an act does it now
