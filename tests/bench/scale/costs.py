"""What everything used between two moments: CPU, memory, requests, queries, looks.

Each figure comes from where it can't be wrong about others: CPU and memory from the kernel, API requests from the API
server's audit log, which tells the operator's from everybody's, queries from Prometheus, looks from the operator.
"""

import json
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil
from prometheus_client.parser import text_string_to_metric_families

PROGRAMS: Final = ("operator", "kube-apiserver", "etcd", "prometheus", "traffic", "bench")
_QUERIES: Final = ("/api/v1/query", "/api/v1/query_range")

AUDIT: Final = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: Metadata, users: ["system:serviceaccount:serin-system:serin"]}
- {level: None}
"""
"""An audit policy that notes the operator's requests alone."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Counters at one moment.

    Attributes:
        at: monotonic seconds.
        cpu: seconds of CPU by program, and `machine` for all there were.
        rss: bytes by program.
        calls: the operator's API requests by (verb, resource), from the audit log.
        told: the same from the operator's own metrics.
        queries: that Prometheus answered.
        own: the operator's metrics: sample's name and labels -> value.
    """

    at: float
    cpu: dict[str, float]
    rss: dict[str, int]
    calls: Counter[tuple[str, str]]
    told: Counter[tuple[str, str]]
    queries: float
    own: dict[tuple[str, tuple[tuple[str, str], ...]], float]

    def total(self, name: str, **labels: str) -> float:
        """The sum of the operator's samples with these labels."""
        wanted = labels.items()
        return sum(value for (key, have), value in self.own.items() if key == name and wanted <= dict(have).items())


@dataclass(slots=True)
class Meters:
    """Where the counters are.

    Attributes:
        processes: by program.
        audit: the API server's audit log.
        read: bytes of it that are counted already.
    """

    processes: dict[str, psutil.Process]
    audit: Path
    read: int = 0
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)

    def now(self, operator: str, prometheus: str) -> Moment:
        """Read all of them; given the texts of the two pages of metrics."""
        self._read_audit()
        own = samples(operator)
        theirs = samples(prometheus)
        told: Counter[tuple[str, str]] = Counter()
        for (name, labels), value in own.items():
            if name == "serin_api_requests_total":
                found = dict(labels)
                told[found["verb"].lower(), found["resource"]] += round(value)
        cpu, rss = {}, {}
        for name, process in self.processes.items():
            with process.oneshot():
                times = process.cpu_times()
                cpu[name], rss[name] = times.user + times.system, process.memory_info().rss
        machine = psutil.cpu_times()
        cpu["machine"] = sum(machine[:8]) - machine.idle - machine.iowait  # guests are in user already
        queries = sum(
            value
            for (name, labels), value in theirs.items()
            if name == "prometheus_http_requests_total" and dict(labels)["handler"] in _QUERIES
        )
        return Moment(time.monotonic(), cpu, rss, Counter(self.calls), told, queries, own)

    def _read_audit(self) -> None:
        with self.audit.open("rb") as file:
            file.seek(self.read)
            text = file.read()
        whole, newline, _ = text.rpartition(b"\n")
        self.read += len(whole) + len(newline)
        for line in whole.splitlines():
            event = json.loads(line)
            # A watch is answered once it has begun; its end is not another request.
            if event["verb"] == "watch" and event["stage"] != "ResponseStarted":
                continue
            if event["verb"] != "watch" and event["stage"] != "ResponseComplete":
                continue
            ref = event.get("objectRef") or {}
            resource = "/".join(filter(None, (ref.get("resource", event["requestURI"]), ref.get("subresource"))))
            self.calls[event["verb"], resource] += 1


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample of a page of metrics."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@dataclass(frozen=True, slots=True)
class Used:
    """What was used between two moments."""

    before: Moment
    after: Moment

    @property
    def seconds(self) -> float:
        """Between them."""
        return self.after.at - self.before.at

    def cores(self, program: str) -> float:
        """CPU of a program; `others` is everybody who has nothing to do with the bench."""
        if program == "others":
            return max(
                0.0, self.cores("machine") - sum(self.cores(each) for each in self.before.cpu if each != "machine")
            )
        return (self.after.cpu[program] - self.before.cpu[program]) / self.seconds

    def rss(self, program: str) -> float:
        """MiB at the end."""
        return self.after.rss[program] / 2**20

    def calls(self) -> Counter[tuple[str, str]]:
        """The operator's API requests by (verb, resource), from the audit log."""
        return self.after.calls - self.before.calls

    def told(self) -> Counter[tuple[str, str]]:
        """The same without watches, as the operator counts them itself."""
        return self.after.told - self.before.told

    def queries(self) -> float:
        """Queries to Prometheus per second."""
        return (self.after.queries - self.before.queries) / self.seconds

    def rose(self, name: str, **labels: str) -> float:
        """What one of the operator's counters rose by."""
        return self.after.total(name, **labels) - self.before.total(name, **labels)

    def quantile(self, histogram: str, share: float) -> float:
        """The upper edge of the bucket in which a quantile of a histogram lies: never less than the quantile."""
        name, counts = f"{histogram}_bucket", {}
        for (key, labels), value in self.after.own.items():
            if key == name:
                counts[float(dict(labels)["le"])] = value - self.before.own.get((key, labels), 0.0)
        edges = sorted(counts)
        if not edges or not counts[edges[-1]]:
            return float("nan")
        return next(edge for edge in edges if counts[edge] >= share * counts[edges[-1]])
