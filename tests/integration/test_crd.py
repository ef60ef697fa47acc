"""The CRD in a real API server: every kind of bad input gets its sentence, and the shortest good one its defaults.

Dry runs, but for one paused experiment: the server completes and judges them as always, and keeps nothing.
"""

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
import yaml

from serin.api.status import (
    Condition,
    GuardrailStatus,
    Phase,
    ServiceStatus,
    Status,
    Step,
    Transition,
    VerdictName,
    status_to_json,
)
from tests.cluster.places import REPOSITORY, from_environment

A = {"name": "a", "control": {"deployment": "a"}, "canary": {"deployment": "a-next"}}
B = {"name": "b", "control": {"deployment": "b"}, "canary": {"deployment": "b-next"}}


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """The environment in which kubectl finds the test cluster, with the CRD as it is in this checkout."""
    places = from_environment()
    found = {
        **os.environ,
        "KUBECONFIG": str(places.kubeconfig),
        "PATH": f"{places.bin}{os.pathsep}{os.environ['PATH']}",
    }
    if not places.kubeconfig.exists() or not shutil.which("kubectl", path=found["PATH"]):
        pytest.fail("There is no cluster: run python3 -m tests.cluster up")
    for command in (
        ["apply", "-k", str(REPOSITORY / "crds")],
        ["wait", "--for=condition=Established", "crd/canaryexperiments.serin.dev", "--timeout=30s"],
    ):
        subprocess.run(["kubectl", *command], env=found, check=True, timeout=60)
    return found


