"""Versions of a model: whole or refused, replaced while serving, the last good one in between."""

import json
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from serin_recommendation.engines import ItemNeighboursEngine, Profile, Query
from serin_recommendation.model import ModelError, ModelWatch, load, newest, save
from serin_recommendation.model.store import CURRENT, KEPT_VERSIONS, MANIFEST, versions
from serin_recommendation.synthetic import synthetic
from serin_recommendation.training.fit import fit


@pytest.fixture
def folder(models: Path, tmp_path: Path) -> Path:
    """Return a copy of a folder with one good version."""
    shutil.copytree(models, tmp_path / "models")
    return tmp_path / "models"


def current(folder: Path) -> Path:
    """Return the folder of the current version."""
    version = newest(folder)
    assert version is not None
    return folder / version


def another(folder: Path, seconds: float = 60.0) -> str:
    """Write one more version, which was made later."""
    model = load(folder, current(folder).name)
    return save(folder, replace(model, made_at=model.made_at + seconds), {})


def test_a_version_comes_back_as_it_was_written(tmp_path: Path) -> None:
    """Every array, the catalogue and the weights survive the disk; arrays are mapped and can't be written."""
    model = fit(synthetic(users=300, items=160))
    version = save(tmp_path, model, {"users": 300})
    found = load(tmp_path, version)
    assert found.items == model.items
    assert dict(found.weights) == pytest.approx(dict(model.weights))
    for name in ("factors", "gram", "taste", "taste_at", "lift", "popularity"):
        assert np.array_equal(getattr(found, name), getattr(model, name)), name
        assert not getattr(found, name).flags.writeable
        assert isinstance(getattr(found, name).base, np.memmap), "mapped, not read"
    for name in ("bm25", "neighbours", "content"):
        for part in ("indptr", "indices", "weights"):
            assert np.array_equal(getattr(getattr(found, name), part), getattr(getattr(model, name), part))
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")], "nothing half-made is left"


