"""Makes the vendored CRDs anew: `python tests/integration/vendor/update.py`.

Tests of the presets run against what vendors really ship, and must not need a network. Each file is the vendor's own
CRD of a pinned Go module, with the one version that Serin writes and without descriptions; nothing else is changed.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
SOURCES = (
    ("gateway-api", "sigs.k8s.io/gateway-api", "v1.6.1",
     "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml",
     "httproutes.gateway.networking.k8s.io", "v1", "Apache-2.0"),
    ("gateways", "sigs.k8s.io/gateway-api", "v1.6.1",
     "config/crd/standard/gateway.networking.k8s.io_gateways.yaml",
     "gateways.gateway.networking.k8s.io", "v1", "Apache-2.0"),
    ("gatewayclasses", "sigs.k8s.io/gateway-api", "v1.6.1",
     "config/crd/standard/gateway.networking.k8s.io_gatewayclasses.yaml",
     "gatewayclasses.gateway.networking.k8s.io", "v1", "Apache-2.0"),
    ("istio", "istio.io/api", "v1.31.4", "kubernetes/customresourcedefinitions.gen.yaml",
     "virtualservices.networking.istio.io", "v1", "Apache-2.0"),
    ("traefik", "github.com/traefik/traefik/v3", "v3.7.13",
     "docs/content/reference/dynamic-configuration/kubernetes-crd-definition-v1.yml",
     "traefikservices.traefik.io", "v1alpha1", "MIT"),
    ("contour", "github.com/projectcontour/contour", "v1.33.8", "examples/contour/01-crds.yaml",
     "httpproxies.projectcontour.io", "v1", "Apache-2.0"),
    ("smi", "github.com/servicemeshinterface/smi-sdk-go", "v0.5.0", "crds/split.yaml",
     "trafficsplits.split.smi-spec.io", "v1alpha4", "Apache-2.0"),
)  # fmt: skip
"""(file, module, version, path in the module, name of the CRD, version of the CRD, licence)."""


def without_descriptions(node: Any) -> Any:
    """Return a schema without its texts; a property that is called `description` stays."""
    if isinstance(node, list):
        return [without_descriptions(each) for each in node]
    if not isinstance(node, dict):
        return node
    kept = {key: value for key, value in node.items() if key != "description" or not isinstance(value, str)}
    return {key: without_descriptions(value) for key, value in kept.items()}


def in_v1(crd: dict[str, Any]) -> dict[str, Any]:
    """Return a CRD of the API that is no longer served as v1: the schema moves into the version."""
    spec = {key: crd["spec"][key] for key in ("group", "scope", "names")}
    schema = {"type": "object", **crd["spec"]["validation"]["openAPIV3Schema"]}
    version = {**crd["spec"]["versions"][0], "schema": {"openAPIV3Schema": schema}}
    return {**crd, "apiVersion": "apiextensions.k8s.io/v1", "spec": {**spec, "versions": [version]}}


def main() -> None:
    """Write every file."""
    for file, module, release, path, name, version, licence in SOURCES:
        command = ["go", "mod", "download", "-json", f"{module}@{release}"]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, cwd="/").stdout)
        documents = yaml.safe_load_all((Path(found["Dir"]) / path).read_text())
        crd = next(each for each in documents if each and each["metadata"]["name"] == name)
        crd["spec"]["versions"] = [each for each in crd["spec"]["versions"] if each["name"] == version]
        crd["spec"]["versions"][0] |= {"storage": True, "served": True}
        crd["spec"].pop("conversion", None)
        if crd["apiVersion"].endswith("v1beta1"):
            crd = in_v1(crd)
        kept = {key: crd["metadata"].get("annotations", {}).get(key) for key in ("api-approved.kubernetes.io",)}
        crd["metadata"] = {"name": name, "annotations": {key: value for key, value in kept.items() if value}}
        crd.pop("status", None)
        head = f"# {module} {release}, {path}, {licence}; made by update.py\n"
        text = yaml.safe_dump(without_descriptions(crd), sort_keys=False, width=160)
        (HERE / f"{file}.yaml").write_text(head + text)
        print(f"{file}: {len(text):,} characters")


if __name__ == "__main__":
    main()
