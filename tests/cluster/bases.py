"""Stand-ins of the same name for usual images that can't be pulled.

Dockerfiles and manifests name what everybody names; this makes those names exist. A Debian comes from debootstrap, and
everything else is that Debian with packages of the same archive. The host's package sources and certificates are lent
while packages are installed and never get into an image. An image carries the key of its inputs as a label; one without
the label was pulled, and is left alone.
"""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster import binaries, daemon, host, source, versions
from tests.cluster.places import HERE
from tests.cluster.steps import Step, digest, write

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.cluster.places import Places
    from tests.cluster.shell import Shell

SUITE = "bookworm"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
LEGACY = {"DOCKER_BUILDKIT": "0"}  # Debian's Docker has no buildx
PYTHON_PACKAGES = ("python3", "python3-venv", "python3-pip", "ca-certificates", "netbase", "tzdata", "media-types")
POSTGRES_PACKAGES = ("postgresql-15", "ca-certificates", "netbase", "tzdata", "locales")
POSTGRES_PACKAGES_IMAGE = "serin/postgres-packages:dev"
POSTGRES_DOCKERFILE = f"""\
    FROM {POSTGRES_PACKAGES_IMAGE}
    COPY docker-entrypoint.sh /usr/local/bin/
    ENV PATH=/usr/lib/postgresql/15/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    ENV PGDATA=/var/lib/postgresql/data LANG=C.UTF-8
    USER 999:999
    VOLUME /var/lib/postgresql/data
    EXPOSE 5432
    STOPSIGNAL SIGINT
    ENTRYPOINT ["docker-entrypoint.sh"]
    CMD ["postgres"]
    """
PROMETHEUS_DOCKERFILE = """\
    FROM debian:bookworm-slim
    COPY prometheus promtool /bin/
    COPY prometheus.yml /etc/prometheus/prometheus.yml
    RUN mkdir -p /prometheus && chown 65534:65534 /prometheus && chmod -R a+rX /etc/prometheus
    USER 65534:65534
    WORKDIR /prometheus
    VOLUME /prometheus
    EXPOSE 9090
    ENTRYPOINT ["/bin/prometheus"]
    CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]
    """
# The usual image has its user as 999 before the package comes; every path that the server writes to belongs to it.
POSTGRES_BEFORE = "groupadd -r --gid 999 postgres; useradd -r -g postgres --uid 999 -d /var/lib/postgresql postgres"
POSTGRES_AFTER = (
    "rm -rf /var/lib/postgresql/15 /etc/postgresql; mkdir -p /var/lib/postgresql/data /docker-entrypoint-initdb.d"
    "; chown -R 999:999 /var/lib/postgresql /var/run/postgresql; chmod 1777 /var/run/postgresql"
)


def steps(places: Places) -> list[Step]:
    """Return the steps after which every usual image is there, pulled or stood in for."""
    return [
        _debian(places),
        usual(
            versions.PYTHON_IMAGE,
            "python",
            "adds Python 3.11 to Debian",
            seconds=10,
            key=python_key(),
            stand_in=lambda shell: packaged(
                shell,
                places,
                versions.PYTHON_IMAGE,
                packages=PYTHON_PACKAGES,
                key=python_key(),
                after="ln -sf /usr/bin/python3 /usr/local/bin/python; rm -f /usr/lib/python3*/EXTERNALLY-MANAGED",
                changes=("ENV LANG=C.UTF-8", 'CMD ["python3"]'),
            ),
        ),
        usual(
            versions.prometheus_image(),
            "prometheus-image",
            "puts Prometheus into an image",
            seconds=3,
            key=_prometheus_key(),
            stand_in=lambda shell: _prometheus(shell, places),
        ),
        usual(
            versions.POSTGRES_IMAGE,
            "postgres",
            "adds PostgreSQL 15 to Debian",
            seconds=20,
            key=_postgres_key(),
            stand_in=lambda shell: _postgres(shell, places),
        ),
    ]


def usual(tag: str, name: str, does: str, *, seconds: float, key: str, stand_in: Callable[[Shell], None]) -> Step:
    """Return a step that pulls an image, or stands in for it where that doesn't work."""

    def run(shell: Shell) -> None:
        if source.pulls():
            shell.run("docker", "pull", tag, why=f"{tag} could not be pulled.")
        else:
            stand_in(shell)

    return Step(name, f"pulls {tag}, or {does}", seconds, lambda: daemon.image_key(tag) in {"", key}, run)


def build(
    shell: Shell, places: Places, tag: str, dockerfile: str, *, files: Sequence[tuple[Path, str]], key: str
) -> None:
    """Build a small image from a Dockerfile's text and (file, name in the context) pairs."""
    context = places.work / f"image-{shell.log.stem}"
    shutil.rmtree(context, ignore_errors=True)
    write(context / "Dockerfile", textwrap.dedent(dockerfile))
    for path, name in files:
        target = context / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    shell.run("docker", "build", "--label", f"{daemon.KEY_LABEL}={key}", "-t", tag, context, env=LEGACY)
    shutil.rmtree(context)


