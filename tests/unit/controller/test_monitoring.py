"""Alerts and dashboard ask for metrics that the operator has, and lead to a page that is there."""

import json
import re
from pathlib import Path
from typing import Any

import yaml
from prometheus_client import REGISTRY

from serin.controller.instruments import Counted
from serin.controller.store import Store

ROOT = Path(__file__).parents[3]
RULES: dict[str, Any] = yaml.safe_load((ROOT / "manifests/monitoring/serin-rules.yml").read_text())
DASHBOARD: dict[str, Any] = json.loads((ROOT / "manifests/monitoring/dashboards/serin-operator.json").read_text())
_NAME = re.compile(r"\bserin_[a-z_]+\b")
_SUFFIX = re.compile(r"_(bucket|sum|count|total)$")


def _known() -> set[str]:
    return {_SUFFIX.sub("", family.name) for family in REGISTRY.collect() if family.name.startswith("serin_")}


def _alerts() -> list[dict[str, Any]]:
    return [rule for group in RULES["groups"] for rule in group["rules"]]


def test_alerts_ask_for_metrics_that_exist() -> None:
    """An alert on a metric that was renamed would never fire."""
    for rule in _alerts():
        asked = {_SUFFIX.sub("", name) for name in _NAME.findall(rule["expr"])}
        assert asked, rule["alert"]
        assert asked <= _known(), rule["alert"]


def test_every_metric_is_on_the_dashboard() -> None:
    """The dashboard has every metric of the operator, and none that it hasn't."""
    asked = {
        _SUFFIX.sub("", name)
        for panel in DASHBOARD["panels"]
        for t in panel["targets"]
        for name in _NAME.findall(t["expr"])
    }
    known = _known() - {"serin_reconcile_duration_seconds"}  # the sum of its parts
    assert asked == known


def test_the_component_has_the_same_alerts() -> None:
    """The PrometheusRule is the rule file, for those with the Prometheus operator."""
    made = yaml.safe_load((ROOT / "manifests/components/prometheusrule/prometheusrule.yaml").read_text())
    assert made["spec"]["groups"] == RULES["groups"]


def test_every_alert_is_in_the_runbook() -> None:
    """Whoever is woken finds a heading with the alert's name."""
    headings = {
        line[4:].strip() for line in (ROOT / "docs/runbook.md").read_text().splitlines() if line.startswith("### ")
    }
    for rule in _alerts():
        assert rule["annotations"]["runbook"] == f"docs/runbook.md#{rule['alert'].lower()}"
        assert rule["alert"] in headings


def test_scrape_counts_the_store() -> None:
    """Experiments by phase, those that are stalled, and a line for each that has not ended; then what has changed."""
    store = Store()
    stalled = {"type": "Stalled", "status": "True"}

    def put(name: str, status: dict[str, Any], version: str = "1") -> None:
        meta = {"namespace": "shop", "name": name, "uid": name, "resourceVersion": version}
        store.experiments.put({"metadata": meta, "spec": {}, "status": status})

    for name, status in (
        ("a", {"phase": "Progressing", "reason": "StageRunning", "verdict": "Healthy"}),
        ("b", {"phase": "Pending", "reason": "DeploymentNotFound", "conditions": [stalled]}),
        ("c", {"phase": "Succeeded", "endedAt": "2026-01-01T00:00:00Z"}),
    ):
        put(name, status)
    counted = Counted(store)
    counted.update()
    labels = {"namespace": "shop", "name": "a", "phase": "Progressing", "reason": "StageRunning", "verdict": "Healthy"}
    assert REGISTRY.get_sample_value("serin_experiment_info", labels) == 1
    assert REGISTRY.get_sample_value("serin_experiments", {"phase": "Succeeded"}) == 1
    assert REGISTRY.get_sample_value("serin_experiments_stalled") == 1
    put("a", {"phase": "Progressing", "reason": "Warning", "verdict": "Warning"}, "2")
    put("b", {"phase": "Pending", "reason": "DeploymentNotFound"}, "2")
    counted.update()
    assert REGISTRY.get_sample_value("serin_experiment_info", labels) is None
    warned = labels | {"reason": "Warning", "verdict": "Warning"}
    assert REGISTRY.get_sample_value("serin_experiment_info", warned) == 1
    assert REGISTRY.get_sample_value("serin_experiments_stalled") == 0
    for experiment in list(store.experiments):
        store.experiments.remove(experiment)
    counted.update()
    assert REGISTRY.get_sample_value("serin_experiment_info", warned) is None
    for phase in ("Progressing", "Pending", "Succeeded"):
        assert REGISTRY.get_sample_value("serin_experiments", {"phase": phase}) == 0
