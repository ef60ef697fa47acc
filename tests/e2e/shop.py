"""What the tests do with the namespace `shop`: start an experiment under load, wait for something, look at the pods."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from tests.demo import install
from tests.demo.experiment import manifest
from tests.demo.follow import Seen, diagnosis, follow, under_load
from tests.demo.kubectl import NAMESPACE, KubectlError, apply, get, kubectl
from tests.load import Load

CONTROL_PODS = 4
"""Enough for the weights 25 and 50, and little enough for a machine with two cores."""
RATE = 10.0
"""Requests a second to each service: enough to judge in half a minute, and room for eight pods that start at once."""
STAGES = [{"name": "canary", "weight": 25, "duration": "30s"}, {"name": "ab", "weight": 50, "duration": "30s"}]
LONG = [{"name": "canary", "weight": 25, "duration": "1h"}, {"name": "ab", "weight": 50, "duration": "1h"}]

GUARDRAILS = {
    "errorRate": {"warn": "0.5%", "max": "1%", "worseThanControl": "10%"},
    # Sixteen pods, their load and the cluster share two cores: latency is noisy, so only a gross change is a fault.
    "latencyP95": {"max": "500ms", "worseThanControl": "100%"},
}

LENIENT = {"errorRate": GUARDRAILS["errorRate"], "latencyP95": {"max": "2500ms", "worseThanControl": "5000%"}}
"""For a release that has to pass: eight pods that start at once slow down all of them for some seconds."""


class Shop:
    """Both services in the cluster, with a load on them while a test runs."""

    def __init__(self, say: install.Say) -> None:
        self.say = say
        self._began = time.monotonic()
        self._said = ""

    @asynccontextmanager
    async def load(self, gateway: str = "") -> AsyncIterator[Load]:
        """Send requests to both services as long as the block runs, through a gateway if there is one."""
        async with under_load(RATE, gateway) as load:
            yield load

    async def clean(self, faults: dict[str, str] | None = None, faulty: str = "recommendation") -> None:
        """Remove all experiments, and bring the services to where an experiment begins."""
        await kubectl("-n", NAMESPACE, "delete", "cex,hpa", "--all", wait=180)
        for service in install.SERVICES:
            await kubectl("-n", NAMESPACE, "scale", f"deployment/{service}", f"--replicas={CONTROL_PODS}")
        await install.reset(self.say, faults, faulty=faulty)

    async def start(self, name: str, **spec: Any) -> None:
        """Apply an experiment with short stages; `spec` replaces whole fields of it."""
        short = {"stages": STAGES, "promotion": {"bake": "20s"}, "guardrails": GUARDRAILS}
        await apply(manifest(name, **{**short, **spec}))

    async def patch(self, name: str, **spec: Any) -> None:
        """Change fields of a spec, as a user would."""
        await kubectl("-n", NAMESPACE, "patch", "cex", name, "--type=merge", "-p", json.dumps({"spec": spec}))

    async def until(self, name: str, wished: Callable[[Seen], bool], *, wait: float = 150.0) -> Seen:
        """Wait until an experiment is as wished; say each change meanwhile.

        Raises:
            AssertionError: it did not come to that in time; the text has `describe` and the operator's log.
        """

        async def on_look(seen: Seen) -> None:
            status = seen.status
            where = f"{name}: {seen.phase} {status.get('stage', '')} {status.get('weight', 0)} %"
            line = f"{where} {status.get('message', '')}"
            if line != self._said:
                self._said = line
                self.say(f"{time.monotonic() - self._began:4.0f}s {line}")

        try:
            return await follow(name, until=wished, on_look=on_look, wait=wait)
        except TimeoutError as error:
            raise AssertionError(f"{error}\n{await diagnosis(name, await install.operator())}") from None

    async def stays(self, name: str, as_it_is: Callable[[Seen], bool], *, seconds: float) -> Seen:
        """Look at an experiment for some time, and fail at the first look at which it isn't `as_it_is`."""
        end = time.monotonic() + seconds

        def looked(seen: Seen) -> bool:
            assert as_it_is(seen), f"{name} did not stay: {seen.phase}, {seen.status.get('message')}"
            return time.monotonic() > end

        return await self.until(name, looked, wait=seconds + 30)

    async def replicas(self) -> dict[str, int]:
        """Return how many pods each Deployment is to have."""
        found = await get("-n", NAMESPACE, "deployments")
        return {item["metadata"]["name"]: item["spec"]["replicas"] for item in found["items"]}

    async def engine(self, deployment: str) -> str:
        """Return the engine that a Deployment's pod template asks for."""
        found = await get("-n", NAMESPACE, "deployment", deployment)
        [container] = found["spec"]["template"]["spec"]["containers"]
        return next(str(entry["value"]) for entry in container["env"] if entry["name"] == "SERIN_ENGINE")

    async def control_alone(self, *, wait: float = 60.0) -> None:
        """Check that control has all pods and the canary none; pods that end may still drain.

        Raises:
            AssertionError: it isn't so within `wait` seconds.
        """
        wanted = {
            f"{service}{end}": n for service in install.SERVICES for end, n in (("", CONTROL_PODS), ("-phase4", 0))
        }
        deadline = time.monotonic() + wait
        while True:
            found = await self.replicas()
            if all(found.get(name) == n for name, n in wanted.items()):
                return
            assert time.monotonic() < deadline, f"wanted {wanted}, found {found}"
            await asyncio.sleep(1)

    async def events(self, name: str, since: datetime) -> list[tuple[str, str, int]]:
        """Return reason, message and count of an experiment's Events that came after `since`."""
        found = await get("-n", NAMESPACE, "events", "--field-selector", f"involvedObject.name={name}")
        rows = []
        for item in found["items"]:
            at = item.get("eventTime") or item.get("firstTimestamp") or item["metadata"]["creationTimestamp"]
            if datetime.fromisoformat(at).astimezone(UTC) >= since:
                rows.append((item["reason"], item.get("message", ""), (item.get("series") or item).get("count") or 1))
        return rows

    async def kill_operator(self) -> None:
        """Kill the operator's pod at once, without a chance to tidy up."""
        namespace, _ = await install.operator()
        pods = ("-n", namespace, "delete", "pod", "-l", install.OPERATOR, "--grace-period=0", "--force")
        await kubectl(*pods, wait=90)

    async def prometheus(self, replicas: int) -> None:
        """Stop or start Prometheus, and wait until it is so."""
        for kind in ("deployment", "statefulset"):
            found = await get(kind, "-A", "--field-selector", "metadata.name=prometheus")
            for item in found["items"]:
                where = ("-n", item["metadata"]["namespace"])
                await kubectl(*where, "scale", kind, "prometheus", f"--replicas={replicas}")
                await kubectl(*where, "rollout", "status", kind, "prometheus", "--timeout=90s", wait=100)
                return
        raise KubectlError("there is no Deployment or StatefulSet called prometheus")
