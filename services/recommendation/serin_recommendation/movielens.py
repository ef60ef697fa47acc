"""Reads a folder of MovieLens files that the user has: movies and ratings, and tags when they are there.

Two forms are known: comma-separated with a header (the "latest", 20M, 25M and 32M sets) and `::`-separated (1M, 10M).
"""

import csv
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from serin_recommendation.data import UNKNOWN, Dataset, Item


class MovieLensError(Exception):
    """A folder that is none of MovieLens; the message says what was expected."""


def movielens(folder: Path) -> Dataset:
    """Read a folder.

    A film that was rated was watched. Personas and the local time of day are not in these files, and stay unknown.

    Args:
        folder: Has movies and ratings, as .csv or as .dat.

    Returns:
        The data set; users are called ml-1 and so on, items movie-1 and so on.

    Raises:
        MovieLensError: A file is missing or not of that form.
    """
    tags: dict[str, list[str]] = defaultdict(list)
    if any((folder / f"tags{ending}").is_file() for ending in (".csv", ".dat")):
        for row in _rows(folder, "tags", 4):
            tags[row[1]].append(row[2].lower())
    items: list[Item] = []
    item_index: dict[str, int] = {}
    for movie, title, genres in _rows(folder, "movies", 3):
        item_index[movie] = len(items)
        known = tuple(genre for genre in genres.lower().split("|") if genre and not genre.startswith("("))
        items.append(Item(f"movie-{movie}", title[:200], known, " ".join(dict.fromkeys(tags.get(movie, ())))))
    users: dict[str, int] = {}
    who, what, stars, when = [], [], [], []
    try:
        for user, movie, rating, at in _rows(folder, "ratings", 4):
            if movie in item_index:
                who.append(users.setdefault(user, len(users)))
                what.append(item_index[movie])
                stars.append(float(rating))
                when.append(float(at))
    except ValueError as error:
        raise MovieLensError(f"a rating in {folder} is no number: {error}") from error
    if not who:
        raise MovieLensError(f"{folder} has no ratings of its movies")
    return _dataset(tuple(items), tuple(users), np.asarray(who), np.asarray(what), np.asarray(stars), np.asarray(when))


def _dataset(
    items: tuple[Item, ...],
    users: tuple[str, ...],
    who: np.ndarray,
    what: np.ndarray,
    stars: np.ndarray,
    when: np.ndarray,
) -> Dataset:
    order = np.argsort(when, kind="stable")
    first_seen = np.full(len(users), np.inf)
    np.minimum.at(first_seen, who, when)
    return Dataset(
        items=items,
        user_ids=tuple(f"ml-{user}" for user in users),
        personas=np.full(len(users), UNKNOWN, np.int32),
        first_seen=first_seen,
        users=who[order].astype(np.int32),
        chosen=what[order].astype(np.int32),
        dayparts=np.full(who.size, UNKNOWN, np.int32),
        completed=np.ones(who.size, np.bool_),
        ratings=stars[order].astype(np.float32),
        times=when[order],
    )


def _rows(folder: Path, name: str, columns: int) -> Iterator[list[str]]:
    """Yield the rows of a file, each with so many columns."""
    table, plain = folder / f"{name}.csv", folder / f"{name}.dat"
    if table.is_file():
        with table.open(encoding="utf-8", newline="") as file:
            reader = csv.reader(file)
            next(reader, None)
            for row in reader:
                yield _whole(row, columns, table)
    elif plain.is_file():
        with plain.open(encoding="latin-1") as file:
            for line in file:
                yield _whole(line.rstrip("\n").split("::"), columns, plain)
    else:
        raise MovieLensError(
            f"{folder} has no {name}.csv and no {name}.dat: give the unpacked folder of a MovieLens set"
        )


def _whole(row: list[str], columns: int, path: Path) -> list[str]:
    if len(row) != columns:
        raise MovieLensError(f"{path}: a row has {len(row)} columns, not {columns}")
    return row
