"""Writes a version of a model and reads it back: whole, or not at all.

A version is a folder of plain .npy files, the catalogue as JSON and a manifest with a checksum of each. It is made
under a hidden name, moved into place at once, and only then named in `current.json`. So a reader meets no half of
one, and what rots on the disk later is refused by its checksum. Nothing is pickled: a model can't run code.
"""

import datetime as dt
import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from serin_recommendation.data import DAYPARTS, PERSONAS, Item
from serin_recommendation.model.arrays import COMPONENTS, Model, Neighbours

FORMAT: Final = 1
CURRENT: Final = "current.json"
MANIFEST: Final = "manifest.json"
_ITEMS: Final = "items.json"
_DENSE: Final = ("factors", "gram", "taste", "taste_at", "lift", "popularity")
_SPARSE: Final = ("bm25", "neighbours", "content")
KEPT_VERSIONS: Final = 3


class ModelError(Exception):
    """A version that can't be served; the message says why, in one sentence."""


def save(folder: Path, model: Model, notes: Mapping[str, Any]) -> str:
    """Write a version, make it the current one, and remove all but the newest three.

    Args:
        folder: The folder of all versions; made when it is missing.
        model: What to write; its `version` is replaced.
        notes: What else the manifest is to tell: sizes, figures, versions of libraries.

    Returns:
        Name of the version: the time it was trained, and a part of its checksum.
    """
    folder.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=".new-", dir=folder))
    try:
        _write_arrays(building, model)
        items = [[item.item_id, item.title, list(item.genres), item.text] for item in model.items]
        (building / _ITEMS).write_text(json.dumps(items, ensure_ascii=False), encoding="utf-8")
        files = {path.name: _checksum(path) for path in sorted(building.iterdir())}
        whole = _whole(files, dict(model.weights), model.alpha)
        made = dt.datetime.fromtimestamp(model.made_at, dt.UTC)
        version = f"{made:%Y%m%dT%H%M%S}-{whole[:8]}"
        manifest = {
            "format": FORMAT,
            "version": version,
            "made_at": model.made_at,
            "weights": dict(model.weights),
            "alpha": model.alpha,
            "files": files,
            "checksum": whole,
            "notes": dict(notes),
        }
        (building / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        building.chmod(0o755)
        _sync(building)
        if (folder / version).exists():
            shutil.rmtree(folder / version)
        building.rename(folder / version)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    _point(folder, version)
    _prune(folder, version)
    return version


def newest(folder: Path) -> str | None:
    """Return the version that the folder names as current, or None when it names none."""
    try:
        version = json.loads((folder / CURRENT).read_text(encoding="utf-8"))["version"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder / CURRENT} can't be read: {error}") from error
    if not isinstance(version, str) or "/" in version or version.startswith("."):
        raise ModelError(f"{folder / CURRENT} names no version")
    return version


def versions(folder: Path) -> list[str]:
    """Return all versions, the newest first."""
    if not folder.is_dir():
        return []
    return sorted((path.parent.name for path in folder.glob("[!.]*/" + MANIFEST)), reverse=True)


def load(folder: Path, version: str) -> Model:
    """Check a version and map it into memory.

    Raises:
        ModelError: It is not whole, or not of this release's form.
    """
    place = folder / version
    try:
        manifest = json.loads((place / MANIFEST).read_text(encoding="utf-8"))
        if manifest["format"] != FORMAT:
            raise ModelError(f"model {version} has format {manifest['format']}, this release reads {FORMAT}")
        for name, expected in manifest["files"].items():
            if _checksum(place / name) != expected:
                raise ModelError(f"model {version}: {name} is not what was written (checksum)")
        if _whole(manifest["files"], manifest["weights"], manifest["alpha"]) != manifest["checksum"]:
            raise ModelError(f"model {version}: {MANIFEST} is not what was written (checksum)")
        model = _read(place, manifest)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"model {version} can't be read: {type(error).__name__}: {error}") from error
    _check(model)
    return model


