"""What people watched: the input of every engine.

The synthetic set lets a laptop, a test and a cluster start with the same labelled data and no download. It is made
from a seed, so all pods of a service agree without talking to each other. Tastes follow personas, which is what makes
some engines better than others on it.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int32]

PERSONAS: Final = ("explorer", "family", "night-owl", "cinephile", "thrill-seeker", "romantic")
DAYPARTS: Final = ("morning", "afternoon", "evening", "night")

THEMES: Final[dict[str, tuple[str, ...]]] = {
    "action": ("chase", "heist", "fight", "rescue", "spy", "explosion"),
    "animation": ("drawn", "toys", "creature", "song", "colour", "friendship"),
    "comedy": ("laughter", "wedding", "mistake", "neighbour", "office", "prank"),
    "crime": ("detective", "murder", "court", "gang", "witness", "undercover"),
    "documentary": ("archive", "nature", "interview", "ocean", "science", "portrait"),
    "drama": ("family", "loss", "letter", "winter", "father", "promise"),
    "fantasy": ("dragon", "magic", "kingdom", "quest", "sword", "prophecy"),
    "history": ("war", "empire", "queen", "revolution", "voyage", "treaty"),
    "horror": ("ghost", "cabin", "curse", "darkness", "scream", "ritual"),
    "musical": ("stage", "dance", "band", "chorus", "rhythm", "audition"),
    "mystery": ("secret", "clue", "mansion", "disappearance", "cipher", "stranger"),
    "romance": ("love", "paris", "kiss", "summer", "reunion", "heart"),
    "science-fiction": ("robot", "space", "planet", "clone", "future", "signal"),
    "sport": ("coach", "final", "race", "team", "training", "underdog"),
    "thriller": ("hostage", "conspiracy", "countdown", "betrayal", "escape", "hunter"),
    "western": ("desert", "sheriff", "horse", "saloon", "frontier", "duel"),
}
GENRES: Final = tuple(THEMES)

_ADJECTIVES: Final = ("Quiet", "Last", "Golden", "Broken", "Hidden", "Distant", "Burning", "Silver", "Second", "Wild")
_NOUNS: Final = ("Harbour", "Garden", "Bridge", "Letter", "Orchard", "Signal", "Voyage", "Mirror", "Station", "Winter")

_COMPLETED_LEVEL: Final = -0.5
"""Satisfaction, in standard deviations from the mean, above which an item is watched to the end."""


@dataclass(frozen=True, slots=True)
class Item:
    """Something that can be recommended."""

    item_id: str
    title: str
    genres: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class Dataset:
    """Interactions of users with items, one row each, in the order in which they happened.

    Attributes:
        items: The catalogue; a column of a matrix is an index into it.
        user_ids: Known users; a row of a matrix is an index into it.
        personas: Index into PERSONAS for each user, shape (users,).
        users: User of each interaction, shape (interactions,).
        chosen: Item of each interaction, shape (interactions,).
        dayparts: Index into DAYPARTS of each interaction, shape (interactions,).
        completed: Label: watched to the end, shape (interactions,).
        ratings: Label: 1 to 5 stars, shape (interactions,).
    """

    items: tuple[Item, ...]
    user_ids: tuple[str, ...]
    personas: Indices
    users: Indices
    chosen: Indices
    dayparts: Indices
    completed: npt.NDArray[np.bool_]
    ratings: Floats

    @cached_property
    def item_index(self) -> dict[str, int]:
        """Index of each item by its id."""
        return {item.item_id: index for index, item in enumerate(self.items)}

    @cached_property
    def user_index(self) -> dict[str, int]:
        """Index of each user by its id."""
        return {user_id: index for index, user_id in enumerate(self.user_ids)}

    @cached_property
    def histories(self) -> tuple[Indices, ...]:
        """Items of each user, oldest first."""
        order = np.argsort(self.users, kind="stable")
        edges = np.searchsorted(self.users[order], np.arange(1, len(self.user_ids)))
        return tuple(np.split(self.chosen[order], edges))

    @cached_property
    def strength(self) -> Floats:
        """Weight of each interaction as a sign of liking, from its labels; shape (interactions,)."""
        return (0.5 + 0.5 * self.completed + (self.ratings - 3.0) / 4.0).astype(np.float32)

    def subset(self, keep: npt.NDArray[np.bool_]) -> "Dataset":
        """Return the same catalogue and users with only the interactions in `keep`, shape (interactions,)."""
        return Dataset(
            self.items,
            self.user_ids,
            self.personas,
            self.users[keep],
            self.chosen[keep],
            self.dayparts[keep],
            self.completed[keep],
            self.ratings[keep],
        )


def synthetic(*, users: int = 2000, items: int = 400, per_user: int = 30, seed: int = 2024) -> Dataset:
    """Make a labelled data set whose tastes follow personas, times of day and the quality of items.

    Args:
        users: Number of users, named u-0000 and so on.
        items: Number of items, named item-0000 and so on.
        per_user: Interactions of each user, all with different items.
        seed: The same seed gives the same set.

    Returns:
        The data set; users * per_user interactions.
    """
    draw = np.random.default_rng(seed)
    catalogue, item_genres = _catalogue(items, draw)
    persona_taste = draw.gamma(0.35, 1.0, (len(PERSONAS), len(GENRES)))
    daypart_taste = draw.gamma(0.5, 1.0, (len(DAYPARTS), len(GENRES)))
    personas = draw.integers(0, len(PERSONAS), users)
    taste = _shares(persona_taste[personas] + 0.35 * draw.gamma(0.4, 1.0, (users, len(GENRES))))

    quality = draw.normal(0.0, 0.6, items)
    liking = 9.0 * (taste @ item_genres.T) + quality
    noisy = liking + draw.gumbel(0.0, 1.0, (users, items))
    # The largest of utilities with Gumbel noise are draws without replacement from their softmax.
    chosen = np.argsort(-noisy, axis=1)[:, :per_user]
    draw.permuted(chosen, axis=1, out=chosen)

    row = np.repeat(np.arange(users), per_user)
    column = chosen.ravel()
    daypart_liking = _shares(daypart_taste) @ item_genres.T
    dayparts = np.argmax(4.0 * daypart_liking[:, column] + draw.gumbel(0.0, 1.0, (len(DAYPARTS), column.size)), axis=0)
    satisfaction = liking[row, column] + draw.normal(0.0, 1.0, column.size)
    level = (satisfaction - satisfaction.mean()) / satisfaction.std()
    return Dataset(
        items=catalogue,
        user_ids=tuple(f"u-{number:04d}" for number in range(users)),
        personas=personas.astype(np.int32),
        users=row.astype(np.int32),
        chosen=column.astype(np.int32),
        dayparts=dayparts.astype(np.int32),
        completed=level > _COMPLETED_LEVEL,
        ratings=np.clip(np.round(3.5 + level), 1, 5).astype(np.float32),
    )


def _catalogue(count: int, draw: np.random.Generator) -> tuple[tuple[Item, ...], npt.NDArray[Any]]:
    catalogue = []
    membership = np.zeros((count, len(GENRES)))
    for number in range(count):
        picked = draw.choice(len(GENRES), size=int(draw.integers(1, 4)), replace=False)
        membership[number, picked] = 1.0 / picked.size
        genres = tuple(GENRES[index] for index in picked)
        words = [word for genre in genres for word in draw.choice(THEMES[genre], size=3, replace=False)]
        adjective = _ADJECTIVES[int(draw.integers(len(_ADJECTIVES)))]
        noun = _NOUNS[int(draw.integers(len(_NOUNS)))]
        catalogue.append(
            Item(f"item-{number:04d}", f"The {adjective} {noun}", genres, " ".join((*genres, *words, noun.lower())))
        )
    return tuple(catalogue), membership


def _shares(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    shares: npt.NDArray[Any] = values / values.sum(axis=1, keepdims=True)
    return shares
