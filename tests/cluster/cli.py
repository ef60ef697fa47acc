"""The commands: `python3 -m tests.cluster --help` lists them."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import signal
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster import bases, binaries, daemon, doctor, gateway, host, kind, places, project, source, versions
from tests.cluster.kind import NAME, NODE, Cluster
from tests.cluster.shell import Shell, StepError, answer, duration, tail
from tests.cluster.steps import Step, note_timing, only_one, run_steps, timings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.cluster.places import Places

INTERRUPTED = 130


def up(at: Places) -> int:
    """Bring the cluster up: build or pull what is missing, create it, wait until it is ready."""
    begun = time.monotonic()
    ran = _docker(at)
    ran += run_steps(binaries.steps(at, binaries.TOOLS), at)
    images = kind.image_steps(at)
    ran += _supplied(images, at)
    ran += _supplied(bases.steps(at)[:1] + _prometheus_steps(at), at)
    ran += run_steps(Cluster(at).steps(), at)
    took = time.monotonic() - begun
    note_timing(at, "up" if ran else "up (nothing to do)", took)
    print(f"The cluster is up: {NAME}, Kubernetes {_release()}, ready after {duration(took)}.")
    print(f"To use it:  export KUBECONFIG={at.kubeconfig} PATH={at.bin}:$PATH")
    return 0


def down(at: Places) -> int:
    """Delete the cluster; what it was made from stays, so the next `up` is quick."""
    if not daemon.running() or daemon.container_state(NODE) is None:
        print("There is no cluster.")
        return 0
    at.logs.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    Cluster(at).delete(Shell(at.logs / "kind-delete.log"))
    note_timing(at, "down", time.monotonic() - begun)
    print(f"Deleted. What it was made from stays in {at.cache}; `purge` removes that too.")
    return 0


def status(at: Places) -> int:
    """Say whether the cluster is ready, and show its node and pods."""
    cluster = Cluster(at)
    if not cluster.ready():
        print(f"The cluster is not ready: node {daemon.container_state(NODE) or 'not created'}. `up` repairs that.")
        return 1
    print(answer(*cluster.kubectl("get", "nodes,pods", "-A", "-o", "wide")) or "")
    return 0


def tests(at: Places) -> int:
    """Build the programs that integration tests start as plain processes, and print their folder."""
    with contextlib.redirect_stdout(sys.stderr):
        run_steps(binaries.steps(at, binaries.TESTS), at)
    print(at.bin)
    return 0


def base_images(at: Places) -> int:
    """Supply the usual images that Dockerfiles and manifests name, pulled or stood in for."""
    _docker(at)
    _supplied([*_prometheus_steps(at), *bases.steps(at)], at)
    return 0


def images(at: Places, wanted: Sequence[str] = ()) -> int:
    """Build the project's images, all or those named, and supply the usual ones that they and the manifests need."""
    known = {image.name: image for image in project.IMAGES}
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise StepError(f"There is no image {unknown[0]}; write {', '.join(known)}, or nothing for all.")
    chosen = tuple(known[name] for name in wanted or known)
    _docker(at)
    begun = time.monotonic()
    # Not Prometheus's: `up` supplies it, because a cluster without it shows nothing.
    ran = _supplied([step for step in bases.steps(at) if step.name != "prometheus-image"], at)
    ran += run_steps(project.steps(at, chosen), at)
    note_timing(at, "images" if ran else "images (nothing to do)", time.monotonic() - begun)
    print("Images: " + ", ".join(image.tag for image in chosen))
    return 0


def load(at: Places) -> int:
    """Put the project's images, Prometheus and PostgreSQL into the node, each only where it isn't there."""
    if daemon.container_state(NODE) != "running":
        raise StepError("The cluster does not run, so nothing can be put into it: run `up` first.")
    tags = [*kind.PROJECT_IMAGES, versions.prometheus_image(), versions.POSTGRES_IMAGE]
    run_steps([Cluster(at).load_step("kind-load", tags, 20)], at)
    absent = [tag for tag in tags if daemon.image_id(tag) is None]
    print("The node has what is built here." + (f" Not built: {', '.join(absent)}." if absent else ""))
    return 0


def add_gateway(at: Places) -> int:
    """Build Envoy Gateway, put it into the cluster that runs, and wait until a Gateway answers on port 30080."""
    # The programs come first: they take minutes, and need neither Docker nor a cluster.
    if not source.pulls():
        run_steps(gateway.build_steps(at), at)
    else:
        run_steps(binaries.steps(at, (gateway.RENDER,)), at)
    _docker(at)
    _supplied(bases.steps(at)[:1], at)
    run_steps(gateway.steps(at), at)
    print(
        f"The Gateway answers on 127.0.0.1:30080: Envoy Gateway {gateway.release()}, Envoy {gateway.envoy_release()}."
    )
    return 0


def gateway_if_built(at: Places) -> int:
    """Add the gateway where that takes a minute: its programs are built, or images can be pulled."""
    if source.pulls() or all(step.done() for step in gateway.build_steps(at)):
        return add_gateway(at)
    print("No gateway: its programs are not built yet. `make gateway` builds them, in 17 minutes.")
    return 0


