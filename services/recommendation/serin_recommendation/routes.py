"""The routes of the recommendation API."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from serin_recommendation.engines import Query, RecommendationEngine
from serin_recommendation.models import EngineVersion, PersonalizedRequest, PersonalizedResponse, RecommendedItem
from serin_services.problems import documented

router = APIRouter(prefix="/api/v2/recommend", tags=["recommendation"])


def get_engine(request: Request) -> RecommendationEngine:
    """FastAPI dependency: the engine of this process; a test overrides it."""
    engine: RecommendationEngine = request.app.state.engine
    return engine


EngineDependency = Annotated[RecommendationEngine, Depends(get_engine)]


@router.post("/personalized", responses=documented(413, 422, 500, 503, 504))
async def personalized(body: PersonalizedRequest, engine: EngineDependency) -> PersonalizedResponse:
    """Rank items for one user; a user that nobody knows gets the cold-start answer."""
    ranking = await engine.recommend(
        Query(
            user_id=body.user_id,
            limit=body.limit,
            persona=body.context.persona,
            daypart=body.context.daypart(),
            exclusions=frozenset(body.exclusions),
        )
    )
    items = [
        RecommendedItem(
            rank=rank,
            item_id=ranked.item.item_id,
            title=ranked.item.title,
            genres=list(ranked.item.genres),
            score=round(ranked.score, 6),
            parts={name: round(share, 6) for name, share in ranked.parts.items()},
        )
        for rank, ranked in enumerate(ranking.items, start=1)
    ]
    return PersonalizedResponse(
        user_id=body.user_id,
        items=items,
        engine=EngineVersion(name=engine.name, version=engine.version),
        cold_start=ranking.cold_start,
        missing_parts=list(ranking.missing_parts),
    )
