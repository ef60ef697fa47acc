"""The manifests of the services say what the operator and a drain rely on."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from serin_services.settings import ServiceSettings

FOLDER = Path(__file__).parents[3] / "manifests" / "services"
COMMON = yaml.safe_load((FOLDER / "common.yaml").read_text())["spec"]["template"]["spec"]


def documents(service: str) -> dict[tuple[str, str], Any]:
    """Return the objects of a service by kind and name."""
    loaded = yaml.safe_load_all((FOLDER / f"{service}.yaml").read_text())
    return {(document["kind"], document["metadata"]["name"]): document for document in loaded}


@pytest.mark.parametrize("service", ["recommendation", "conversation"])
def test_one_service_selects_both_variants_and_no_deployment_the_others(service: str) -> None:
    """The Service's selector is in the pods of both; the Deployments' selectors can't overlap."""
    found = documents(service)
    selector = found["Service", service]["spec"]["selector"]
    variants = []
    for name in (service, f"{service}-phase4"):
        spec = found["Deployment", name]["spec"]
        labels = spec["template"]["metadata"]["labels"]
        assert selector.items() <= labels.items()
        assert spec["selector"]["matchLabels"] == labels
        variants.append(labels["serin.dev/variant"])
    assert variants == ["control", "canary"]


@pytest.mark.parametrize("service", ["recommendation", "conversation"])
def test_the_variants_differ_in_their_engine_alone(service: str) -> None:
    """Whatever else differed would be measured as a difference of the engines."""
    found = documents(service)
    pods = [found["Deployment", name]["spec"]["template"]["spec"] for name in (service, f"{service}-phase4")]
    engines = []
    for pod in pods:
        [container] = pod["containers"]
        engines += [entry["value"] for entry in container["env"] if entry["name"] == "SERIN_ENGINE"]
        container["env"] = [entry for entry in container["env"] if entry["name"] != "SERIN_ENGINE"]
    assert engines == ["phase3", "phase4"]
    assert pods[0] == pods[1]


def test_a_pod_has_the_time_to_drain() -> None:
    """preStop, drain and requests in flight fit into the grace period of Kubernetes."""
    [container] = COMMON["containers"]
    settings = ServiceSettings()
    needed = container["lifecycle"]["preStop"]["sleep"]["seconds"] + settings.drain + settings.grace
    assert needed < COMMON["terminationGracePeriodSeconds"]


def test_pods_are_restricted() -> None:
    """Non-root, no privileges, read-only root, no token: what the restricted standard asks for, and a bit more."""
    [container] = COMMON["containers"]
    assert COMMON["securityContext"]["runAsNonRoot"] is True
    assert COMMON["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert COMMON["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "cpu" not in container["resources"]["limits"]


def test_connections_of_all_pods_fit_into_the_database() -> None:
    """In the middle of a rollout of both services 40 pods run; each holds its pool, and may migrate beside it."""
    [container] = COMMON["containers"]
    values = {entry["name"]: entry.get("value") for entry in container["env"]}
    each = int(values["SERIN_DATABASE_POOL_SIZE"]) + int(values["SERIN_DATABASE_POOL_OVERFLOW"]) + 1
    server = documents("postgres")["StatefulSet", "postgres"]["spec"]["template"]["spec"]["containers"][0]
    [most] = [int(value.partition("=")[2]) for value in server["args"] if value.startswith("max_connections=")]
    # PostgreSQL keeps three for its superuser.
    assert 40 * each <= most - 3


JOBS = list(yaml.safe_load_all((FOLDER.parent / "components" / "migrations" / "jobs.yaml").read_text()))


@pytest.mark.parametrize("job", JOBS, ids=lambda job: str(job["metadata"]["name"]))
def test_a_migration_job_is_restricted_and_gets_no_requests(job: Any) -> None:
    """It is as restricted as the pods of its service, runs the same image, and no Service selects it."""
    service = job["metadata"]["name"].removesuffix("-migrate")
    template = job["spec"]["template"]
    [container] = template["spec"]["containers"]
    found = documents(service)
    [serving] = found["Deployment", service]["spec"]["template"]["spec"]["containers"]
    [common] = COMMON["containers"]
    assert template["spec"]["securityContext"] == COMMON["securityContext"]
    assert container["securityContext"] == common["securityContext"]
    assert template["spec"]["automountServiceAccountToken"] is False
    assert container["image"] == serving["image"]
    assert container["args"] == ["migrate", "up"]
    selector = found["Service", service]["spec"]["selector"]
    assert not selector.items() <= template["metadata"]["labels"].items()
