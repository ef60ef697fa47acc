"""What people watched: the input of every engine, as arrays, wherever it came from.

The synthetic set, a folder of MovieLens files and the database all become a `Dataset`, so that training and
evaluation are written once.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]

PERSONAS: Final = ("explorer", "family", "night-owl", "cinephile", "thrill-seeker", "romantic")
DAYPARTS: Final = ("morning", "afternoon", "evening", "night")
UNKNOWN: Final = -1
"""Persona or part of the day that nobody told."""
LEAST_STRENGTH: Final = 0.05
"""Of an interaction that went badly: the item was at least chosen."""

_MORNING, _NOON, _EVENING, _NIGHT = 6, 12, 18, 23


def daypart_of(hour: int) -> int:
    """Return the index into DAYPARTS of an hour of the day, 0 to 23."""
    if hour >= _NIGHT or hour < _MORNING:
        return DAYPARTS.index("night")
    if hour < _NOON:
        return DAYPARTS.index("morning")
    return DAYPARTS.index("afternoon" if hour < _EVENING else "evening")


def strength_of(completed: npt.ArrayLike, ratings: npt.ArrayLike) -> Floats:
    """Return the weight of interactions as signs of liking, from their labels.

    Args:
        completed: Watched to the end.
        ratings: 1 to 5 stars, NaN where there is none.

    Returns:
        0.05 to 1.5: 0.5 for a look, 0.5 more for an end, up to 0.5 more or less for the stars.
    """
    stars = (np.asarray(ratings, np.float32) - 3.0) / 4.0
    weight = 0.5 + 0.5 * np.asarray(completed, np.float32) + np.nan_to_num(stars, nan=0.0)
    strength: Floats = np.maximum(weight, LEAST_STRENGTH).astype(np.float32)
    return strength


@dataclass(frozen=True, slots=True)
class Item:
    """Something that can be recommended."""

    item_id: str
    title: str
    genres: tuple[str, ...]
    text: str = ""


@dataclass(frozen=True)
class Dataset:
    """Interactions of users with items, one row each, oldest first, each pair at most once.

    Attributes:
        items: The catalogue; a column of a matrix is an index into it.
        user_ids: Known users; a row of a matrix is an index into it.
        personas: Index into PERSONAS of what each user says of themselves, or UNKNOWN; shape (users,).
        first_seen: When each user was first seen, seconds since 1970, shape (users,).
        users: User of each interaction, shape (interactions,).
        chosen: Item of each interaction, shape (interactions,).
        dayparts: Index into DAYPARTS of each interaction, or UNKNOWN; shape (interactions,).
        completed: Label: watched to the end, shape (interactions,).
        ratings: Label: 1 to 5 stars, NaN where there is none; shape (interactions,).
        times: When it happened, seconds since 1970, ascending; shape (interactions,).
    """

    items: tuple[Item, ...]
    user_ids: tuple[str, ...]
    personas: Indices
    first_seen: Doubles
    users: Indices
    chosen: Indices
    dayparts: Indices
    completed: Flags
    ratings: Floats
    times: Doubles

    @cached_property
    def item_index(self) -> dict[str, int]:
        """Index of each item by its id."""
        return {item.item_id: index for index, item in enumerate(self.items)}

    @cached_property
    def user_index(self) -> dict[str, int]:
        """Index of each user by its id."""
        return {user_id: index for index, user_id in enumerate(self.user_ids)}

    @cached_property
    def strength(self) -> Floats:
        """Weight of each interaction as a sign of liking; shape (interactions,)."""
        return strength_of(self.completed, self.ratings)

    @cached_property
    def rows_of(self) -> tuple[Indices, ...]:
        """For each user the rows of their interactions, oldest first."""
        order = np.argsort(self.users, kind="stable").astype(np.int32)
        edges = np.searchsorted(self.users[order], np.arange(1, len(self.user_ids)))
        return tuple(np.split(order, edges))

    def subset(self, keep: Flags) -> "Dataset":
        """Return the same catalogue and users with only the interactions in `keep`, shape (interactions,)."""
        return Dataset(
            self.items,
            self.user_ids,
            self.personas,
            self.first_seen,
            self.users[keep],
            self.chosen[keep],
            self.dayparts[keep],
            self.completed[keep],
            self.ratings[keep],
            self.times[keep],
        )


@dataclass(frozen=True, slots=True)
class Split:
    """Interactions to learn from, and later ones of the same users that were held out."""

    seen: Dataset
    held_out: Dataset


def split_by_time(data: Dataset, share: float = 0.2, fewest: int = 5) -> Split:
    """Hold the newest interactions of each user out, as a service meets them: it knows only what was before.

    Args:
        data: All interactions.
        share: Share of each user's interactions that is held out, at least one.
        fewest: Users with fewer interactions keep all of theirs.
    """
    held = np.zeros(data.users.size, np.bool_)
    for rows in data.rows_of:
        if rows.size >= fewest:
            held[rows[-max(1, int(rows.size * share)) :]] = True
    return Split(data.subset(~held), data.subset(held))