def gateway_programs(at: Places) -> int:
    """Build Envoy Gateway's programs and nothing else: minutes, without Docker and without a cluster."""
    run_steps(gateway.build_steps(at), at)
    return 0


def kubeconfig(at: Places) -> int:
    """Print the path of the cluster's kubeconfig."""
    print(at.kubeconfig)
    return 0 if at.kubeconfig.exists() else 1


def times(at: Places) -> int:
    """Print how long each step took on this machine."""
    print(f"{'step':<28} {'last':>8} {'median':>8} {'slowest':>8}  runs")
    for name, seconds in timings(at).items():
        figures = [
            duration(n) if n >= 10 else f"{n:.1f}s" for n in (seconds[-1], statistics.median(seconds), max(seconds))
        ]
        print(f"{name:<28} {figures[0]:>8} {figures[1]:>8} {figures[2]:>8}  {len(seconds)}")
    return 0


def inspect(at: Places) -> int:
    """Say what is in order and what isn't, without changing anything."""
    found = doctor.checks(at)
    for check in found:
        print(f"{'ok' if check.good else '--':<3} {check.name:<13} {check.found}")
    return 0 if all(check.good for check in found) else 1


def purge(at: Places) -> int:
    """Delete the cluster, the cache and the images that were made here; say how much that frees."""
    begun = _free(at.cache)
    if daemon.running():
        down(at)
        made = (answer("docker", "image", "ls", "-q", "--filter", f"label={daemon.KEY_LABEL}") or "").split()
        if made:
            answer("docker", "image", "rm", "-f", *dict.fromkeys(made), timeout=300)
            print(f"Removed {len(set(made))} images.")
    shutil.rmtree(at.cache, ignore_errors=True)
    freed = sum(_free(at.cache).values()) - sum(begun.values())
    print(f"Removed {at.cache}. {freed / 2**30:.1f} GiB more are free.")
    print("Go's own caches stay: `go clean -cache -modcache` empties them.")
    return 0


def _free(cache: Path) -> dict[int, int]:
    """Return the free bytes of each filesystem that we write to, by device."""
    docker = answer("docker", "info", "-f", "{{.DockerRootDir}}", timeout=20) or "/"
    places_written = [cache if cache.exists() else cache.parent, Path(docker)]
    return {path.stat().st_dev: shutil.disk_usage(path).free for path in places_written if path.exists()}


COMMANDS: dict[str, tuple[Callable[[Places], int], bool]] = {  # what runs, and whether it changes something
    "up": (up, True),
    "down": (down, True),
    "status": (status, False),
    "binaries": (tests, True),
    "base-images": (base_images, True),
    "images": (images, True),
    "load": (load, True),
    "gateway": (add_gateway, True),
    "gateway-if-built": (gateway_if_built, True),
    "gateway-programs": (gateway_programs, True),
    "kubeconfig": (kubeconfig, False),
    "timings": (times, False),
    "doctor": (inspect, False),
    "purge": (purge, True),
}


def main(arguments: Sequence[str]) -> int:
    """Run a command; return its exit code: 1 when a step failed, 130 when interrupted."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.cluster", description="A real cluster for Serin.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, (function, _) in COMMANDS.items():
        command = commands.add_parser(name, help=(function.__doc__ or "").partition("\n")[0])
        if name == "images":
            command.add_argument("names", nargs="*", help="operator, recommendation, conversation; all without")
    options = parser.parse_args(arguments)
    chosen = options.command
    function, changes = COMMANDS[chosen]
    at = places.from_environment()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        # The tests ask for their programs while images may be in the making: what is there needs no lock.
        there = chosen == "binaries" and all(step.done() for step in binaries.steps(at, binaries.TESTS))
        with only_one(at, chosen) if changes and not there else contextlib.nullcontext():
            return images(at, options.names) if chosen == "images" else function(at)
    except StepError as error:
        if error.log is not None:
            print(f"{tail(error.log)}\n\nThe whole log: {error.log}", file=sys.stderr)
        print(f"Failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\nInterrupted. What is done stays done: run `{parser.prog} {chosen}` again to go on.", file=sys.stderr)
        return INTERRUPTED


def _interrupt(number: int, frame: object) -> None:
    del number, frame
    raise KeyboardInterrupt


def _docker(at: Places) -> int:
    return run_steps([host.packages(build=False), *daemon.steps(at), host.inotify()], at)


def _prometheus_steps(at: Places) -> list[Step]:
    """Return the steps for Prometheus's image: its programs are compiled only where the image isn't pulled."""
    image = bases.steps(at)[2]
    if image.done() or source.pulls():
        return [image]
    return [*binaries.steps(at, binaries.TESTS), image]


def _supplied(steps: Sequence[Step], at: Places) -> int:
    """Do steps that may have to build images, with the packages for that where they will."""
    if all(step.done() for step in steps):
        return 0
    ran = 0 if source.pulls() else run_steps([host.packages(build=True)], at)
    return ran + run_steps(steps, at)


def _release() -> str:
    return (
        versions.USUAL_NODE_IMAGE.partition(":")[2].partition("@")[0]
        if (daemon.image_id(versions.USUAL_NODE_IMAGE))
        else versions.kubernetes()
    )
