"""The bench of scale still runs: experiments that began and a copy are counted, a bad canary loses its traffic."""

import json
import math
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.bench.scale.costs import Meters, Moment, Used
from tests.bench.scale.found import Plan
from tests.cluster.places import REPOSITORY


@pytest.mark.timeout(400)
def test_five_experiments(tmp_path: Path) -> None:
    """A few seconds of each part; the figures are there, nothing is written while nothing changes, nothing is left."""
    found = tmp_path / "found.json"
    command = [sys.executable, "-m", "tests.bench.scale", "--sizes", "5", "--interval", "5s", "--scrape", "2s"]
    command += ["--duration", "12s", "--spoilt", "1", "--begun", "3", "--json", str(found)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=350, check=False)
    assert done.returncode in {0, 1}, done.stderr[-3000:]
    (size,) = json.loads(found.read_text())["sizes"]
    assert size["experiments"] == 5
    assert size["looks"] > 0.8 * size["looks_due"], "of the copy too"
    assert size["api"]["writes_per_idle_look"] == 0
    assert size["prometheus_queries"] > 0
    assert size["rss_mib"]["operator"] > 20
    assert all(seconds is not None and seconds > 0 for seconds in size["errors_to_weight_0"])
    assert "Traceback" not in done.stderr


def test_spoilt_experiments_come_on_top() -> None:
    """Those whose canaries were spoilt have ended: each size has as many that count as it says."""
    plan = Plan(spoilt=2)
    assert plan.last([100, 20]) == [range(20), range(20, 102)]
    assert plan.to_spoil([100, 20]) == [18, 19, 100, 101]
    assert Plan(spoilt=0).to_spoil([20]) == []


def test_copies_are_neither_the_first_nor_the_spoilt() -> None:
    """As many begin as are told; the last of each size are spoilt, and those begin too."""
    plan = Plan(spoilt=2, begun=10)
    assert [plan.copies(new) for new in plan.last([5, 20, 40])] == [range(5, 5), range(10, 20), range(22, 42)]
    assert not Plan(spoilt=0, begun=10).copies(range(10))


def test_a_quantile_is_never_said_to_be_smaller() -> None:
    """Of 100 looks 98 took at most half a second: the 99th percentile is said to be the next edge."""
    found = [_moment({"0.5": 0.0, "1.0": 0.0, "+Inf": 0.0}), _moment({"0.5": 98.0, "1.0": 100.0, "+Inf": 100.0})]
    used = Used(*found)
    assert used.quantile("lag", 0.5) == 0.5
    assert used.quantile("lag", 0.99) == 1.0
    assert math.isnan(used.quantile("other", 0.5))


def test_requests_are_counted_once(tmp_path: Path) -> None:
    """A watch when it begins, everything else when it is answered; a line that is not whole yet later."""
    events = [
        {"verb": "watch", "stage": "ResponseStarted", "objectRef": {"resource": "deployments"}},
        {"verb": "watch", "stage": "ResponseComplete", "objectRef": {"resource": "deployments"}},
        {"verb": "patch", "stage": "ResponseComplete", "objectRef": {"resource": "leases"}},
        {"verb": "patch", "stage": "ResponseComplete", "objectRef": {"resource": "a", "subresource": "status"}},
        {"verb": "get", "stage": "ResponseComplete", "requestURI": "/apis"},
    ]
    text = "".join(json.dumps({"requestURI": "/", **event}) + "\n" for event in events)
    (tmp_path / "audit.log").write_text(text[:-10])
    meters = Meters({}, tmp_path / "audit.log")
    assert meters.now("", "").calls == {("watch", "deployments"): 1, ("patch", "leases"): 1, ("patch", "a/status"): 1}
    (tmp_path / "audit.log").write_text(text)
    assert meters.now("", "").calls["get", "/apis"] == 1
    assert meters.now("", "").calls.total() == 4


def _moment(buckets: dict[str, float]) -> Moment:
    own = {("lag_bucket", (("le", edge),)): count for edge, count in buckets.items()}
    return Moment(0.0, {}, {}, Counter(), Counter(), 0.0, own)
