"""Whatever a manifest of the demo names is supplied on a cold machine; a forgotten image is found only there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.cluster import cli, kind, versions
from tests.cluster.places import REPOSITORY, Places, from_environment

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import pytest

    from tests.cluster.steps import Step

IMAGE = re.compile(r"^\s*(?:- )?image: *[\"']?([^\s\"']+)", re.MULTILINE)
FOLDERS = ("base", "monitoring", "services", "overlays/kind")
SUPPLIED_BY = {
    versions.POSTGRES_IMAGE: "postgres",
    versions.PYTHON_IMAGE: "python",
    **{tag: f"image-{tag.partition('/')[2].partition(':')[0]}" for tag in kind.PROJECT_IMAGES},
}


def named() -> set[str]:
    """The images of the manifests that the demo applies."""
    files = [path for folder in FOLDERS for path in (REPOSITORY / "manifests" / folder).rglob("*.yaml")]
    return {image for path in files for image in IMAGE.findall(path.read_text())}


def test_images_supplies_what_the_manifests_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`images` runs a step for each of them; Prometheus's comes with `up`."""
    ran: list[str] = []

    def note(steps: Iterable[Step], at: Places) -> int:
        del at
        ran.extend(step.name for step in steps)
        return 0

    monkeypatch.setenv("SERIN_CACHE", str(tmp_path))
    monkeypatch.setattr(cli, "run_steps", note)
    monkeypatch.setattr(cli, "_supplied", note)
    monkeypatch.setattr(cli, "note_timing", lambda *_: None)
    cli.images(from_environment())
    needed = named() - {versions.prometheus_image()}
    assert versions.POSTGRES_IMAGE in needed
    assert [tag for tag in sorted(needed) if SUPPLIED_BY.get(tag.removeprefix("docker.io/")) not in ran] == []
