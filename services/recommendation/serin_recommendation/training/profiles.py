"""Profiles of a data set's users, as the service makes them from its database."""

from serin_recommendation.data import Dataset
from serin_recommendation.engines.base import Profile


def profiles(data: Dataset) -> list[Profile]:
    """Return the profile of each user, in the order of `data.user_ids`."""
    ids = [item.item_id for item in data.items]
    return [
        Profile(
            user_id,
            int(data.personas[user]),
            tuple(ids[item] for item in data.chosen[rows]),
            data.strength[rows],
            known=True,
        )
        for user, (user_id, rows) in enumerate(zip(data.user_ids, data.rows_of, strict=True))
    ]
