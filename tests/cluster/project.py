"""Serin's own images, built from the repository with exactly the files that their Dockerfiles copy.

Wheels are downloaded on the host, with the hashes of the requirements file, and staged beside those files: a build
needs no network then, and the same Dockerfile works for somebody who runs `docker build .` with one.
"""

from __future__ import annotations

import importlib.util
import platform
import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.cluster import bases, daemon, versions
from tests.cluster.places import REPOSITORY
from tests.cluster.shell import Shell, StepError
from tests.cluster.steps import Step, digest, read, write

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.places import Places

IGNORED = ("__pycache__", "*.pyc", ".mypy_cache", ".ruff_cache")
PYTHON = versions.PYTHON_IMAGE.partition(":")[2].partition("-")[0]
GLIBC = range(36, 4, -1)  # bookworm has 2.36; wheels for any older one do too


@dataclass(frozen=True)
class Image:
    """One of the project's images: its short name, and its Dockerfile below the repository."""

    name: str
    dockerfile: str

    @property
    def tag(self) -> str:
        """The name that manifests use."""
        return f"serin/{self.name}:dev"

    @property
    def requirements(self) -> Path:
        """The pins with hashes."""
        return REPOSITORY / "requirements" / f"{self.name}.txt"


IMAGES = (
    Image("operator", "operator/Dockerfile"),
    Image("recommendation", "services/recommendation/Dockerfile"),
    Image("conversation", "services/conversation/Dockerfile"),
)


def steps(places: Places, images: tuple[Image, ...] = IMAGES) -> list[Step]:
    """Return the steps that download wheels and build the images."""
    return [step for image in images for step in (_wheels(places, image), _build(places, image))]


def copied(dockerfile: str) -> list[str]:
    """Return what a Dockerfile's COPY lines take from the context, in order: paths and shell globs."""
    found: list[str] = []
    for line in dockerfile.replace("\\\n", " ").splitlines():
        words = line.split()
        if not words or words[0].upper() != "COPY":
            continue
        options = [word for word in words[1:] if word.startswith("--")]
        if not any(option.startswith("--from=") for option in options):
            found += [word for word in words[1:-1] if not word.startswith("--")]
    return list(dict.fromkeys(found))


def stage(dockerfile: Path, repository: Path, context: Path) -> None:
    """Fill a build context with what a Dockerfile copies, modes made the same whatever the checkout's umask was.

    Raises:
        StepError: something that it copies by name isn't in the repository.
    """
    for pattern in copied(dockerfile.read_text()):
        matches = sorted(repository.glob(pattern.rstrip("/")))
        if not matches and not any(sign in pattern for sign in "*?["):
            raise StepError(f"{dockerfile.relative_to(repository)} copies {pattern}, which is not in the repository.")
        for match in matches:
            target = context / match.relative_to(repository)
            target.parent.mkdir(parents=True, exist_ok=True)
            if match.is_dir():
                ignored = shutil.ignore_patterns(*IGNORED)
                shutil.copytree(match, target, ignore=ignored, dirs_exist_ok=True)
            else:
                shutil.copy2(match, target)
    shutil.copyfile(dockerfile, context / "Dockerfile")
    for path in context.rglob("*"):
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


def _wheels(places: Places, image: Image) -> Step:
    folder, stamp = places.wheels / image.name, places.keys / f"wheels-{image.name}"

    def key() -> str:
        return digest(image.requirements, PYTHON)

    def run(shell: Shell) -> None:
        new = folder.with_name(f".{image.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        machine = {"arm64": "aarch64"}.get(platform.machine(), platform.machine())
        wheels_for = [*(f"manylinux_2_{minor}" for minor in GLIBC), "manylinux2014"]
        platforms = [f"--platform={kind}_{machine}" for kind in wheels_for]
        shell.run(
            *pip(),
            "download",
            "--require-hashes",
            "--only-binary=:all:",
            f"--python-version={PYTHON}",
            "--implementation=cp",
            *platforms,
            "--no-deps",
            "-r",
            image.requirements,
            "-d",
            new,
            why=f"The wheels of {image.requirements.name} could not be downloaded.",
        )
        shutil.rmtree(folder, ignore_errors=True)
        new.rename(folder)
        write(stamp, key())

    return Step(
        f"wheels-{image.name}",
        "downloads Python wheels on the host",
        15,
        lambda: image.requirements.is_file() and folder.is_dir() and read(stamp) == key(),
        run,
    )


def _build(places: Places, image: Image) -> Step:
    dockerfile, context = REPOSITORY / image.dockerfile, places.work / f"context-{image.name}"

    def staged() -> str:
        shutil.rmtree(context, ignore_errors=True)
        context.mkdir(parents=True)
        stage(dockerfile, REPOSITORY, context)
        return digest(context, daemon.image_id(versions.PYTHON_IMAGE) or "", image.requirements)

    def done() -> bool:
        if not dockerfile.is_file():
            return False
        label = daemon.image_key(image.tag)
        return bool(label) and label == staged()

    def run(shell: Shell) -> None:
        if not dockerfile.is_file():
            raise StepError(f"There is no {image.dockerfile}.")
        key = staged()
        shutil.copytree(places.wheels / image.name, context / "wheels")
        shell.run(
            "docker",
            "build",
            "--label",
            f"{daemon.KEY_LABEL}={key}",
            "-t",
            image.tag,
            context,
            env=bases.LEGACY,
            why=f"{image.tag} could not be built from {image.dockerfile}.",
        )
        shutil.rmtree(context)

    return Step(f"image-{image.name}", f"builds {image.tag}", 25, done, run)


def pip() -> list[str]:
    """Return a pip that runs: this Python's, or that of the project's virtual environment."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    ours = REPOSITORY / ".venv/bin/python"
    if ours.exists():
        return [str(ours), "-m", "pip"]
    raise StepError("There is no pip to download wheels with: install python3-pip, or run `make venv` first.")