def flip(path: Path) -> None:
    """Change one byte in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))


def edit(**changes: object) -> Callable[[Path], None]:
    """Change fields of a manifest."""

    def change(path: Path) -> None:
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


@pytest.mark.parametrize(
    ("name", "damage", "sentence"),
    [
        ("factors.npy", flip, "checksum"),
        ("bm25.indices.npy", flip, "checksum"),
        ("items.json", flip, "checksum"),
        ("taste.npy", Path.unlink, "can't be read"),
        ("content.weights.npy", lambda path: path.write_bytes(b""), "checksum"),
        (MANIFEST, lambda path: path.write_text("{"), "can't be read"),
        (MANIFEST, Path.unlink, "can't be read"),
        (MANIFEST, edit(format=99), "format 99"),
        (MANIFEST, edit(weights={"als": 0.25, "bm25": 0.25, "content": 0.25, "persona": 0.25}), "checksum"),
        (MANIFEST, edit(alpha=40.0), "checksum"),
    ],
)
def test_a_damaged_version_is_refused_with_a_reason(
    folder: Path, name: str, damage: Callable[[Path], object], sentence: str
) -> None:
    """Whatever is wrong with a version, it is refused by a sentence that names it, before it serves."""
    place = current(folder)
    damage(place / name)
    with pytest.raises(ModelError, match=sentence) as error:
        load(folder, place.name)
    assert place.name in str(error.value)


def test_numbers_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    """A training that went wrong writes a version that is whole and still not served."""
    model = fit(synthetic(users=300, items=160))
    broken = replace(model, factors=np.full_like(model.factors, np.nan))
    version = save(tmp_path, broken, {})
    with pytest.raises(ModelError, match="not finite"):
        load(tmp_path, version)
    version = save(tmp_path, replace(model, weights=dict.fromkeys(model.weights, 0.5)), {})
    with pytest.raises(ModelError, match="weights"):
        load(tmp_path, version)
    rows = replace(model.bm25, indices=model.bm25.indices + 1000)
    version = save(tmp_path, replace(model, bm25=rows), {})
    with pytest.raises(ModelError, match="bm25"):
        load(tmp_path, version)


def test_a_new_version_serves_without_a_restart(folder: Path) -> None:
    """The next look at the folder takes it over, and an engine answers with it from then on."""
    registry = CollectorRegistry()
    watch = ModelWatch(folder, registry)
    engine = ItemNeighboursEngine(watch)
    before = engine.version
    version = another(folder)
    assert engine.version == before
    watch.refresh_now()
    assert engine.version.endswith(version)
    assert watch.status()["refused"] is None
    assert registry.get_sample_value("serin_model_loads_total", {"result": "loaded"}) == 2


def test_a_broken_new_version_leaves_the_last_good_one(folder: Path) -> None:
    """The old one serves on, health says why, a series is 1, and the next good one is taken."""
    registry = CollectorRegistry()
    watch = ModelWatch(folder, registry)
    good = watch.model.version
    version = another(folder)
    flip(folder / version / "factors.npy")
    watch.refresh_now()
    assert watch.model.version == good
    assert version in watch.status()["refused"]
    assert registry.get_sample_value("serin_model_refused") == 1
    assert len(ItemNeighboursEngine(watch).rank(watch.model, Query(Profile("u"))).items) == 10
    model = watch.model
    repaired = save(folder, replace(model, made_at=model.made_at + 120.0), {})
    watch.refresh_now()
    assert watch.model.version == repaired
    assert watch.status()["refused"] is None
    assert registry.get_sample_value("serin_model_refused") == 0


def test_a_start_with_a_broken_current_version_takes_an_older_one(folder: Path) -> None:
    """A restart in a bad moment does not end the service."""
    good = current(folder).name
    flip(folder / another(folder) / "items.json")
    registry = CollectorRegistry()
    watch = ModelWatch(folder, registry)
    assert watch.model.version == good
    assert "checksum" in watch.status()["refused"]
    assert registry.get_sample_value("serin_model_refused") == 1


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 3}', '{"version": "../../etc"}'])
def test_a_pointer_that_says_nothing_is_passed_over(folder: Path, content: str) -> None:
    """An unreadable current.json is refused like a version, and leads nowhere outside of the folder."""
    (folder / CURRENT).write_text(content)
    watch = ModelWatch(folder, CollectorRegistry())
    assert watch.model.version == versions(folder)[0]
    assert CURRENT in watch.status()["refused"]


def test_without_any_good_version_there_is_no_watch(tmp_path: Path) -> None:
    """An empty folder is said to be empty, with what to do."""
    with pytest.raises(ModelError, match="command train"):
        ModelWatch(tmp_path, CollectorRegistry())


def test_old_versions_are_removed_and_never_the_current_one(folder: Path) -> None:
    """A folder does not grow for ever; a reader that has mapped a removed version goes on."""
    old = load(folder, current(folder).name)
    for number in range(1, 6):
        last = another(folder, 60.0 * number)
    assert len(versions(folder)) == KEPT_VERSIONS
    assert newest(folder) == last == versions(folder)[0]
    assert old.version not in versions(folder)
    assert float(old.popularity.sum()) == pytest.approx(1.0, abs=1e-3)


def test_requests_meet_one_version_or_the_other_while_it_changes(folder: Path) -> None:
    """Rankings that run during twenty replacements never mix two versions."""
    watch = ModelWatch(folder, CollectorRegistry())
    engine = ItemNeighboursEngine(watch)
    stop = threading.Event()
    wrong: list[object] = []

    def rank() -> None:
        while not stop.is_set():
            model = watch.model
            ranking = engine.rank(model, Query(Profile("u")))
            if not ranking.version.endswith(model.version) or len(ranking.items) != 10:
                wrong.append(ranking.version)

    threads = [threading.Thread(target=rank) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(1, 20):
        another(folder, 60.0 * number)
        watch.refresh_now()
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
