"""The objects of the experiments: names that differ everywhere, so that nothing is shared that a real cluster doesn't.

An experiment has two services. Each has a control of two pods, a canary without pods, and the Service of both; the one
stage lasts for a week, so that an experiment stays in the middle of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from serin.api.names import API_VERSION, KIND, PLURAL

SERVICES: Final = 2
PODS: Final = 2
WEIGHT: Final = 50
PER_NAMESPACE: Final = 20
APPS: Final = "apps/v1"


@dataclass(frozen=True, slots=True)
class Made:
    """An object to create.

    Attributes:
        api: `apiVersion`.
        plural: the kind as paths call it.
        namespace: None for a namespace itself.
        body: the object.
    """

    api: str
    plural: str
    namespace: str | None
    body: dict[str, Any]


def namespace(number: int) -> str:
    """Where an experiment is."""
    return f"team-{number // PER_NAMESPACE:03d}"


def experiment_name(number: int) -> str:
    """The name of an experiment."""
    return f"release-{number:04d}"


def service_names(number: int) -> tuple[str, ...]:
    """The services of an experiment, which are also the names of its control Deployments."""
    return tuple(f"shop-{number:04d}-{letter}" for letter in "ab"[:SERVICES])


def canary_name(service: str) -> str:
    """The canary's Deployment."""
    return f"{service}-next"


def namespaces(numbers: range) -> Iterator[Made]:
    """The namespaces that the experiments need, and that those before them don't."""
    for name in sorted({namespace(number) for number in numbers}):
        yield Made("v1", "namespaces", None, {"metadata": {"name": name}})


def parts(number: int) -> Iterator[Made]:
    """Deployments and Services of an experiment."""
    where = namespace(number)
    for name in service_names(number):
        for deployment, role, replicas in ((name, "control", PODS), (canary_name(name), "canary", 0)):
            yield Made(APPS, "deployments", where, _deployment(name, deployment, role, replicas))
        ports = [{"name": "http", "port": 80, "targetPort": 8000}]
        # Headless: the control plane of tests has 254 addresses for Services.
        spec = {"clusterIP": "None", "selector": {"app": name}, "ports": ports}
        body = {"metadata": {"name": name}, "spec": spec}
        yield Made("v1", "services", where, body)


def experiment(number: int, prometheus: str, interval: float) -> Made:
    """The experiment itself."""
    services = [
        {"name": name, "control": {"deployment": name}, "canary": {"deployment": canary_name(name)}}
        for name in service_names(number)
    ]
    spec = {
        "services": services,
        "stages": [{"name": "ab", "weight": WEIGHT, "duration": "7d"}],
        "analysis": {"interval": f"{interval:g}s"},
        "prometheus": {"address": prometheus},
    }
    body = {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": experiment_name(number)}, "spec": spec}
    return Made(API_VERSION, PLURAL, namespace(number), body)


def _deployment(app: str, name: str, role: str, replicas: int) -> dict[str, Any]:
    """A Deployment as large as usual ones: probes, resources, environment."""
    labels = {"app": app, "serin.dev/variant": role}
    probe = {"httpGet": {"path": "/readyz", "port": 8000}, "periodSeconds": 5}
    container = {
        "name": "main",
        "image": f"registry.example/{app}:{'2.0' if role == 'canary' else '1.0'}",
        "ports": [{"containerPort": 8000, "name": "http"}],
        "env": [{"name": f"SETTING_{index}", "value": f"value-{index}"} for index in range(6)],
        "readinessProbe": probe,
        "livenessProbe": {**probe, "httpGet": {"path": "/livez", "port": 8000}},
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True},
    }
    return {
        "metadata": {"name": name, "labels": {"app": app}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }
