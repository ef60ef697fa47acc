"""An experiment under a real operator and a real Prometheus, with pods that are told to be ready."""

import contextlib
import json
import signal
from pathlib import Path

from tests.integration.controller.process import (
    TRAFFIC,
    Cluster,
    experiment,
    exporter,
    kubelet,
    operator,
    repeated,
    shop,
    sizes,
    until,
)
from tests.integration.metrics.process import prometheus


def test_a_killed_operator_goes_on_and_an_abort_needs_no_prometheus(cluster: Cluster, tmp_path: Path) -> None:
    """After SIGKILL the same run counts on at its weight; an abort without Prometheus gives control all traffic."""
    cluster.kubectl("-n", "serin-system", "delete", "lease", "serin", "--ignore-not-found")
    shop(cluster, "life")
    port, serve = exporter()

    with contextlib.ExitStack() as stack:
        stack.enter_context(repeated(serve))
        stack.enter_context(repeated(kubelet(cluster)))
        measured = stack.enter_context(contextlib.ExitStack())
        address = measured.enter_context(prometheus(tmp_path / "data", TRAFFIC.format(port=port)))
        body = experiment(
            "life",
            "life",
            "life-next",
            stages=[{"name": "half", "weight": 50, "duration": "1h"}],
            analysis={"interval": "5s"},
            prometheus={"address": address},
        )
        cluster.kubectl("apply", "-f", "-", given=body)

        def counted() -> str:
            status = cluster.status("life")
            measuring = status.get("phase") == "Progressing" and status.get("verdict") not in {None, "Insufficient"}
            return str(status["countedUntil"]) if measuring else ""

        with operator(cluster, "same-pod") as killed:
            first = until(counted, f"looks are counted: {killed.log.read_text()[-500:]}", 240)
            run = cluster.status("life")["runId"]
            assert sizes(cluster, "life") == (1, 1)
            killed.process.kill()
            killed.process.wait(10)
        with operator(cluster, "same-pod") as again:
            until(lambda: counted() > first, "counting goes on", 240)
            assert cluster.status("life")["runId"] == run
            assert cluster.status("life")["weight"] == 50
            assert sizes(cluster, "life") == (1, 1)
            measured.close()
            cluster.kubectl("patch", "cex", "life", "--type=merge", "-p", json.dumps({"spec": {"abort": True}}))
            until(lambda: cluster.status("life")["phase"] == "RolledBack", "rolled back without Prometheus", 60)
            assert sizes(cluster, "life") == (2, 0)
            meta = ("get", "cex", "life", "-o", "jsonpath={.metadata.finalizers}")
            until(lambda: cluster.kubectl(*meta) in {"", "[]"}, "nothing is left to restore")
            again.process.send_signal(signal.SIGTERM)
            assert again.process.wait(20) == 0
            assert "Traceback" not in again.log.read_text()
