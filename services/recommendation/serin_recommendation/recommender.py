"""Answers questions: who asks comes from the cache or the database, the ranking from the engine.

One object a process behind the routes. It keeps the order in which things happen in one place: look up, rank, note.
"""

import asyncio
import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from serin_recommendation.data import PERSONAS
from serin_recommendation.engines import Profile, Query, Ranking, RecommendationEngine
from serin_recommendation.model import ModelSource
from serin_recommendation.settings import RecommendationSettings
from serin_recommendation.store.repository import Repository, Trend
from serin_recommendation.store.served import ServedLog, ServedRow
from serin_services.assignment import Served
from serin_services.caches import Caches, TtlCache

WINDOWS: Final = {"1h": 3600.0, "24h": 86400.0, "7d": 7 * 86400.0, "30d": 30 * 86400.0}
Window = Literal["1h", "24h", "7d", "30d"]
MOST_TRENDS: Final = 50


@dataclass(frozen=True, slots=True)
class Question:
    """What a client asks for one user, before anything is known of them."""

    user_id: str
    limit: int
    persona: str | None = None
    daypart: int | None = None
    exclusions: frozenset[str] = frozenset()

    def query(self, profile: Profile) -> Query:
        """Return the question to an engine."""
        return Query(profile, self.limit, self.persona, self.daypart, self.exclusions)


class Recommender:
    """The engine with its caches and rows.

    Args:
        engine: Ranks.
        models: The model that the engine answers with.
        repository: Reads.
        served: Notes what was served.
        caches: Gets the caches `profile`, `persona` and `trend`.
        settings: Sizes and lifetimes.
    """

    def __init__(
        self,
        engine: RecommendationEngine,
        models: ModelSource,
        repository: Repository,
        served: ServedLog,
        caches: Caches,
        settings: RecommendationSettings,
    ) -> None:
        self.engine = engine
        self.repository = repository
        self._models = models
        self._served = served
        self.profiles: TtlCache[str, Profile] = caches.make(
            name="profile", size=settings.profile_entries, ttl=settings.profile_ttl
        )
        self._personas: TtlCache[tuple[str, str | int, int | None, int], Ranking] = caches.make(
            name="persona", size=settings.persona_entries, ttl=settings.persona_ttl
        )
        self._trends: TtlCache[tuple[str, str], list[Trend]] = caches.make(
            name="trend", size=len(WINDOWS) * (len(PERSONAS) + 3), ttl=settings.trend_ttl
        )

    async def personalized(
        self, question: Question, served: Served, engine: RecommendationEngine
    ) -> tuple[str, Ranking]:
        """Return the best items for one user, and the id under which it is noted that they got them.

        Raises:
            DatabaseUnavailableError: Nothing is known of the user at present.
        """
        profile = await self.profiles.get_or_load(question.user_id, lambda: self._load(question.user_id))
        ranking = await self._rank(question, profile, engine)
        recommendation_id = uuid.uuid4().hex
        if served.copy:
            return recommendation_id, ranking
        self._served.add(
            ServedRow(
                recommendation_id,
                question.user_id,
                served.variant,
                served.bucket,
                ranking.version,
                ranking.cold_start,
                not profile.known,
                dt.datetime.now(dt.UTC),
            )
        )
        if not profile.known:
            self.profiles.put(question.user_id, replace(profile, known=True))
        return recommendation_id, ranking

    async def batch(self, questions: Sequence[Question], engine: RecommendationEngine) -> list[Ranking]:
        """Return the best items for each of many users: one round trip to each table for all that no cache knows.

        Raises:
            DatabaseUnavailableError: Nothing is known of some of them at present.
        """
        found = {question.user_id: self.profiles.get(question.user_id) for question in questions}
        unknown = [user_id for user_id, profile in found.items() if profile is None]
        loaded = await self.repository.profiles(unknown) if unknown else {}
        for user_id, profile in loaded.items():
            self.profiles.put(user_id, profile)
        everybody = {user_id: profile or loaded[user_id] for user_id, profile in found.items()}
        return await engine.recommend_many([question.query(everybody[question.user_id]) for question in questions])

    async def trending(self, segment: str, window: Window, limit: int) -> tuple[list[Trend], bool]:
        """Return what a segment watches most, and whether that is what everybody has always watched instead.

        Raises:
            DatabaseUnavailableError: The database gave no answer, and no cache has one.
        """
        trends = await self._trends.get_or_load((segment, window), lambda: self._trend(segment, window))
        if trends:
            return trends[:limit], False
        return await asyncio.to_thread(self._popular, limit), True

    def forget(self, user_id: str) -> None:
        """Look a user up anew at the next question: something was written."""
        self.profiles.discard(user_id)

    async def _load(self, user_id: str) -> Profile:
        return (await self.repository.profiles([user_id]))[user_id]

    async def _rank(self, question: Question, profile: Profile, engine: RecommendationEngine) -> Ranking:
        if profile.item_ids or question.exclusions:
            return await engine.recommend(question.query(profile))
        # Of somebody without a history only the persona counts, and there are few of these.
        persona = profile.persona if question.persona is None else question.persona
        key = (engine.version, persona, question.daypart, question.limit)
        ranking = self._personas.get(key)
        if ranking is None:
            ranking = await engine.recommend(question.query(profile))
            if not ranking.missing_parts:
                self._personas.put(key, ranking)
        return ranking

    async def _trend(self, segment: str, window: Window) -> list[Trend]:
        now = dt.datetime.now(dt.UTC)
        since = now - dt.timedelta(seconds=WINDOWS[window])
        return await self.repository.trending(segment, since, now, MOST_TRENDS)

    def _popular(self, limit: int) -> list[Trend]:
        model = self._models.model
        top = (-model.popularity).argsort(kind="stable")[:limit]
        return [
            Trend(
                model.items[place].item_id,
                model.items[place].title,
                model.items[place].genres,
                float(model.popularity[place]),
                0,
            )
            for place in top
        ]
