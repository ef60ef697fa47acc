"""The gateway's pins: what is built, what is named in manifests and what is downloaded are one version each."""

import yaml

from tests.cluster import binaries, gateway, versions
from tests.cluster.places import REPOSITORY


def test_the_manifests_name_the_proxy_that_is_pinned() -> None:
    """The EnvoyProxy names the image that the tooling makes, for its default has a digest that nobody could make."""
    documents = list(yaml.safe_load_all((gateway.MANIFESTS / "gateway.yaml").read_text()))
    [proxy] = [each for each in documents if each["kind"] == "EnvoyProxy"]
    container = proxy["spec"]["provider"]["kubernetes"]["envoyDeployment"]["container"]
    assert container["image"] == f"docker.io/{gateway.envoy_image()}"


def test_the_pins_are_read() -> None:
    """Releases come from go.mod and from the package's pin; every architecture's wheel has a hash."""
    assert gateway.release() == versions.required(
        (versions.MODULES / "gateway/go.mod").read_text(), "github.com/envoyproxy/gateway"
    )
    assert gateway.envoy_release().startswith("v1.")
    assert gateway.ENVOY_PIN.read_text().count("--hash=sha256:") == 2


def test_programs_have_a_module_and_names_of_their_own() -> None:
    """The gateway's programs are built from their own go.mod, and hide no program of the cluster."""
    assert all((versions.MODULES / program.module / "go.mod").is_file() for program in gateway.PROGRAMS)
    names = [program.name for program in (*binaries.ALL, *gateway.PROGRAMS)]
    assert len(set(names)) == len(names)


def test_the_routes_are_sticky_as_documented() -> None:
    """Canary first, weights that add up to 100, a filter on each backend, and a hash of user and salt on the rule."""
    for service in ("recommendation", "conversation"):
        found = list(yaml.safe_load_all((REPOSITORY / f"manifests/gateway/shop/{service}.yaml").read_text()))
        [route] = [each for each in found if each["kind"] == "HTTPRoute"]
        [policy] = [each for each in found if each["kind"] == "BackendTrafficPolicy"]
        assert [rule["name"] for rule in route["spec"]["rules"]] == ["sticky", "anonymous"]
        for rule in route["spec"]["rules"]:
            assert [ref["name"] for ref in rule["backendRefs"]] == [f"{service}-canary", f"{service}-control"]
            assert sum(ref["weight"] for ref in rule["backendRefs"]) == 100
            assert all(ref["filters"] for ref in rule["backendRefs"])
        assert policy["spec"]["targetRefs"][0]["sectionName"] == "sticky"
        hashed = [each["name"] for each in policy["spec"]["loadBalancer"]["consistentHash"]["headers"]]
        [salts] = yaml.safe_load_all((gateway.MANIFESTS / "salts.yaml").read_text())
        salted = {each["name"] for each in salts["spec"]["headers"]["earlyRequestHeaders"]["set"]}
        assert hashed[0] == "x-user-id"
        assert hashed[1] in salted
