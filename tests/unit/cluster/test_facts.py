"""The pure parts that read other people's formats: a wrong guess in any of them costs a cold start to find."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cluster import binaries, kind, project, source, versions
from tests.cluster.host import mirror_in
from tests.cluster.places import HERE
from tests.cluster.shell import StepError, duration, last_line

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("module", "release"), [("v0.311.3", "v3.11.3"), ("v0.307.0", "v3.7.0"), ("v0.400.1", "v4.0.1")]
)
def test_prometheus_release(module: str, release: str) -> None:
    """The version of Prometheus's Go module gives the tag of its image."""
    assert versions.prometheus_release(module) == release


def test_prometheus_2_is_refused() -> None:
    """A module version of Prometheus 2 has another scheme, and is named in the error."""
    with pytest.raises(LookupError, match=r"v0\.55\.1"):
        versions.prometheus_release("v0.55.1")


def test_versions_come_from_go_mod() -> None:
    """A required module's version is found in both forms of a require line, and a missing one is an error."""
    text = "module m\n\nrequire k8s.io/kubernetes v1.34.3\n\nrequire (\n\tk8s.io/api v0.34.3 // indirect\n)\n"
    assert versions.required(text, "k8s.io/kubernetes") == "v1.34.3"
    assert versions.required(text, "k8s.io/api") == "v0.34.3"
    with pytest.raises(LookupError, match=r"k8s\.io/none"):
        versions.required(text, "k8s.io/none")


def test_the_readme_names_the_images_that_are_made() -> None:
    """Whoever writes a manifest copies names from the README; they are those that the tooling supplies."""
    readme = (HERE / "README.md").read_text()
    supplied = (versions.DEBIAN_IMAGE, versions.PYTHON_IMAGE, versions.POSTGRES_IMAGE, versions.prometheus_image())
    assert [image for image in supplied if f"`{image}`" not in readme] == []


def test_every_program_has_its_module() -> None:
    """Each program names a folder with go.mod, and no two programs share a name."""
    assert all((versions.MODULES / program.module / "go.mod").is_file() for program in binaries.ALL)
    assert len({program.name for program in binaries.ALL}) == len(binaries.ALL)
    assert len({binaries.key(program) for program in binaries.ALL}) == len(binaries.ALL)


@pytest.mark.parametrize(
    ("sources", "mirror"),
    [
        ("Types: deb\n# a comment\nURIs: http://a.test/debian\nSuites: bookworm\n", "http://a.test/debian"),
        ("deb [signed-by=/k.gpg] https://b.test/debian/ bookworm main\n", "https://b.test/debian"),
        ("deb http://c.test/debian-security bookworm-security main\ndeb http://c.test/debian bookworm main\n",
         "http://c.test/debian"),
        ("deb http://d.test/archive/debian/20250101T000000Z bookworm main\n",
         "http://d.test/archive/debian/20250101T000000Z"),
        ("# deb http://e.test/debian bookworm main\ndeb http://e.test/ubuntu noble main\n", None),
    ],
)  # fmt: skip
def test_the_mirror_is_the_hosts_own(sources: str, mirror: str | None) -> None:
    """Both formats of apt sources are read; security archives, other systems and comments are not taken."""
    assert mirror_in(sources) == mirror


@pytest.mark.parametrize(
    ("tag", "name"),
    [
        ("python:3.11-slim", "docker.io/library/python:3.11-slim"),
        ("serin/operator:dev", "docker.io/serin/operator:dev"),
        ("registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10"),
        ("localhost:5000/a:b", "localhost:5000/a:b"),
    ],
)
def test_full_names(tag: str, name: str) -> None:
    """Short names are completed as containerd does."""
    assert kind.full_name(tag) == name


def test_an_image_is_loaded_only_where_the_node_lacks_it() -> None:
    """The node has an image when its tag and our id point at the same content there."""
    listing = (
        "REF TYPE DIGEST SIZE PLATFORMS LABELS\n"
        "docker.io/serin/operator:dev application/x sha256:content1 1 MiB linux/amd64 -\n"
        "sha256:id1 application/x sha256:content1 1 MiB linux/amd64 -\n"
        "docker.io/serin/conversation:dev application/x sha256:content2 1 MiB linux/amd64 -\n"
        "sha256:old application/x sha256:content2 1 MiB linux/amd64 -\n"
    )
    local = {"serin/operator:dev": "sha256:id1", "serin/conversation:dev": "sha256:new", "python:3": "sha256:p"}
    assert kind.lacking(listing, local) == ["serin/conversation:dev", "python:3"]
    assert kind.lacking("", local) == list(local)


def test_readiness_from_before_a_restart_does_not_count() -> None:
    """After the node's restart the API still tells of pods of before; only one that started since then is ready."""
    started = "2026-01-02T03:04:05.678Z"
    assert kind.any_ready_since("true 2026-01-02T03:04:05Z\n", started)
    assert not kind.any_ready_since("true 2026-01-02T03:04:04Z\nfalse 2026-01-02T03:05:00Z\nfalse \n", started)
    assert not kind.any_ready_since("", started)


DOCKERFILE = """\
FROM python:3.11-slim AS build
COPY requirements/operator.txt wheel[s] /build/
FROM python:3.11-slim
COPY --from=build /opt/venv /opt/venv
COPY --chown=1:1 operator/serin \\
     LICENSE /app/
"""


def test_what_a_dockerfile_copies() -> None:
    """Sources of COPY are found, without options, targets, or what comes from another stage."""
    assert project.copied(DOCKERFILE) == ["requirements/operator.txt", "wheel[s]", "operator/serin", "LICENSE"]


def test_a_context_holds_exactly_what_is_copied(tmp_path: Path) -> None:
    """Files that the Dockerfile doesn't copy are not staged, compiled ones never, and modes don't depend on a umask."""
    repository, context = tmp_path / "repository", tmp_path / "context"
    for name in (
        "requirements/operator.txt",
        "operator/serin/a.py",
        "operator/serin/__pycache__/a.pyc",
        "LICENSE",
        "x",
    ):
        path = repository / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        path.chmod(0o600)
    (repository / "Dockerfile").write_text(DOCKERFILE)
    context.mkdir()
    project.stage(repository / "Dockerfile", repository, context)
    staged = {path.relative_to(context).as_posix() for path in context.rglob("*") if path.is_file()}
    assert staged == {"Dockerfile", "requirements/operator.txt", "operator/serin/a.py", "LICENSE"}
    assert {path.stat().st_mode & 0o777 for path in context.rglob("*") if path.is_file()} == {0o644}
    (repository / "LICENSE").unlink()
    with pytest.raises(StepError, match="copies LICENSE, which is not in the repository"):
        project.stage(repository / "Dockerfile", repository, context)


def test_the_decision_is_a_sentence() -> None:
    """Whoever waits is told whether images are pulled or built."""
    assert "pulled" in source.decision(reachable=True)
    assert "built here" in source.decision(reachable=False)


@pytest.mark.parametrize(("seconds", "text"), [(8.4, "8s"), (125, "2m05s"), (3720, "1h02m"), (59.7, "1m00s")])
def test_durations(seconds: float, text: str) -> None:
    """Durations are written as people do."""
    assert duration(seconds) == text


def test_the_last_line_of_a_log(tmp_path: Path) -> None:
    """Blank lines and rewritten lines don't hide what a program said last."""
    log = tmp_path / "log"
    assert last_line(log) == ""
    log.write_text("first\n10 %\r20 %\r\n\n")
    assert last_line(log) == "20 %"
