"""A labelled data set made from a seed, so that a laptop, a test and a cluster start alike and without a download.

It has the traits of real viewing that decide which engine is good, and none that only one engine could know:
popularity with a long tail; items that came out lately, of which little was watched yet; users from a handful of
interactions to more than a hundred; tastes that follow persona, genre, makers (visible in an item's text) and
something that no text tells (visible only in who watches what); parts of the day; personas that a user did not tell or
told wrongly; ratings that most interactions lack; much chance.
"""

import time
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from serin_recommendation.data import DAYPARTS, PERSONAS, UNKNOWN, Dataset, Item

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
_FIRST: Final = ("Ana", "Bora", "Chidi", "Dara", "Elif", "Farid", "Goeun", "Hugo", "Ines", "Jun")
_LAST: Final = ("Abara", "Berg", "Costa", "Doan", "Evans", "Farkas")
MAKERS: Final = tuple(f"{first} {last}" for first in _FIRST for last in _LAST)

DAY_SECONDS: Final = 86400.0
SPAN_DAYS: Final = 60.0
UNTIL: Final = 1_767_225_600.0
"""2026-01-01: the newest moment of the set when nobody asks for another one."""

_HIDDEN: Final = 8
_COMPLETED_LEVEL: Final = -0.5
"""Satisfaction, in standard deviations from the mean, above which an item is watched to the end."""
_RATED: Final = 0.35
_UNTOLD, _WRONG = 0.15, 0.10
_FEWEST, _MOST = 4, 150
_LATE: Final = 0.3
"""Share of items that came out within the span."""


@dataclass(frozen=True, slots=True)
class _World:
    """What a real service would not know; shapes (users, items), (dayparts, items) and (users,)."""

    liking: npt.NDArray[Any]
    moment: npt.NDArray[Any]
    personas: npt.NDArray[Any]
    rhythm: npt.NDArray[Any]


