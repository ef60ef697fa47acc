"""Starts everything, and ends it again whatever happens: control plane, traffic, Prometheus, operator."""

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

from tests.bench.scale.costs import AUDIT, Meters
from tests.bench.scale.past import lines
from tests.bench.scale.traffic import PART
from tests.cluster.places import REPOSITORY
from tests.integration.cluster_plane import Plane, control_plane
from tests.integration.controller.process import Cluster, Operator, cluster_of, operator
from tests.integration.metrics.process import prometheus, prometheus_of
from tests.ports import free_ports

SCRAPE: Final = 15.0
"""Seconds between two scrapes, as usual."""
_STARTS: Final = 30.0
_IMAGE: Final = REPOSITORY / "operator/Dockerfile"
_SETTING: Final = re.compile(r"\b(OPENBLAS_NUM_THREADS|MALLOC_ARENA_MAX|MALLOC_TRIM_THRESHOLD_)=(\S+)")
"""What the operator's image sets and its memory depends on."""

_CONFIG: Final = """\
global: {{scrape_interval: {scrape}ms, scrape_timeout: {scrape}ms}}
scrape_configs:
- job_name: pods
  honor_labels: true
  static_configs:
{parts}
- job_name: operator
  static_configs: [{{targets: ["127.0.0.1:{operator}"]}}]
"""
_PART: Final = '  - {{targets: ["127.0.0.1:{port}"], labels: {{__metrics_path__: /metrics/{index}}}}}'


@dataclass
class Place:
    """Where the experiments are.

    Attributes:
        plane: the control plane.
        cluster: the same with the operator's account and rights.
        meters: what everything uses.
        prometheus: its address.
        traffic: address of the services' metrics.
        operator_port: of the operator's own metrics.
        scrape: seconds between two scrapes.
        started: operators so far.
    """

    plane: Plane
    cluster: Cluster
    meters: Meters
    prometheus: str
    traffic: str
    operator_port: int
    scrape: float = SCRAPE
    started: int = field(default=0)

    @contextlib.contextmanager
    def operator(self) -> Iterator[Operator]:
        """Run the operator, as production does, until the context ends."""
        self.started += 1
        port = self.operator_port
        settings = {"SERIN_PORT": str(port), **dict(_SETTING.findall(_IMAGE.read_text()))}
        with operator(self.cluster, f"operator-{self.started}", **settings) as running:
            self.meters.processes["operator"] = psutil.Process(running.process.pid)
            yield Operator(running.process, port, running.log)

    def tell(self, what: str, body: bytes = b"") -> None:
        """Tell the traffic something."""
        urllib.request.urlopen(f"{self.traffic}{what}", data=body, timeout=60).close()  # noqa: S310 - own address

    def metrics_of_prometheus(self) -> str:
        """Return what Prometheus says about itself."""
        with urllib.request.urlopen(f"{self.prometheus}/metrics", timeout=10) as answer:  # noqa: S310 - own address
            text: str = answer.read().decode()
            return text


@contextlib.contextmanager
def made(most: int, scrape: float = SCRAPE, past: Sequence[int] = ()) -> Iterator[Place]:
    """Start everything but the operator.

    Args:
        most: experiments there will be at the most.
        scrape: seconds between two scrapes.
        past: experiments whose control has had a day of traffic.
    """
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="serin-scale-", ignore_cleanup_errors=True)))
        policy, audit = home / "audit.yaml", home / "audit.log"
        policy.write_text(AUDIT)
        options = (f"--audit-policy-file={policy}", f"--audit-log-path={audit}", "--audit-log-mode=batch")
        plane = stack.enter_context(control_plane(home, managed=False, options=options))
        cluster = cluster_of(plane, home)
        port, operator_port = free_ports(2)
        traffic = stack.enter_context(_traffic(port, home / "traffic.log"))
        parts = [_PART.format(port=port, index=index) for index in range(-(-most // PART))]
        config = _CONFIG.format(scrape=round(scrape * 1000), parts="\n".join(parts), operator=operator_port)
        before = lines(past, time.time() - scrape)
        address = stack.enter_context(
            prometheus_of(home, before, config) if past else prometheus(home / "data", config)
        )
        me = psutil.Process()
        names = {child.name()[:15]: child for child in me.children()}
        processes = {name: names[name[:15]] for name in ("kube-apiserver", "etcd", "prometheus")}
        processes |= {"traffic": psutil.Process(traffic.pid), "bench": me}
        yield Place(
            plane, cluster, Meters(processes, audit), address, f"http://127.0.0.1:{port}", operator_port, scrape
        )


@contextlib.contextmanager
def _traffic(port: int, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-m", "tests.bench.scale.traffic", "--port", str(port)]
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ}) as process:
        try:
            deadline = time.monotonic() + _STARTS
            while True:
                with contextlib.suppress(urllib.error.URLError):
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/size/0", data=b"", timeout=2).close()
                    break
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the traffic did not start: {log.read_text()[-2000:]}")
                time.sleep(0.1)
            yield process
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
