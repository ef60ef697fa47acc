"""The experiments of the demo as a user would write them, with stages of a minute instead of days."""

from dataclasses import dataclass, field
from typing import Any

from tests.demo.install import SERVICES
from tests.demo.kubectl import NAMESPACE


@dataclass(frozen=True, slots=True)
class Experiment:
    """One run of the demo.

    Attributes:
        name: Name of the CanaryExperiment.
        title: What is tried, in a sentence.
        ends: The phase in which it should end.
        faults: What is wrong with recommendation's canary. A good canary is the Deployment that is there; a bad one is
            made by Serin from control and a patch, so the demo shows both ways of having a canary.
    """

    name: str
    title: str
    ends: str
    faults: dict[str, str] = field(default_factory=dict)


DEMO = (
    Experiment("good", "a good release is promoted", "Succeeded"),
    Experiment("errors", "a release with 5 % errors is rolled back", "RolledBack", {"SERIN_FAULT_ERROR_SHARE": "0.05"}),
    Experiment("slow", "a release that is 60 ms slower is rolled back", "RolledBack", {"SERIN_FAULT_LATENCY": "60ms"}),
)


def with_faults(experiment: Experiment) -> dict[str, Any]:
    """Return the experiment's manifest."""
    if not experiment.faults:
        return manifest(experiment.name)
    env = [{"name": name, "value": value} for name, value in experiment.faults.items()]
    patched = {"patch": {"spec": {"containers": [{"name": "service", "env": env}]}}}
    services = [
        {"name": "recommendation", "control": {"deployment": "recommendation"}, "canary": patched},
        {"name": "conversation", "control": {"deployment": "conversation"}, "canary": own_canary("conversation")},
    ]
    return manifest(experiment.name, services=services)


def own_canary(service: str) -> dict[str, str]:
    """Return the canary that is a Deployment of the user's."""
    return {"deployment": f"{service}-phase4"}


def manifest(name: str, *, namespace: str = NAMESPACE, **spec: Any) -> dict[str, Any]:
    """Return the CanaryExperiment over both services; `spec` replaces whole fields of it."""
    return {
        "apiVersion": "serin.dev/v1alpha1",
        "kind": "CanaryExperiment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "services": [
                {"name": service, "control": {"deployment": service}, "canary": own_canary(service)}
                for service in SERVICES
            ],
            "stages": [
                {"name": "canary", "weight": 10, "duration": "60s"},
                {"name": "ab", "weight": 50, "duration": "60s"},
            ],
            "promotion": {"bake": "30s"},
            "guardrails": {
                "errorRate": {"warn": "0.5%", "max": "1%", "worseThanControl": "10%"},
                "latencyP95": {"max": "150ms", "worseThanControl": "5%"},
            },
            "analysis": {"interval": "10s", "minRequests": 20},
            **spec,
        },
    }
