"""What a look costs: processor time, bytes of state, import time and memory of the hot path."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from serin.stats import LatencyConfig, LatencyLook, Look, RateConfig, decode, encode, judge, start, update, update_all
from tests.bench.statistics.latency import EDGES

if TYPE_CHECKING:
    from collections.abc import Callable

STAGES = (86400.0, 13 * 86400.0)
RATE = RateConfig(0.0125, 0.1, 0.01, 0.005, 100, STAGES)
LATENCY = LatencyConfig(0.0125, 0.05, 0.15, EDGES, 100, STAGES)
LOOKS: dict[Any, Any] = {
    RATE: Look(30.0, 1425, 4, 75, 1),
    LATENCY: LatencyLook(30.0, EDGES, tuple(range(900, 1325, 25)), tuple(range(40, 74, 2)), 1425, 75),
}
EXPERIMENTS = 300


def microseconds(call: Callable[[], object], times: int) -> float:
    """Processor time of a call: the best of three rounds."""
    call()
    best = float("inf")
    for _ in range(3):
        begin = time.process_time()
        for _ in range(times):
            call()
        best = min(best, (time.process_time() - begin) / times * 1e6)
    return best


def measured() -> dict[str, float]:
    """What was measured, by name with its unit."""
    found: dict[str, float] = {}
    states, size = {}, 0
    for config, look in LOOKS.items():
        name = "errors" if isinstance(config, RateConfig) else f"latency, {len(EDGES)} edges"
        state = start(config)
        for _ in range(500):
            state = update(config, state, look)
        states[config] = state
        record = encode(state)
        size += len(record)
        found[f"update, one by one, {name}: us"] = microseconds(lambda c=config, s=state, k=look: update(c, s, k), 200)
        found[f"judge, {name}: us"] = microseconds(lambda c=config, s=state: judge(c, s), 100)
        found[f"encode, {name}: us"] = microseconds(lambda s=state: encode(s), 100)
        found[f"decode, {name}: us"] = microseconds(lambda c=config, r=record: decode(c, r), 100)
    both = [(config, states[config], look) for config, look in LOOKS.items()] * EXPERIMENTS
    found[f"update_all of {EXPERIMENTS} services, a service with both guardrails: us"] = (
        microseconds(lambda: update_all(both), 3) / EXPERIMENTS
    )
    found["state of both guardrails as stored: characters"] = float(size)
    code = (
        "import time;t=time.process_time();import numpy;n=time.process_time();import serin.stats;"
        "m=[l for l in open('/proc/self/status') if l.startswith('VmRSS')][0].split()[1];"
        "print(1000*(time.process_time()-n),1000*(n-t),int(m)/1024)"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    own, numpy, memory = (float(part) for part in out.split())
    found["import of serin.stats after numpy: ms"] = own
    found["import of numpy: ms"] = numpy
    found["memory of a process with both: MiB"] = memory
    return found