def packaged(
    shell: Shell,
    places: Places,
    tag: str,
    *,
    packages: Sequence[str],
    key: str,
    before: str = "true",
    after: str = "true",
    changes: Sequence[str] = (),
) -> None:
    """Make an image that is Debian with more packages, and with shell commands before and after them."""
    sources = places.work / "sources.list"
    mirror = host.debian_mirror()
    write(sources, f"deb {mirror} {SUITE} main\ndeb {mirror} {SUITE}-updates main\n")
    script = (
        f"set -e; export DEBIAN_FRONTEND=noninteractive; {before}; apt-get update"
        f"; apt-get install -y --no-install-recommends {' '.join(packages)}; {after}"
        "; apt-get clean; rm -rf /var/lib/apt/lists/* /var/log/* /usr/share/doc/* /usr/share/man/*"
    )
    container = f"serin-{shell.log.stem}"
    if daemon.container_state(container):  # of a run that was interrupted
        shell.output("docker", "rm", "-f", container)
    mounts, settings = _host_apt(sources)
    script = f"printf '%s\\n' {settings} >/tmp/apt.conf; export APT_CONFIG=/tmp/apt.conf; {script}; rm /tmp/apt.conf"
    shell.run(
        "docker",
        "run",
        "--name",
        container,
        "--network",
        "host",
        *mounts,
        versions.DEBIAN_IMAGE,
        "sh",
        "-c",
        script,
        why=f"Packages for {tag} could not be installed.",
    )
    wanted = [f"LABEL {daemon.KEY_LABEL}={key}", *changes]
    shell.run("docker", "commit", *[part for change in wanted for part in ("--change", change)], container, tag)
    shell.output("docker", "rm", container)


def _host_apt(sources: Path) -> tuple[list[str], str]:
    """Return the mounts that lend a container the host's apt settings, and the quoted lines that point its apt at them.

    They are mounted below /dev, which is not part of an image: no trace of the host stays, and packages can still write
    to /etc/apt.
    """
    lent = [
        (sources, "Dir::Etc::sourcelist"),
        (Path("/etc/apt/apt.conf.d"), "Dir::Etc::parts"),
        (Path("/etc/apt/auth.conf.d"), "Dir::Etc::netrcparts"),
        (CERTIFICATES, "Acquire::https::CaInfo"),
    ]
    mounts, settings = [], []
    for number, (path, setting) in enumerate(lent):
        if path.exists():
            mounts += ["-v", f"{path}:/dev/host-apt-{number}:ro"]
            settings.append(f"'{setting} \"/dev/host-apt-{number}\";'")
    return mounts, " ".join(settings)


def debian_key() -> str:
    """Return the key of the Debian stand-in; a constant, for its packages are those of the day."""
    return digest("debootstrap minbase", SUITE)


def python_key() -> str:
    """Return the key of the Python stand-in."""
    return digest(debian_key(), *PYTHON_PACKAGES)


def _debian(places: Places) -> Step:
    tag = versions.DEBIAN_IMAGE

    def stand_in(shell: Shell) -> None:
        root, archive = places.work / "debian", places.work / "debian.tar"
        shutil.rmtree(root, ignore_errors=True)
        root.parent.mkdir(parents=True, exist_ok=True)
        shell.run(
            "debootstrap",
            "--variant=minbase",
            SUITE,
            root,
            host.debian_mirror(),
            why="debootstrap could not make a Debian.",
        )
        write(root / "etc/apt/sources.list", "")  # the image names no host: whoever installs mounts its own sources
        for waste in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "var/log"):
            shutil.rmtree(root / waste, ignore_errors=True)
            (root / waste).mkdir(parents=True)
        shell.run(
            "tar", "-C", root, "--exclude=./dev/*", "--exclude=./proc/*", "--exclude=./sys/*", "-cf", archive, "."
        )
        shell.run(
            "docker",
            "import",
            "--change",
            f"LABEL {daemon.KEY_LABEL}={debian_key()}",
            "--change",
            'CMD ["bash"]',
            archive,
            tag,
        )
        archive.unlink()
        shutil.rmtree(root)

    return usual(
        tag, "debian", "makes a minimal Debian with debootstrap", seconds=25, key=debian_key(), stand_in=stand_in
    )


def _prometheus_key() -> str:
    programs = [binaries.key(program) for program in binaries.TESTS if program.module == "prometheus"]
    return digest(debian_key(), PROMETHEUS_DOCKERFILE, *programs, HERE / "files/prometheus.yml")


def _prometheus(shell: Shell, places: Places) -> None:
    files = [
        (places.bin / "prometheus", "prometheus"),
        (places.bin / "promtool", "promtool"),
        (HERE / "files/prometheus.yml", "prometheus.yml"),
    ]
    build(shell, places, versions.prometheus_image(), PROMETHEUS_DOCKERFILE, files=files, key=_prometheus_key())


def _postgres_key() -> str:
    return digest(
        debian_key(),
        *POSTGRES_PACKAGES,
        POSTGRES_DOCKERFILE,
        POSTGRES_BEFORE,
        POSTGRES_AFTER,
        HERE / "files/postgres-entrypoint",
    )


def _postgres(shell: Shell, places: Places) -> None:
    key = _postgres_key()
    packaged(
        shell,
        places,
        POSTGRES_PACKAGES_IMAGE,
        packages=POSTGRES_PACKAGES,
        key=key,
        before=POSTGRES_BEFORE,
        after=POSTGRES_AFTER,
    )
    build(
        shell,
        places,
        versions.POSTGRES_IMAGE,
        POSTGRES_DOCKERFILE,
        files=[(HERE / "files/postgres-entrypoint", "docker-entrypoint.sh")],
        key=key,
    )
