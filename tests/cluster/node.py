"""The kind node image, built where the usual one can't be pulled.

kind's own files come from its Go module, the system from Debian, Kubernetes from its Go module. The control plane's
images are made from single static programs and put into the node's containerd, so that nothing is left to pull.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster import bases, binaries, daemon, versions
from tests.cluster.places import HERE
from tests.cluster.shell import Shell, StepError
from tests.cluster.steps import Step, digest, write

if TYPE_CHECKING:
    from tests.cluster.places import Places

PACKAGES_IMAGE = "serin/node-packages:dev"
BASE_IMAGE = "serin/node-base:dev"
# bookworm's systemd 252 is also the newest that accepts cgroup v1
PACKAGES = (
    "systemd",
    "dbus",
    "conntrack",
    "iptables",
    "nftables",
    "iproute2",
    "ethtool",
    "util-linux",
    "mount",
    "kmod",
    "libseccomp2",
    "pigz",
    "e2fsprogs",
    "bash",
    "ca-certificates",
    "curl",
    "jq",
    "procps",
    "socat",
    "containerd",
    "runc",
    "containernetworking-plugins",
)
CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
IMPORT = """\
set -e
containerd >/tmp/containerd.log 2>&1 & containerd=$!
for _ in $(seq 100); do ctr version >/dev/null 2>&1 && break; sleep 0.2; done
ctr -n k8s.io images import --all-platforms --no-unpack --digests /archive/images.tar
kill $containerd; wait $containerd || true
rm -f /tmp/containerd.log
"""


def steps(places: Places) -> list[Step]:
    """Return the steps that build the node image, on programs and a Debian that are there already."""
    return [
        Step(
            "node-packages",
            "installs systemd, containerd and network tools into Debian",
            10,
            lambda: daemon.image_key(PACKAGES_IMAGE) == _packages_key(),
            lambda shell: bases.packaged(shell, places, PACKAGES_IMAGE, packages=PACKAGES, key=_packages_key()),
        ),
        Step(
            "node-base",
            "adds kind's own files and Kubernetes's programs",
            10,
            lambda: daemon.image_key(BASE_IMAGE) == key(),
            lambda shell: _base(shell, places),
        ),
        Step(
            "node-image",
            "puts the control plane's images into the node image",
            25,
            lambda: daemon.image_key(versions.node_image()) == key(),
            lambda shell: _node(shell, places),
        ),
    ]


def key() -> str:
    """Return the key of everything that the node image is made from."""
    programs = [binaries.key(program) for program in binaries.ALL if program.module != "prometheus"]
    return digest(
        _packages_key(),
        *programs,
        HERE / "files/node",
        HERE / "files/node.Dockerfile",
        IMPORT,
        *(_dockerfile(image)[0] for image in (*CONTROL_PLANE, "etcd", "coredns", "pause")),
    )


def _packages_key() -> str:
    return digest(bases.debian_key(), *PACKAGES)


def images(shell: Shell, places: Places) -> dict[str, str]:
    """Return the names of the control plane's images, which kubeadm itself knows, by program."""
    listed = shell.output(
        places.bin / "kubeadm", "config", "images", "list", "--kubernetes-version", versions.kubernetes()
    ).splitlines()
    return {image.rpartition("/")[2].partition(":")[0]: image for image in listed}


def _base(shell: Shell, places: Places) -> None:
    context = places.work / "node-base"
    shutil.rmtree(context, ignore_errors=True)
    # Files in the module cache are read-only; the modes that kind's Dockerfile gives are set again there.
    shutil.copytree(_kind_files(shell, places), context / "kind-files", copy_function=shutil.copyfile)
    for folder in (p for p in (context / "kind-files").rglob("*") if p.is_dir()):
        folder.chmod(0o755)
    (context / "kind-files").chmod(0o755)
    shutil.copytree(HERE / "files/node", context / "node-files", copy_function=shutil.copyfile)
    write(context / "node-files/kind/version", versions.kubernetes())
    for name in ("kubeadm", "kubelet", "kubectl"):
        shutil.copy2(places.bin / name, context / name)
    shell.run(
        "docker",
        "build",
        "-f",
        HERE / "files/node.Dockerfile",
        "-t",
        BASE_IMAGE,
        "--build-arg",
        f"PACKAGES={PACKAGES_IMAGE}",
        "--build-arg",
        f"PAUSE_IMAGE={images(shell, places)['pause']}",
        "--label",
        f"{daemon.KEY_LABEL}={key()}",
        context,
        env=bases.LEGACY,
        why="The base of the node image could not be built.",
    )
    shutil.rmtree(context)


def _kind_files(shell: Shell, places: Places) -> Path:
    module = shell.output(
        binaries.go(places),
        "list",
        "-mod=readonly",
        "-m",
        "-f",
        "{{.Dir}}",
        "sigs.k8s.io/kind",
        cwd=versions.MODULES / "kind",
    )
    files = Path(module) / "images/base/files"
    if not files.is_dir():
        raise StepError(f"kind {versions.kind()} has no images/base/files in its Go module.", shell.log)
    return files


def _dockerfile(image: str) -> tuple[str, list[str]]:
    """Return the Dockerfile of a control plane image, and the programs that it holds."""
    if image == "pause":
        return 'FROM scratch\nCOPY pause /pause\nENTRYPOINT ["/pause"]\n', ["pause"]
    if image == "coredns":
        return 'FROM scratch\nCOPY coredns /coredns\nENTRYPOINT ["/coredns"]\n', ["coredns"]
    if image == "etcd":
        return "FROM scratch\nCOPY etcd etcdctl /usr/local/bin/\n", ["etcd", "etcdctl"]
    if image == "kube-proxy":  # it calls iptables and conntrack
        return f"FROM {PACKAGES_IMAGE}\nCOPY kube-proxy /usr/local/bin/\n", ["kube-proxy"]
    return f"FROM scratch\nCOPY {image} /usr/local/bin/\n", [image]


def _node(shell: Shell, places: Places) -> None:
    listed = images(shell, places)
    for image, tag in listed.items():
        dockerfile, programs = _dockerfile(image)
        bases.build(shell, places, tag, dockerfile, files=[(places.bin / name, name) for name in programs], key=key())
    archive = places.work / "node-archive" / "images.tar"
    archive.parent.mkdir(parents=True, exist_ok=True)
    shell.run("docker", "save", "-o", archive, *listed.values())
    container = "serin-node-image"
    if daemon.container_state(container):
        shell.output("docker", "rm", "-f", container)
    shell.run(
        "docker",
        "run",
        "--privileged",
        "--name",
        container,
        "--entrypoint",
        "bash",
        "-v",
        f"{archive.parent}:/archive:ro",
        BASE_IMAGE,
        "-c",
        IMPORT,
        why="The control plane's images could not be put into the node's containerd.",
    )
    shell.run(
        "docker",
        "commit",
        "--change",
        'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]',
        "--change",
        "CMD []",
        "--change",
        f"LABEL {daemon.KEY_LABEL}={key()}",
        container,
        versions.node_image(),
    )
    shell.output("docker", "rm", "-v", container)
    shutil.rmtree(archive.parent)