def create(environment: dict[str, str], spec: dict[str, Any], name: str = "x") -> subprocess.CompletedProcess[str]:
    """Ask the server to create an experiment, without keeping it."""
    resource = {
        "apiVersion": "serin.dev/v1alpha1",
        "kind": "CanaryExperiment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    }
    return subprocess.run(
        ["kubectl", "create", "--dry-run=server", "-o", "json", "-f", "-"],
        input=json.dumps(resource),
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def services(*changes: dict[str, Any]) -> dict[str, Any]:
    """Return a spec with the services A and B, each changed as told."""
    both = [deepcopy(A), deepcopy(B)][: len(changes)]
    return {"services": [service | change for service, change in zip(both, changes, strict=True)]}


def stages(*weights: int, duration: str = "1h") -> dict[str, Any]:
    """Return a spec with one stage for each weight."""
    each = [{"name": f"s{at}", "weight": weight, "duration": duration} for at, weight in enumerate(weights)]
    return {"services": [A], "stages": each}


COPIES = {"name": "copies", "mirror": 100, "duration": "1h"}
SHARE = {"name": "share", "weight": 20, "duration": "1h"}
ROUTED = A | {"traffic": {"type": "HTTPRoute", "httpRoute": {"name": "r"}}}


def mirrored(*changes: dict[str, Any]) -> dict[str, Any]:
    """Return a spec with a stage of copies for each change of it, and a share behind them; None takes a field out."""
    each = [COPIES | {"name": f"s{at}"} | change for at, change in enumerate(changes)]
    kept = [{key: value for key, value in stage.items() if value is not None} for stage in each]
    return {"services": [ROUTED], "stages": [*kept, SHARE]}


def errors(**share: str) -> dict[str, Any]:
    """Return a spec with a guardrail of errors."""
    return {"services": [A], "guardrails": {"errorRate": share}}


def custom(**fields: Any) -> dict[str, Any]:
    """Return a spec with a guardrail of the user's own."""
    return {"services": [A], "guardrails": {"custom": [{"name": "own", "good": "g", "total": "t", **fields}]}}


def traffic(**fields: Any) -> dict[str, Any]:
    """Return a spec whose service has this traffic."""
    return services({"traffic": fields})


LOWER = "use lower-case letters, digits"
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "weight 101": (stages(101), "spec.stages[0].weight in body should be less than or equal to 100"),
    "weight 0": (stages(0), "write weight: 1 to 100 for a share of the traffic, or mirror: 1 to 100 for copies of it"),
    "no weight": (mirrored({"weight": None, "mirror": None}), "write weight: 1 to 100 for a share of the traffic"),
    "weight -1": (stages(-1), "spec.stages[0].weight in body should be greater than or equal to 0"),
    "mirror 0": (mirrored({"mirror": 0}), "spec.stages[0].mirror in body should be greater than or equal to 1"),
    "mirror 101": (mirrored({"mirror": 101}), "spec.stages[0].mirror in body should be less than or equal to 100"),
    "mirror and weight": (mirrored({"weight": 5}), "or mirror: 1 to 100 for copies of it, and not both"),
    "mirror with samples": (mirrored({"minSamples": 5}), "leave it out beside mirror"),
    "mirror twice": (mirrored({}, {"mirror": 50}), "give each weight once, and mirror before all weights"),
    "mirror after a share": (mirrored({"weight": 5, "mirror": None}, {}), "mirror before all weights"),
    "mirror alone": ({"services": [ROUTED], "stages": [COPIES]}, "write a stage with a weight behind it"),
    "mirror by pods": ({"services": [A], "stages": [COPIES, SHARE]}, "needs traffic.type HTTPRoute of every service"),
    "mirror counted elsewhere": (
        {"services": [ROUTED], "stages": [COPIES, SHARE], "metrics": {"preset": "EnvoyGateway"}},
        "needs metrics.preset Http, for only the canary itself counts copies",
    ),
    "mirror of a service that is counted elsewhere": (
        {"services": [ROUTED | {"metrics": {"preset": "Istio"}}], "stages": [COPIES, SHARE]},
        "needs metrics.preset Http, for only the canary itself counts copies",
    ),
    "falling weights": (stages(50, 5), "weights must rise from stage to stage: order the stages by weight"),
    "equal weights": (stages(5, 5), "weights must rise from stage to stage"),
    "no stages": (stages(), "spec.stages in body should have at least 1 items"),
    "21 stages": (stages(*range(1, 22)), "must have at most 20 items"),
    "stage twice": (
        {"services": [A], "stages": [{"name": "s", "weight": w, "duration": "1h"} for w in (5, 50)]},
        'spec.stages[1]: Duplicate value: {"name":"s"}',
    ),
    "duration zero": (stages(5, duration="0h0m"), "must be a duration longer than zero: write it like 150ms, 30s"),
    "duration without unit": (stages(5, duration="60"), "must be a duration longer than zero: write it like"),
    "duration empty": (stages(5, duration=""), "must be a duration longer than zero: write it like"),
    "bake zero": ({"services": [A], "promotion": {"bake": "0s"}}, "spec.promotion.bake: Invalid value"),
    "latency zero": ({"services": [A], "guardrails": {"latencyP95": {"max": "0ms"}}}, "longer than zero"),
    "interval 4s": ({"services": [A], "analysis": {"interval": "4s"}}, "interval is 4s: write 5s to 10m in whole"),
    "interval 7s500ms": (
        {"services": [A], "analysis": {"interval": "7s500ms"}},
        "interval is 7s500ms: write 5s to 10m in whole seconds, like 30s",
    ),
    "interval 10m1s": ({"services": [A], "analysis": {"interval": "10m1s"}}, "interval is 10m1s: write 5s to 10m"),
    "interval 1d": ({"services": [A], "analysis": {"interval": "1d"}}, "interval is 1d: write 5s to 10m"),
    "interval empty": ({"services": [A], "analysis": {"interval": ""}}, "write 5s to 10m"),
    "interval words": ({"services": [A], "analysis": {"interval": "often"}}, "interval is often: write 5s to 10m"),
    "alpha 0": ({"services": [A], "analysis": {"alpha": 0}}, "write a number above 0 and up to 0.5, like 0.05"),
    "alpha 1": ({"services": [A], "analysis": {"alpha": 1}}, "write a number above 0 and up to 0.5, like 0.05"),
    "warn above max": (errors(warn="2%"), "warn (2%) must be lower than max (1%): a warning comes before a rollback"),
    "warn as numbers": (errors(warn="9%", max="10%", worseThanControl="x%"), "write it like 0.5% or 10%"),
    "warn equal": (errors(warn="1.0%", max="1%"), "warn (1.0%) must be lower than max (1%)"),
    "max above all": (errors(max="101%"), "is a share of all requests: write at most 100%"),
    "share without sign": (errors(max="0.01"), "must be a percentage: write it like 0.5% or 10%"),
    "custom without limit": (custom(), "write max (like 1%), worseThanControl (like 10%) or both"),
    "custom twice": (
        {"services": [A], "guardrails": {"custom": custom(max="1%")["guardrails"]["custom"] * 2}},
        'Duplicate value: {"name":"own"}',
    ),
    "no services": ({"services": []}, "spec.services in body should have at least 1 items"),
    "services missing": ({}, "spec.services: Required value"),
    "service twice": ({"services": [A, A]}, 'spec.services[1]: Duplicate value: {"name":"a"}'),
    "17 services": (
        {
            "services": [
                {"name": f"s{n}", "control": {"deployment": f"c{n}"}, "canary": {"deployment": f"n{n}"}}
                for n in range(17)
            ]
        },
        "must have at most 16 items",
    ),
    "canary both": (
        services({"canary": {"deployment": "n", "patch": {}}}),
        "write either deployment or patch, not both",
    ),
    "canary neither": (services({"canary": {}}), "write deployment (the name of a Deployment of yours) or patch"),
    "control is canary": (services({"canary": {"deployment": "a"}}), "control and canary are both the Deployment 'a'"),
    "control twice": (services({}, {"control": {"deployment": "a"}}), "two services have the same control.deployment"),
    "canary twice": (
        services({}, {"canary": {"deployment": "a-next"}}),
        "two services have the same canary.deployment",
    ),
    "canary is other control": (
        services({"canary": {"deployment": "b"}}, {}),
        "one service's canary.deployment is another's control.deployment",
    ),
    "made canary is taken": (
        services({"canary": {"patch": {}}}, {"control": {"deployment": "a-canary"}}),
        "canary.patch makes a Deployment called <control>-canary, and another service names that one",
    ),
    "made name too long": (
        services({"control": {"deployment": "a" * 247}, "canary": {"patch": {}}}),
        "name a canary.deployment of your own",
    ),
    "service name": (
        services({"name": "A_1"}),
        f'spec.services[0].name: Invalid value: "string": is not a name: {LOWER}',
    ),
    "deployment name": (services({"control": {"deployment": "a b"}}), f"is not the name of an object: {LOWER}"),
    "route missing": (traffic(type="HTTPRoute"), "type HTTPRoute needs httpRoute: write httpRoute: {name:"),
    "route without type": (
        traffic(httpRoute={"name": "r"}),
        "httpRoute belongs to type HTTPRoute, and type is Replicas",
    ),
    "weights missing": (traffic(type="Weights"), "type Weights needs weights: write weights: {name:"),
    "weights without type": (
        traffic(weights={"name": "w", "preset": "Istio"}),
        "weights belongs to type Weights, and type is Replicas",
    ),
    "weights half": (
        traffic(type="Weights", weights={"name": "w", "kind": "K"}),
        "write preset (like Istio), or all of apiVersion, kind, controlPath and canaryPath",
    ),
    "replicas of a route": (
        traffic(type="HTTPRoute", httpRoute={"name": "r"}, replicas={"total": 10}),
        "replicas belongs to type Replicas, and type is HTTPRoute",
    ),
    "total 1": (traffic(replicas={"total": 1}), "should be greater than or equal to 2"),
    "unknown type": (traffic(type="Magic"), 'supported values: "Replicas", "HTTPRoute", "Weights"'),
    "unknown field": ({"services": [A], "colour": "red"}, 'unknown field "spec.colour"'),
    "no address": ({"services": [A], "prometheus": {"address": "prometheus:9090"}}, "spec.prometheus.address"),
}


@pytest.mark.parametrize(("spec", "sentence"), BAD.values(), ids=BAD)
def test_bad_input_gets_its_sentence(environment: dict[str, str], spec: dict[str, Any], sentence: str) -> None:
    """The API server refuses it before anything can move, and says what is wrong or what to write instead."""
    done = create(environment, spec)
    assert done.returncode != 0, done.stdout
    assert sentence in done.stderr


def test_a_name_that_no_label_can_hold(environment: dict[str, str]) -> None:
    """The experiment's name becomes a label's value, so it has at most 63 characters."""
    assert "use at most 63 characters" in create(environment, {"services": [A]}, "x" * 64).stderr
    assert create(environment, {"services": [A]}, "x" * 63).returncode == 0


def test_the_shortest_good_one_gets_every_default(environment: dict[str, str]) -> None:
    """What the server adds is what the operator takes for granted."""
    done = create(environment, {"services": [A]})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["spec"] == {
        "services": [{**A, "traffic": {"type": "Replicas"}}],
        "stages": [
            {"name": "canary", "weight": 5, "duration": "24h"},
            {"name": "ab", "weight": 50, "duration": "13d", "minSamples": 3500},
        ],
        "promotion": {"approval": "Automatic", "bake": "1h", "mode": "Template"},
        "guardrails": {
            "errorRate": {"warn": "0.5%", "max": "1%", "worseThanControl": "10%"},
            "latencyP95": {"max": "150ms", "worseThanControl": "5%"},
        },
        "analysis": {"interval": "30s", "alpha": 0.05, "minRequests": 100, "onNoData": "Hold"},
        "metrics": {
            "preset": "Http",
            "labels": {
                "namespace": "namespace",
                "service": "service",
                "variant": "variant",
                "code": "code",
                "pod": "pod",
            },
        },
        "prometheus": {"address": "http://prometheus.monitoring:9090"},
        "paused": False,
        "abort": False,
    }


GOOD: dict[str, dict[str, Any]] = {
    "warn below max as numbers": errors(warn="9%", max="10%"),
    "longest interval": {"services": [A], "analysis": {"interval": "10m"}},
    "shortest interval": {"services": [A], "analysis": {"interval": "5000ms"}},
    "weight 100": stages(1, 50, 100),
    "patch": services({"canary": {"patch": {"spec": {"containers": [{"name": "c", "image": "i:2"}]}}}}),
    "copies before shares": mirrored({}),
    "weight 0 beside copies": mirrored({"weight": 0}),
    "route": traffic(type="HTTPRoute", httpRoute={"name": "r"}),
    "weights": traffic(type="Weights", weights={"name": "w", "preset": "Istio"}),
    "custom": custom(worseThanControl="10%"),
}


@pytest.mark.parametrize("spec", GOOD.values(), ids=GOOD)
def test_what_is_just_right_is_accepted(environment: dict[str, str], spec: dict[str, Any]) -> None:
    """The bounds refuse nothing that is good, and what was written is kept as it was."""
    done = create(environment, spec)
    assert done.returncode == 0, done.stderr
    kept = json.loads(done.stdout)["spec"]
    assert kept["services"][0]["canary"] == spec["services"][0]["canary"]


@pytest.mark.parametrize(
    "example", sorted((REPOSITORY / "manifests/examples").glob("*.yaml")), ids=lambda path: path.name
)
def test_the_examples_are_accepted(environment: dict[str, str], example: Any) -> None:
    """Every file in manifests/examples can be applied as it is."""
    done = create(environment, yaml.safe_load(example.read_text())["spec"])
    assert done.returncode == 0, done.stderr


FULL = Status(
    observed_generation=1,
    phase=Phase.HOLDING,
    resumes_to=Phase.PROGRESSING,
    stage="canary",
    weight=5,
    verdict=VerdictName.NO_DATA,
    message="m",
    reason="NoData",
    run_id="r",
    started_at="t",
    stage_started_at="t",
    stage_seconds=1.5,
    counted_until="t",
    ended_at="t",
    first_bad_look="t",
    found_at="t",
    restored_at="t",
    services=(
        ServiceStatus(
            name="a",
            weight=5,
            observed_weight=9.5,
            ready="control 9/9, canary 1/1",
            guardrails=(
                GuardrailStatus(
                    name="errorRate",
                    verdict="Healthy",
                    summary="s",
                    rule="max",
                    canary="1%",
                    control="1%",
                    canary_requests=5_000_000_000,
                    control_requests=1,
                    ratio="1x",
                    evidence="0",
                ),
            ),
            replicas=10,
            control_template="h",
            route_token="k",  # noqa: S106 - no secret
        ),
    ),
    conditions=(Condition(type="Accepted", status="True", reason="R", message="m", last_transition_time="t"),),
    transitions=(Transition(time="t", to="Holding", reason="R", message="m"),),
    step=Step(number=1, action="weight", started_at="t", weight=5, done=True),
    checkpoint={"a/errorRate": "x"},
)


@pytest.fixture
def experiment(environment: dict[str, str]) -> Iterator[str]:
    """A paused experiment that really exists, in a namespace where it finds no Deployments; deleted afterwards."""
    name = f"crd-{secrets.token_hex(4)}"
    body = {"apiVersion": "serin.dev/v1alpha1", "kind": "CanaryExperiment", "metadata": {"name": name}}
    text = json.dumps(body | {"spec": {"services": [A], "paused": True}})
    base = ["kubectl", "--namespace=default"]
    subprocess.run([*base, "create", "-f", "-"], input=text, env=environment, text=True, check=True, timeout=60)
    yield name
    subprocess.run([*base, "delete", "cex", name, "--timeout=30s"], env=environment, check=True, timeout=60)


def test_a_status_with_every_field_is_kept_whole(environment: dict[str, str], experiment: str) -> None:
    """The server prunes what the CRD does not know: nothing that the operator writes is lost."""
    written = json.loads(json.dumps(status_to_json(FULL)))
    patch = json.dumps([{"op": "add", "path": "/status", "value": written}])
    command = ["patch", "cex", experiment, "--namespace=default", "--subresource=status", "--type=json", f"-p={patch}"]
    done = subprocess.run(
        ["kubectl", *command, "--dry-run=server", "-o", "json"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == written