def synthetic(*, users: int = 2000, items: int = 400, seed: int = 2024, until: float = UNTIL) -> Dataset:
    """Make the labelled data set.

    Args:
        users: Number of users, named u-0000 and so on.
        items: Number of items, named item-0000 and so on; more than 150.
        seed: The same seed gives the same set.
        until: Newest moment of it, seconds since 1970; everything else moves with it.

    Returns:
        The data set: about 27 interactions a user, over 60 days.
    """
    draw = np.random.default_rng(seed)
    catalogue, genres, makers = _catalogue(items, draw)
    out = np.where(draw.random(items) < _LATE, draw.uniform(0.2, 0.95, items), 0.0)
    world = _world(users, genres, makers, out, draw)
    counts = np.clip(draw.lognormal(np.log(22), 0.7, users).astype(int), _FEWEST, min(_MOST, items // 2))
    row = np.repeat(np.arange(users), counts)
    column, dayparts = _choices(world, counts, draw)

    satisfaction = world.liking[row, column] + draw.normal(0.0, 1.0, row.size)
    level = (satisfaction - satisfaction.mean()) / satisfaction.std()
    stars = np.clip(np.round(3.5 + level), 1, 5)
    stars[draw.random(row.size) >= _RATED] = np.nan
    # Places in the span, from 0 to 1: nobody watches before they joined, or what has not come out.
    joined = 1.0 - draw.random(users) ** 0.7
    begin = np.maximum(joined[row], out[column])
    begun = until - SPAN_DAYS * DAY_SECONDS
    times = begun + SPAN_DAYS * DAY_SECONDS * (begin + (1.0 - begin) * draw.random(row.size))
    order = np.argsort(times, kind="stable")
    return Dataset(
        items=catalogue,
        user_ids=tuple(f"u-{number:04d}" for number in range(users)),
        personas=_told(world.personas, draw),
        first_seen=begun + SPAN_DAYS * DAY_SECONDS * joined,
        users=row[order].astype(np.int32),
        chosen=column[order].astype(np.int32),
        dayparts=dayparts[order].astype(np.int32),
        completed=(level > _COMPLETED_LEVEL)[order],
        ratings=stars[order].astype(np.float32),
        times=times[order],
    )


def _world(
    users: int,
    genres: npt.NDArray[Any],
    makers: npt.NDArray[Any],
    out: npt.NDArray[Any],
    draw: np.random.Generator,
) -> _World:
    items = genres.shape[0]
    personas = draw.integers(0, len(PERSONAS), users)
    persona_taste = _shares(draw.gamma(0.35, 1.0, (len(PERSONAS), len(GENRES))))
    taste = 0.6 * persona_taste[personas] + 0.4 * _shares(draw.gamma(0.25, 1.0, (users, len(GENRES))))
    maker_taste = draw.normal(0.0, 1.0, (users, len(MAKERS)))
    hidden = draw.normal(0.0, 1.0, (users, _HIDDEN)) @ draw.normal(0.0, 1.0, (_HIDDEN, items))
    # What came out late had less time to be chosen.
    popularity = draw.normal(0.0, 0.9, items) + np.log(1.0 - out)
    return _World(
        liking=7.0 * (taste @ genres.T) + 0.35 * hidden + 0.5 * maker_taste[:, makers].sum(2) + popularity,
        moment=3.0 * (_shares(draw.gamma(0.5, 1.0, (len(DAYPARTS), len(GENRES)))) @ genres.T),
        personas=personas,
        rhythm=draw.dirichlet(np.full(len(DAYPARTS), 1.5), len(PERSONAS)),
    )


def _choices(
    world: _World, counts: npt.NDArray[Any], draw: np.random.Generator
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Draw what each user watched and when: `counts[user]` different items each, users one after another."""
    items = world.liking.shape[1]
    columns, dayparts = [], []
    for user, count in enumerate(counts):
        when = draw.choice(len(DAYPARTS), count, p=world.rhythm[world.personas[user]])
        picked = np.empty(count, int)
        # The largest of utilities with Gumbel noise are draws without replacement from their softmax.
        utility = world.liking[user] + draw.gumbel(0.0, 1.0, items)
        for daypart in range(len(DAYPARTS)):
            mine = np.flatnonzero(when == daypart)
            top = np.argsort(-(utility + world.moment[daypart]))[: mine.size]
            picked[mine] = top
            utility[top] = -np.inf
        columns.append(picked)
        dayparts.append(when)
    return np.concatenate(columns), np.concatenate(dayparts)


def _told(personas: npt.NDArray[Any], draw: np.random.Generator) -> npt.NDArray[np.int32]:
    """Return what users say of themselves: some say nothing, some something else."""
    told = personas.astype(np.int32)
    chance = draw.random(told.size)
    wrong = chance < _WRONG
    told[wrong] = draw.integers(0, len(PERSONAS), int(wrong.sum()))
    told[chance > 1.0 - _UNTOLD] = UNKNOWN
    return told


def _catalogue(count: int, draw: np.random.Generator) -> tuple[tuple[Item, ...], npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the items, their share in each genre, shape (items, genres), and their makers, shape (items, 2)."""
    membership = np.zeros((count, len(GENRES)))
    makers = np.argsort(draw.random((count, len(MAKERS))), axis=1)[:, :2]
    catalogue = []
    for number in range(count):
        picked = draw.choice(len(GENRES), size=int(draw.integers(1, 4)), replace=False)
        membership[number, picked] = 1.0 / picked.size
        genres = tuple(GENRES[index] for index in picked)
        words = [word for genre in genres for word in draw.choice(THEMES[genre], size=3, replace=False)]
        title = f"The {_ADJECTIVES[int(draw.integers(len(_ADJECTIVES)))]} {_NOUNS[int(draw.integers(len(_NOUNS)))]}"
        people = [MAKERS[index].replace(" ", "") for index in makers[number]]
        catalogue.append(Item(f"item-{number:04d}", title, genres, " ".join((*words, *people))))
    return tuple(catalogue), membership, makers


def _shares(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    shares: npt.NDArray[Any] = values / values.sum(axis=1, keepdims=True)
    return shares


def now_synthetic() -> Dataset:
    """Make the set that is seeded: the default one, ending now."""
    return synthetic(until=time.time())
