"""Prometheus's own tool on the alerts: they parse, and they fire on what they are about."""

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.cluster.places import REPOSITORY
from tests.integration.metrics.process import BINARIES

RULES = REPOSITORY / "manifests/monitoring/serin-rules.yml"
LABELS = {"namespace": "shop", "name": "phase4"}


def promtool(*words: str) -> str:
    """Run promtool; what it says when it is content."""
    done = subprocess.run([str(BINARIES / "promtool"), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_rules_parse() -> None:
    """`promtool check rules` finds nothing."""
    assert "SUCCESS" in promtool("check", "rules", "--lint-fatal", str(RULES))


@pytest.mark.parametrize(
    ("alert", "series", "at", "labels"),
    [
        ("SerinNotLeading", {"serin_leader": "0x60"}, "10m", {}),
        ("SerinTwoLeaders", {'serin_leader{pod="a"}': "1x60", 'serin_leader{pod="b"}': "1x60"}, "5m", {}),
        ("SerinRollbackNotDone", {"INFO{phase='RollingBack'}": "1x60"}, "15m", {**LABELS, "phase": "RollingBack"}),
        ("SerinNoMeasurement", {"INFO{reason='NoMeasurement'}": "1x60"}, "20m", {**LABELS, "reason": "NoMeasurement"}),
        ("SerinExperimentStalled", {"serin_experiments_stalled": "2x60"}, "40m", {}),
        (
            "SerinPrometheusFails",
            {
                'serin_prometheus_queries_total{verdict="Answered"}': "0+60x60",
                'serin_prometheus_queries_total{verdict="Timeout"}': "0+30x60",
            },
            "30m",
            {},
        ),
        ("SerinApiFails", {'serin_api_requests_total{verb="GET",code="503"}': "0+9x60"}, "30m", {"verb": "GET"}),
        (
            "SerinLooksLate",
            {
                'serin_look_lag_seconds_bucket{le="120"}': "0+1x60",
                'serin_look_lag_seconds_bucket{le="300"}': "0+9x60",
                'serin_look_lag_seconds_bucket{le="+Inf"}': "0+9x60",
            },
            "30m",
            {},
        ),
    ],
)
def test_alert_fires_on_what_it_is_about(
    tmp_path: Path, alert: str, series: dict[str, str], at: str, labels: dict[str, str]
) -> None:
    """Exactly this alert fires, with the labels that say which experiment, and not before its time."""
    known = ",".join(f'{key}="{value}"' for key, value in LABELS.items())
    given = [
        {"series": name.replace("INFO{", f"serin_experiment_info{{{known},").replace("'", '"'), "values": values}
        for name, values in series.items()
    ]
    if "serin_leader" not in str(series):
        given.append({"series": "serin_leader", "values": "1x60"})
    wanted = "".join(f',{key}="{value}"' for key, value in labels.items())
    firing = f'count(ALERTS{{alertname="{alert}",alertstate="firing"{wanted}}})'
    tests = [
        {"eval_time": at, "expr": firing, "exp_samples": [{"labels": "{}", "value": 1}]},
        {"eval_time": "30s", "expr": firing, "exp_samples": []},
        {"eval_time": at, "expr": f'count(ALERTS{{alertname!="{alert}",alertstate="firing"}})', "exp_samples": []},
    ]
    file = tmp_path / "test.yml"
    one = {"interval": "1m", "input_series": given, "promql_expr_test": tests}
    file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [one]}))
    said = promtool("test", "rules", str(file))
    assert "SUCCESS" in said
