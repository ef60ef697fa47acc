"""A whole run behind a token: refused until the operator may read it, held when it is gone, and told to nobody."""

import base64
import contextlib
import json
import subprocess
from pathlib import Path

from tests.cluster.places import from_environment
from tests.integration.controller.process import (
    TRAFFIC,
    Cluster,
    experiment,
    exporter,
    kubelet,
    operator,
    refused,
    repeated,
    shop,
    sizes,
    until,
)
from tests.integration.metrics.gate import Gate
from tests.integration.metrics.process import prometheus
from tests.integration.proxy import proxy

TOKEN = "token-that-nobody-may-read"  # noqa: S105 - of this test alone


def condition(cluster: Cluster, kind: str) -> tuple[str, str]:
    """Return status and message of a condition of the experiment `metered`."""
    found = {each["type"]: each for each in cluster.status("metered").get("conditions", ())}
    return found.get(kind, {}).get("status", ""), found.get(kind, {}).get("message", "")


def secret(cluster: Cluster, token: str) -> None:
    """Write the Secret."""
    data = {"token": base64.b64encode(token.encode()).decode()}
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "metered"}, "data": data}
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", given=body)


def test_a_run_behind_a_token(cluster: Cluster, tmp_path: Path) -> None:
    """The right is missing, then the token is wrong, then it counts; without the Secret it holds."""
    cluster.kubectl("-n", "serin-system", "delete", "lease", "serin", "--ignore-not-found")
    shop(cluster, "metered")
    secret(cluster, f"{TOKEN}-of-yesterday")
    port, serve = exporter()
    with contextlib.ExitStack() as stack:
        stack.enter_context(repeated(serve))
        stack.enter_context(repeated(kubelet(cluster)))
        behind = stack.enter_context(prometheus(tmp_path / "data", TRAFFIC.format(port=port)))
        before = stack.enter_context(proxy(behind))
        before.fault = gate = Gate(TOKEN)
        body = experiment(
            "metered",
            "metered",
            "metered-next",
            stages=[{"name": "half", "weight": 50, "duration": "1h"}],
            analysis={"interval": "5s"},
            prometheus={"address": before.address, "bearerTokenFrom": {"name": "metered", "key": "token"}},
        )
        cluster.kubectl("apply", "-f", "-", given=body)
        running = stack.enter_context(operator(cluster, "metered"))
        until(running.leads, f"the operator leads: {running.log.read_text()[-500:]}", 90)
        commands = refused(cluster, "metered").partition("writes: ")[2]
        assert sizes(cluster, "metered") == (2, 0)
        kubectl = f"{from_environment().bin / 'kubectl'} --kubeconfig={cluster.admin} "
        done = subprocess.run(["sh", "-c", commands.replace("kubectl ", kubectl)], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        until(lambda: "answered 401" in condition(cluster, "Accepted")[1], "the old token is refused", 60)
        secret(cluster, TOKEN)
        until(lambda: cluster.status("metered").get("verdict") == "Healthy", "looks are counted", 120)
        cluster.kubectl("delete", "secret", "metered")
        gate.right = "another"
        gone = "there is no Secret metered in namespace default"
        until(lambda: gone in cluster.status("metered")["message"], "it holds, and says why", 60)
        assert condition(cluster, "MetricsAvailable")[0] == "False"
        assert cluster.status("metered")["phase"] == "Holding"
        assert sizes(cluster, "metered") == (1, 1), "neither promoted nor rolled back"
        gate.right = TOKEN
        secret(cluster, TOKEN)
        until(lambda: cluster.status("metered")["phase"] == "Progressing", "it goes on", 60)
        told = [running.log.read_text(), running.get("/metrics")[1], json.dumps(cluster.status("metered"))]
        told += [cluster.kubectl("get", "events,cex", "-A", "-o", "yaml")]
        told += [cluster.kubectl("describe", "cex", "metered")]
    assert "there is no Secret" in "".join(told)
    assert not any(TOKEN in each or base64.b64encode(TOKEN.encode()).decode()[:16] in each for each in told)