def _write_arrays(place: Path, model: Model) -> None:
    for name in _DENSE:
        np.save(place / f"{name}.npy", np.ascontiguousarray(getattr(model, name), np.float32), allow_pickle=False)
    for name in _SPARSE:
        rows: Neighbours = getattr(model, name)
        np.save(place / f"{name}.indptr.npy", rows.indptr.astype(np.int32), allow_pickle=False)
        np.save(place / f"{name}.indices.npy", rows.indices.astype(np.int32), allow_pickle=False)
        np.save(place / f"{name}.weights.npy", rows.weights.astype(np.float32), allow_pickle=False)


def _read(place: Path, manifest: dict[str, Any]) -> Model:
    def array(name: str) -> npt.NDArray[Any]:
        # A view without numpy's subclass: memmap's own bookkeeping costs more than a small sum.
        mapped: npt.NDArray[Any] = np.load(place / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        return mapped.view(np.ndarray)

    def rows(name: str) -> Neighbours:
        return Neighbours(array(f"{name}.indptr"), array(f"{name}.indices"), array(f"{name}.weights"))

    raw = json.loads((place / _ITEMS).read_text(encoding="utf-8"))
    return Model(
        version=str(manifest["version"]),
        made_at=float(manifest["made_at"]),
        items=tuple(Item(item_id, title, tuple(genres), text) for item_id, title, genres, text in raw),
        weights={name: float(manifest["weights"][name]) for name in COMPONENTS},
        alpha=float(manifest["alpha"]),
        factors=array("factors"),
        gram=array("gram"),
        bm25=rows("bm25"),
        neighbours=rows("neighbours"),
        content=rows("content"),
        taste=array("taste"),
        taste_at=array("taste_at"),
        lift=array("lift"),
        popularity=array("popularity"),
    )


def _check(model: Model) -> None:
    """Refuse arrays that don't fit together: better now than in the middle of a request."""
    items, size = len(model.items), model.factors.shape[1]
    shapes = {
        "factors": (items, size),
        "gram": (size, size),
        "taste": (len(PERSONAS), items),
        "taste_at": (len(PERSONAS), len(DAYPARTS), items),
        "lift": (len(PERSONAS), items),
        "popularity": (items,),
    }
    for name, shape in shapes.items():
        found = getattr(model, name)
        if found.shape != shape:
            raise ModelError(f"model {model.version}: {name} has shape {found.shape}, not {shape}")
        if not np.isfinite(found).all():
            raise ModelError(f"model {model.version}: {name} has numbers that are not finite")
    for name in _SPARSE:
        rows: Neighbours = getattr(model, name)
        fits = (
            rows.indptr.shape == (items + 1,)
            and rows.indptr[0] == 0
            and rows.indptr[-1] == rows.indices.size == rows.weights.size
            and bool((np.diff(rows.indptr) >= 0).all())
            and (not rows.indices.size or (rows.indices.min() >= 0 and rows.indices.max() < items))
            and bool(np.isfinite(rows.weights).all())
        )
        if not fits:
            raise ModelError(f"model {model.version}: the rows of {name} don't fit the catalogue")
    if not math.isclose(sum(model.weights.values()), 1.0, abs_tol=1e-6) or min(model.weights.values()) < 0:
        raise ModelError(f"model {model.version}: the weights don't add up to 1")


def _whole(files: Mapping[str, str], weights: Mapping[str, float], alpha: float) -> str:
    """Return the checksum of everything that decides a score."""
    return hashlib.sha256(json.dumps([files, weights, alpha], sort_keys=True).encode()).hexdigest()


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(place: Path) -> None:
    for path in place.iterdir():
        path.chmod(0o644)
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _point(folder: Path, version: str) -> None:
    handle, name = tempfile.mkstemp(prefix=".current-", dir=folder)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump({"version": version}, file)
        file.flush()
        os.fsync(file.fileno())
    path = Path(name)
    path.chmod(0o644)
    path.replace(folder / CURRENT)


def _prune(folder: Path, current: str) -> None:
    for version in versions(folder)[KEPT_VERSIONS:]:
        if version != current:
            shutil.rmtree(folder / version, ignore_errors=True)
